package pulsar_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/pulsar"
	"inlong-bridge/sdk/dptest/leaktest"
)

const pulsarTopic = "persistent://acme/g/s"

func TestContractOfPulsar(t *testing.T) {
	confirmtest.Run(t, func(t *testing.T, n, read int, timeout time.Duration) confirmtest.Opened {
		r, doubles := newPulsarQueueOf(t, n, read, timeout)
		var brokers []confirmtest.Broker
		for _, d := range doubles {
			brokers = append(brokers, pulsarBroker{d})
		}
		reading := func(broker int) int { return doubles[broker].Readers(t, pulsarTopic) }
		return confirmtest.Opened{Reader: r, Brokers: brokers, Reading: reading, Join: func(ctx context.Context, broker int, since time.Time) error {
			return r.Join(ctx, doubleCluster(broker), since)
		}}
	})
}

// doubleCluster is the one of a number.
func doubleCluster(i int) pulsar.Cluster {
	return pulsar.Cluster{
		Name: fmt.Sprintf("q%d", i), ServiceURL: fmt.Sprintf("pulsar://%d", i), Tenant: "acme", Namespace: "{group}", Topic: "{stream}",
	}
}

func newPulsarQueue(t *testing.T, n int, timeout time.Duration) (*pulsar.Reader, []*pulsar.Double) {
	t.Helper()
	return newPulsarQueueOf(t, n, n, timeout)
}

// newPulsarQueueOf makes n doubles and a reader of the first ones.
func newPulsarQueueOf(t *testing.T, n, read int, timeout time.Duration) (*pulsar.Reader, []*pulsar.Double) {
	t.Helper()
	leaktest.Check(t)
	cfg := pulsar.Config{Instance: confirmtest.Instance, Timeout: timeout}
	var doubles []*pulsar.Double
	for i := range n {
		doubles = append(doubles, pulsar.NewDouble())
		if i < read {
			cfg.Clusters = append(cfg.Clusters, doubleCluster(i))
		}
	}
	r, err := pulsar.NewOver(cfg, doubles...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, doubles
}

type pulsarBroker struct{ d *pulsar.Double }

func (b pulsarBroker) Create(_ *testing.T, partitions int) {
	b.d.SetPartitions(pulsarTopic, partitions)
}
func (b pulsarBroker) Grow(_ *testing.T, partitions int)  { b.d.SetPartitions(pulsarTopic, partitions) }
func (b pulsarBroker) Delete(*testing.T)                  { b.d.DeleteTopic(pulsarTopic) }
func (b pulsarBroker) Expire(_ *testing.T, partition int) { b.d.ExpireAll(pulsarTopic, partition) }
func (b pulsarBroker) Break(*testing.T)                   { b.d.SetDown(true) }
func (b pulsarBroker) Mend(*testing.T)                    { b.d.SetDown(false) }
func (b pulsarBroker) Put(_ context.Context, partition int, values ...[]byte) error {
	return b.d.PutBatch(pulsarTopic, partition, values...)
}
