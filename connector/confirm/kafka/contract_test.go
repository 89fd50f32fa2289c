package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/kafka"
	"inlong-bridge/sdk/dptest/leaktest"
)

func TestContractOfKafka(t *testing.T) {
	confirmtest.Run(t, func(t *testing.T, n, read int, timeout time.Duration) confirmtest.Opened {
		leaktest.Check(t)
		cfg := kafka.Config{Instance: confirmtest.Instance, Timeout: timeout}
		var brokers []confirmtest.Broker
		for i := range n {
			c, w := embedded(t, kfake.NumBrokers(2))
			b := &kafkaBroker{c: c, admin: kadm.NewClient(w)}
			b.w.Store(w)
			brokers = append(brokers, b)
			c.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if b.down.Load() {
					return nil, errors.New("the broker hangs up"), true
				}
				return nil, nil, false
			})
			cfg.Clusters = append(cfg.Clusters, kafka.Cluster{
				Name: fmt.Sprintf("q%d", i), Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Topic: "{group}.{stream}",
			})
		}
		all := cfg.Clusters
		cfg.Clusters = all[:read]
		r, err := kafka.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		reading := func(broker int) int { return kafka.TopicsRead(r, broker) }
		return confirmtest.Opened{Reader: r, Brokers: brokers, Since: true, Reading: reading, Join: func(ctx context.Context, broker int, since time.Time) error {
			return r.Join(ctx, all[broker], since)
		}}
	})
}

// embedded is a Kafka, and a client that writes to it.
func embedded(t *testing.T, opts ...kfake.Opt) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w, err := kafkaWriter(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return c, w
}

func kafkaWriter(c *kfake.Cluster) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.UnknownTopicRetries(-1))
}

type kafkaBroker struct {
	c     *kfake.Cluster
	w     atomic.Pointer[kgo.Client] // one that knows all partitions
	admin *kadm.Client
	down  atomic.Bool
}

func (b *kafkaBroker) Create(t *testing.T, partitions int) {
	if _, err := b.admin.CreateTopic(t.Context(), int32(partitions), 1, nil, topicName); err != nil {
		t.Fatal(err)
	}
	b.w.Load().PurgeTopicsFromClient(topicName)
}

func (b *kafkaBroker) Grow(t *testing.T, partitions int) {
	if _, err := b.admin.UpdatePartitions(t.Context(), partitions, topicName); err != nil {
		t.Error(err)
	}
	w, err := kafkaWriter(b.c)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(w.Close)
	b.w.Store(w)
}

func (b *kafkaBroker) Delete(t *testing.T) {
	if _, err := b.admin.DeleteTopic(t.Context(), topicName); err != nil {
		t.Fatal(err)
	}
}

func (b *kafkaBroker) Put(ctx context.Context, partition int, values ...[]byte) error {
	if b.down.Load() {
		return errors.New("the broker is down")
	}
	var recs []*kgo.Record
	for _, v := range values {
		recs = append(recs, &kgo.Record{Topic: topicName, Partition: int32(partition), Value: v})
	}
	return b.w.Load().ProduceSync(ctx, recs...).FirstErr()
}

func (b *kafkaBroker) Expire(t *testing.T, partition int) {
	ends, err := b.admin.ListEndOffsets(t.Context(), topicName)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topicName, int32(partition))
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: topicName, Partition: int32(partition), At: end.Offset})
	if _, err := b.admin.DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
}

func (b *kafkaBroker) Break(*testing.T) { b.down.Store(true) }
func (b *kafkaBroker) Mend(*testing.T)  { b.down.Store(false) }
