//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	pulsarlog "github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/connector/confirm/confirmtest"
	confirmpulsar "inlong-bridge/connector/confirm/pulsar"
)

// contractBroker is one Pulsar with the topic of the contract in a namespace of its own.
type contractBroker struct {
	n         *pulsarNode
	namespace string
	client    pulsar.Client

	mu        sync.Mutex
	producers map[int]pulsar.Producer // by partition
}

// contractTimeout is the least that a broker which starts on a busy machine may take to answer.
const contractTimeout = 3 * time.Second

// pulsarQueue makes readers of running brokers for the contract; each test has a namespace.
func pulsarQueue(nodes []*pulsarNode) confirmtest.Queue {
	made := 0
	return func(t *testing.T, n, read int, timeout time.Duration) confirmtest.Opened {
		made++
		cfg := confirmpulsar.Config{Instance: confirmtest.Instance, Timeout: max(timeout, contractTimeout)}
		var brokers []confirmtest.Broker
		for i, node := range nodes[:n] {
			b := newContractBroker(t, node, fmt.Sprintf("contract-%d", made))
			brokers = append(brokers, b)
			cfg.Clusters = append(cfg.Clusters, confirmpulsar.Cluster{
				Name: fmt.Sprintf("q%d", i), ServiceURL: "pulsar://" + node.broker, AdminURL: "http://" + node.web,
				Tenant: pulsarTenant, Namespace: b.namespace, Topic: "{stream}",
			})
		}
		all := cfg.Clusters
		cfg.Clusters = all[:read]
		r, err := confirmpulsar.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return confirmtest.Opened{Reader: r, Brokers: brokers, Join: func(ctx context.Context, broker int, since time.Time) error {
			return r.Join(ctx, all[broker], since)
		}}
	}
}

func newContractBroker(t *testing.T, n *pulsarNode, namespace string) *contractBroker {
	t.Helper()
	n.namespace(namespace)
	client, err := pulsar.NewClient(pulsar.ClientOptions{
		URL: "pulsar://" + n.broker, OperationTimeout: 10 * time.Second, MetricsRegisterer: prometheus.NewRegistry(),
		Logger: pulsarlog.NewLoggerWithSlog(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &contractBroker{n: n, namespace: namespace, client: client, producers: map[int]pulsar.Producer{}}
}

func (b *contractBroker) path() string {
	return "persistent/" + pulsarTenant + "/" + b.namespace + "/" + confirmtest.Stream
}

func (b *contractBroker) Create(_ *testing.T, partitions int) {
	b.n.must(http.MethodPut, b.path()+"/partitions", fmt.Sprint(partitions))
}

func (b *contractBroker) Grow(_ *testing.T, partitions int) {
	b.n.must(http.MethodPost, b.path()+"/partitions", fmt.Sprint(partitions))
}

func (b *contractBroker) Delete(t *testing.T) {
	b.mu.Lock()
	for _, p := range b.producers {
		p.Close()
	}
	b.producers = map[int]pulsar.Producer{}
	b.mu.Unlock()
	b.n.b.eventually(time.Minute, func() error {
		_, err := b.n.admin(http.MethodDelete, b.path()+"/partitions?force=true", "")
		if err != nil && strings.Contains(err.Error(), " 404 ") {
			err = nil
		}
		return err
	})
	list, err := b.n.admin(http.MethodGet, "persistent/"+pulsarTenant+"/"+b.namespace, "")
	if err != nil || strings.Contains(list, confirmtest.Stream) {
		t.Fatalf("after it was deleted: %s, %v", list, err)
	}
}

func (b *contractBroker) producer(partition int) (pulsar.Producer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.producers[partition]; p != nil {
		return p, nil
	}
	for tries := 0; ; tries++ {
		p, err := b.client.CreateProducer(pulsar.ProducerOptions{
			Topic:       fmt.Sprintf("persistent://%s/%s/%s-partition-%d", pulsarTenant, b.namespace, confirmtest.Stream, partition),
			SendTimeout: 3 * time.Second, BatchingMaxPublishDelay: 10 * time.Millisecond, CompressionType: pulsar.SNAPPY,
		})
		// A broker that was started again may lose sight of its own storage for a moment, seconds after it said that it is healthy: no topic
		// is opened then.
		if err != nil && strings.Contains(err.Error(), "PersistenceError") && tries < 100 {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err == nil {
			b.producers[partition] = p
		}
		return p, err
	}
}

func (b *contractBroker) Put(ctx context.Context, partition int, values ...[]byte) error {
	p, err := b.producer(partition)
	if err != nil {
		return err
	}
	done := make(chan error, len(values))
	for _, v := range values {
		p.SendAsync(ctx, &pulsar.ProducerMessage{Payload: v}, func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) { done <- err })
	}
	_ = p.FlushWithCtx(ctx) // how it went is told per message
	for range values {
		select {
		case e := <-done:
			if e != nil {
				err = e
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// Expire has the ledger of what is there closed and taken away, as retention does.
func (b *contractBroker) Expire(t *testing.T, partition int) {
	part := fmt.Sprintf("%s-partition-%d", b.path(), partition)
	policy := "namespaces/" + pulsarTenant + "/" + b.namespace + "/retention"
	b.n.must(http.MethodPost, policy, `{"retentionTimeInMinutes":0,"retentionSizeInMB":0}`)
	ledgers := func() (ids []int64, entries int64) {
		var stats struct {
			Entries int64 `json:"numberOfEntries"`
			Ledgers []struct {
				ID int64 `json:"ledgerId"`
			} `json:"ledgers"`
		}
		text := b.n.must(http.MethodGet, part+"/internalStats", "")
		if err := json.Unmarshal([]byte(text), &stats); err != nil {
			t.Fatal(err)
		}
		for _, l := range stats.Ledgers {
			ids = append(ids, l.ID)
		}
		return ids, stats.Entries
	}
	b.n.must(http.MethodPut, part+"/unload", "") // the next ledger begins
	b.n.b.eventually(time.Minute, func() error {
		if _, err := b.n.admin(http.MethodPost, part+"/trim", ""); err != nil {
			return err
		}
		if ids, entries := ledgers(); entries > 0 {
			return fmt.Errorf("ledgers %v still hold %d entries", ids, entries)
		}
		return nil
	})
	b.n.must(http.MethodPost, policy, `{"retentionTimeInMinutes":-1,"retentionSizeInMB":-1}`)
}

func (b *contractBroker) Break(*testing.T) { b.n.kill() }
func (b *contractBroker) Mend(*testing.T)  { b.n.restart() }

// What every reader of a queue must do, on Pulsar itself.
func TestPulsarContract(t *testing.T) {
	t.Parallel() // they wait for brokers to start, mostly
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
	confirmtest.Run(t, pulsarQueue(nodes))
}
