//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// outsideSink is the DataProxy of E2E_DATAPROXY with the Kafka of E2E_QUEUE behind it, nil if there is none.
// It must know the group e2e with the streams orders, logs, clicks and views. Nodes that E2E_DATAPROXY_CMD
// starts listen at the addresses of E2E_DATAPROXY.
func (b *bench) outsideSink() *sink {
	b.Helper()
	addrs, queue, command := os.Getenv("E2E_DATAPROXY"), os.Getenv("E2E_QUEUE"), os.Getenv("E2E_DATAPROXY_CMD")
	if addrs == "" && queue == "" && command == "" {
		return nil
	}
	rest, ok := strings.CutPrefix(queue, "kafka://")
	brokers, template, _ := strings.Cut(rest, "/")
	if addrs == "" || !ok || brokers == "" {
		b.Fatal("E2E_DATAPROXY=host:port,... and E2E_QUEUE=kafka://host:port,...[/topic] must be given together")
	}
	if template == "" {
		template = "{group}.{stream}"
	}
	to := &sink{queue: b.connect(&cluster{brokers: strings.Split(brokers, ",")}), template: template}
	for addr := range strings.SplitSeq(addrs, ",") {
		p := &proxy{b: b, name: "dataproxy-" + strings.ReplaceAll(addr, ":", "-"), addr: addr}
		if command != "" {
			p.begin = func() *process {
				// exec: the shell becomes the node, so that killing it kills the node.
				cmd := exec.Command("sh", "-c", "exec "+strings.ReplaceAll(command, "{addr}", addr))
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				return b.start(p.name, cmd)
			}
			p.restart()
		}
		to.proxies = append(to.proxies, p)
	}
	return to
}
