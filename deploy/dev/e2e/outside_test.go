//go:build e2e

package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"inlong-bridge/connector/pulsarhandler"
)

// outsideSink is the DataProxy of E2E_DATAPROXY with the Kafka of E2E_QUEUE behind it, nil if there is none.
// It must know the group e2e with the streams orders, logs, clicks and views. Nodes that E2E_DATAPROXY_CMD
// starts listen at the addresses of E2E_DATAPROXY.
func (b *bench) outsideSink() *sink {
	b.Helper()
	return b.sinkAt(os.Getenv("E2E_DATAPROXY"), os.Getenv("E2E_QUEUE"), os.Getenv("E2E_DATAPROXY_CMD"))
}

func (b *bench) sinkAt(addrs, queue, start string) *sink {
	b.Helper()
	if addrs == "" && queue == "" && start == "" {
		return nil
	}
	if rest, ok := strings.CutPrefix(queue, "pulsar://"); ok && addrs != "" {
		parts := strings.Split(rest, "/")
		if len(parts) != 3 && len(parts) != 4 {
			b.Fatal("E2E_QUEUE=pulsar://host:port/tenant/namespace[/topic], namespace and topic over {group} and {stream}")
		}
		at := &pulsarhandler.Cluster{ServiceURL: "pulsar://" + parts[0], Tenant: parts[1], Namespace: parts[2], Topic: "{stream}"}
		if len(parts) == 4 {
			at.Topic = parts[3]
		}
		to := &sink{b: b, pulsar: at}
		b.outsideProxies(to, addrs, start)
		return to
	}
	rest, ok := strings.CutPrefix(queue, "kafka://")
	brokers, template, _ := strings.Cut(rest, "/")
	if addrs == "" || !ok || brokers == "" {
		b.Fatal("E2E_DATAPROXY=host:port,... and E2E_QUEUE=kafka://host:port,...[/topic] or pulsar://host:port/tenant/namespace[/topic] must be given together")
	}
	if template == "" {
		template = "{group}.{stream}"
	}
	to := &sink{queue: b.connect(&cluster{brokers: strings.Split(brokers, ",")}), template: template}
	b.outsideProxies(to, addrs, start)
	return to
}

// outsideProxies are the nodes at addrs.
func (b *bench) outsideProxies(to *sink, addrs, start string) {
	b.Helper()
	for addr := range strings.SplitSeq(addrs, ",") {
		p := &proxy{b: b, name: "dataproxy-" + strings.ReplaceAll(addr, ":", "-"), addr: addr}
		if start != "" {
			p.begin = func() *process {
				cmd := command("sh", "-c", strings.ReplaceAll(start, "{addr}", addr))
				// A group of its own, so that whatever the command starts is killed with it.
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				node := b.start(p.name, cmd)
				node.killAll = func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // it may have ended
				return node
			}
			p.restart()
		}
		to.proxies = append(to.proxies, p)
	}
}

// The way for real nodes, tried with devproxies that are started by a command.
func TestKafkaAndNodesFromOutside(t *testing.T) {
	if os.Getenv("E2E_DATAPROXY") != "" {
		t.Skip("SKIPPED: E2E_DATAPROXY names real nodes, and TestKafka runs with them")
	}
	t.Parallel()
	b := newBench(t)
	program, err := bridgeBinary()
	if err != nil {
		t.Fatal(err)
	}
	kafka := b.embedded(1)
	topics := []string{"clicks", "views"}
	kafka.createTopics(4, 1, topics)
	queue := "kafka://" + kafka.brokers[0] + "/queue-of-{group}.{stream}"
	start := program + " devproxy --listen {addr} --manager '' --queue-delay 1s --queue '" + queue + "'; true"
	to := b.sinkAt(b.freeAddr()+","+b.freeAddr(), queue, start)
	kafka.createTopics(2, 1, to.topics(topics))
	v, allowed := b.killProxies(kafka, topics, to, "queue")
	b.complete("nodes from outside", v, allowed)
}
