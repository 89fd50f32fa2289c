//go:build chaos

package e2e

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/backoff"
	pulsarlog "github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/prometheus/client_golang/prometheus"
)

// pulsarFaults are those that only a broker in a process of its own can have.
func pulsarFaults() []*chaosFault {
	return []*chaosFault{
		{name: "broker of the queue killed", proxies: 2, back: 10 * time.Second, twice: noDuplicates, strike: func(c *chaosCell) {
			c.leaves(0)
			c.b.pause(c.scale(10 * time.Second))
			c.gates[0].leave(false)
		}},
	}
}

// pulsarCell is a cell and the broker that its fault strikes first.
type pulsarCell struct {
	chaosSpec
	broker int
}

// pulsarRounds are the faults that touch the queue. Those of a round run beside each other: none of them strikes a
// broker that another one needs. A broker that was stopped is not used again: it may take its own storage for faulty
// for a while, and make no topic.
func pulsarRounds() [][]pulsarCell {
	cell := func(fault string, broker int) pulsarCell {
		return pulsarCell{chaosSpec{fault: fault, confirm: "queue", bridges: 1, queue: "pulsar"}, broker}
	}
	return [][]pulsarCell{
		{cell("kill -9 proxy", 0), cell("zombie", 1), cell("packs dropped behind their acks", 0)},
		{cell("one of two clusters gone for 60 s", 0)},
		{cell("queue stalled 20 s", 0), cell("broker of the queue killed", 1)},
		{cell("queue stalled 20 s, proxy killed inside", 1)},
	}
}

// TestPulsarChaos runs the faults that touch the queue with Apache Pulsar as the queue, over two brokers, which are
// stopped, killed and started again as processes.
func TestPulsarChaos(t *testing.T) {
	r := need(t, "pulsar")
	b := newBench(t)
	nodes := []*pulsarNode{b.newPulsar(r, "pulsar-1"), b.newPulsar(r, "pulsar-2")}
	for _, n := range nodes {
		n.configure()
		n.begin()
	}
	for _, n := range nodes {
		n.up()
		n.setUp()
	}
	results := &chaosResults{done: make(map[string]chaosRecord)}
	began := time.Now()
	for i, round := range pulsarRounds() {
		for _, cell := range round {
			results.order = append(results.order, cell.chaosSpec)
		}
		t.Run(fmt.Sprintf("round %d", i+1), func(t *testing.T) {
			for j, cell := range round {
				t.Run(cell.name(), func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					c := &chaosCell{b: b, spec: cell.chaosSpec, kind: chaosKind(cell.fault), factor: shortFactor, rate: 600}
					for k := range nodes {
						c.pulsars = append(c.pulsars, nodes[(cell.broker+k)%len(nodes)].on(b))
					}
					c.namespace = fmt.Sprintf("chaos-%d-%d", i, j)
					results.add(t, cell.chaosSpec, c.run())
				})
			}
		})
	}
	results.write(t, "pulsar", shortFactor, time.Since(began))
}

// pulsarQueues makes the clusters of the cell, and returns what devproxy is told.
func (c *chaosCell) pulsarQueues() (args []string) {
	c.b.Helper()
	for i := range c.kind.clusters {
		s := c.pulsars[i].sink(c.namespace, c.topics)
		c.sinks, c.gates = append(c.sinks, s), append(c.gates, c.pulsars[i])
		args = append(args, "--queue", s.url())
	}
	return args
}

// silence stops the process of the broker, for as long as it is on.
func (n *pulsarNode) silence(on bool) {
	n.b.Helper()
	if on {
		n.signal(syscall.SIGSTOP)
		return
	}
	n.signal(syscall.SIGCONT)
}

// leave kills the broker, and starts it again.
func (n *pulsarNode) leave(on bool) {
	n.b.Helper()
	if on {
		n.kill()
		return
	}
	n.restart()
}

// followPulsar reads the topics until the test ends. When its connection ends it may miss some; the verdict does not
// come from here.
func (c *chaosCell) followPulsar(s *sink, f *follower, done *sync.WaitGroup) {
	c.b.Helper()
	client, err := pulsar.NewClient(pulsar.ClientOptions{
		URL: s.pulsar.ServiceURL, OperationTimeout: 5 * time.Second, MetricsRegisterer: prometheus.NewRegistry(),
		Logger: pulsarlog.NewLoggerWithSlog(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		c.b.Fatal(err)
	}
	c.b.Cleanup(func() { client.Close(); done.Wait() })
	for _, topic := range s.topics(c.topics) {
		var partitions []string
		c.b.eventually(time.Minute, func() (err error) {
			partitions, err = client.TopicPartitions(topic)
			return err
		})
		for _, p := range partitions {
			var reader pulsar.Reader
			// A broker that was started again may lose sight of its own storage for a moment, seconds after it said that
			// it is healthy: no topic is opened then.
			c.b.eventually(time.Minute, func() (err error) {
				reader, err = client.CreateReader(pulsar.ReaderOptions{
					Topic: p, StartMessageID: pulsar.EarliestMessageID(),
					BackoffPolicyFunc: func() backoff.Policy { return backoff.NewDefaultBackoffWithInitialBackOff(100 * time.Millisecond) },
				})
				return err
			})
			done.Go(func() {
				for {
					m, err := reader.Next(c.b.Context())
					if err != nil {
						return
					}
					f.add(time.Now(), m.Payload())
				}
			})
		}
	}
}

// keepOtherQueues adds the rows of chaos.json that are about other queues than these, so that each suite leaves the
// other's.
func keepOtherQueues(records []chaosRecord) ([]chaosRecord, error) {
	text, err := os.ReadFile(filepath.Join(outDir, "chaos.json"))
	if os.IsNotExist(err) {
		return records, nil
	}
	if err != nil {
		return nil, err
	}
	var before []chaosRecord
	if err := json.Unmarshal(text, &before); err != nil {
		return nil, fmt.Errorf("reading chaos.json: %w; hint: remove it", err)
	}
	var kafka, others []chaosRecord
	for _, r := range before {
		switch r.Queue {
		case records[0].Queue:
		case "":
			kafka = append(kafka, r)
		default:
			others = append(others, r)
		}
	}
	return append(append(kafka, records...), others...), nil
}
