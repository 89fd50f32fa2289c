//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUp starts what a bridge needs and keeps it until it is told to stop: an Apache Kafka, and two devproxies
// that put packs into it. `make e2e-up` runs it in the background, `make e2e-down` ends it.
func TestUp(t *testing.T) {
	file := os.Getenv("E2E_UP")
	if file == "" {
		t.Skip("SKIPPED: this is no test; make e2e-up runs it")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	r := need(t, "kafka-"+newest())
	b := newBench(t)
	// It stays, so it need not look after its logs as often as in a test.
	k := b.startKafkaWith(r, 1, map[string]any{"log.retention.check.interval.ms": 60_000, "log.cleaner.backoff.ms": 15_000})
	streams := []string{"orders", "logs", "clicks", "views"}
	to := b.startSink(k.cluster, 1, streams, 2, "--queue-delay", held.String())
	var proxies []string
	for _, p := range to.proxies {
		proxies = append(proxies, p.addr)
	}
	program, err := bridgeBinary()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("# made by make e2e-up; `. %s` and make e2e run the suite against these proxies\nexport E2E_KAFKA_BROKERS='%s'\nexport E2E_DATAPROXY='%s'\nexport E2E_QUEUE='kafka://%s/%s'\nexport E2E_PROGRAM='%s'\n",
		file, k.brokers[0], strings.Join(proxies, ","), k.brokers[0], to.template, program)
	// Under another name first: who waits for the file finds it whole.
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(file) }() // make e2e-down removes it too
	t.Logf("up: %s", filepath.Base(file))
	select {
	case <-stop:
	case <-k.nodes[0].done: // the next make e2e-up is not to find a broker that is not there
		t.Errorf("the broker has ended by itself: exit %d\n%s", k.nodes[0].code, k.nodes[0].tail())
	}
}
