//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm/confirmtest"
	confirmkafka "inlong-bridge/connector/confirm/kafka"
)

// kafkaContract is one Kafka of one broker with the topic of the contract, a topic for each test.
type kafkaContract struct {
	k      *kafka
	topic  string
	client *kgo.Client
}

// What every reader of a queue must do, on Apache Kafka itself.
func TestKafkaContract(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := need(t, "kafka-"+newest())
	other := b.on(t) // the files of the two must not be the same
	other.dir = b.path("other")
	if err := os.MkdirAll(other.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	clusters := []*kafka{b.startKafka(r, 1), other.startKafka(r, 1)}
	made := 0
	confirmtest.Run(t, func(t *testing.T, n, read int, timeout time.Duration) confirmtest.Opened {
		made++
		cfg := confirmkafka.Config{Instance: confirmtest.Instance, Timeout: max(timeout, contractTimeout)}
		var brokers []confirmtest.Broker
		for i, k := range clusters[:n] {
			template := fmt.Sprintf("contract-%d.{group}.{stream}", made)
			c := &kafkaContract{k: k, topic: fmt.Sprintf("contract-%d.%s.%s", made, confirmtest.Group, confirmtest.Stream)}
			var err error
			if c.client, err = kgo.NewClient(append([]kgo.Opt{
				kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100 * time.Millisecond), kgo.UnknownTopicRetries(-1),
				kgo.RecordDeliveryTimeout(3 * time.Second),
			}, k.opts...)...); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.client.Close)
			brokers = append(brokers, c)
			cfg.Clusters = append(cfg.Clusters, confirmkafka.Cluster{Name: fmt.Sprintf("q%d", i), Opts: k.opts, Topic: template})
		}
		all := cfg.Clusters
		cfg.Clusters = all[:read]
		reader, err := confirmkafka.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(reader.Close)
		return confirmtest.Opened{Reader: reader, Brokers: brokers, Since: true, Join: func(ctx context.Context, broker int, since time.Time) error {
			return reader.Join(ctx, all[broker], since)
		}}
	})
}

func (c *kafkaContract) Create(t *testing.T, partitions int) {
	// A topic of this name may be on its way out.
	c.k.b.eventually(time.Minute, func() error {
		_, err := c.k.admin.CreateTopic(t.Context(), int32(partitions), 1, nil, c.topic)
		return err
	})
	c.client.PurgeTopicsFromClient(c.topic)
}

func (c *kafkaContract) Grow(t *testing.T, partitions int) {
	made, err := c.k.admin.UpdatePartitions(t.Context(), partitions, c.topic)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Error(err)
	}
}

func (c *kafkaContract) Delete(t *testing.T) {
	gone, err := c.k.admin.DeleteTopic(t.Context(), c.topic)
	if err == nil {
		err = gone.Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (c *kafkaContract) Put(ctx context.Context, partition int, values ...[]byte) error {
	var recs []*kgo.Record
	for _, v := range values {
		recs = append(recs, &kgo.Record{Topic: c.topic, Partition: int32(partition), Value: v})
	}
	// The client may not know yet of a partition that was added.
	var err error
	for range 100 {
		if err = c.client.ProduceSync(ctx, recs...).FirstErr(); err == nil || ctx.Err() != nil || c.k.nodes[0].ended() {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return err
}

func (c *kafkaContract) Expire(t *testing.T, partition int) {
	ends, err := c.k.admin.ListEndOffsets(t.Context(), c.topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(c.topic, int32(partition))
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: c.topic, Partition: int32(partition), At: end.Offset})
	if _, err := c.k.admin.DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
}

func (c *kafkaContract) Break(*testing.T) { c.k.nodes[0].kill() }

func (c *kafkaContract) Mend(*testing.T) {
	c.k.nodes[0].begin()
	c.k.b.eventually(90*time.Second, c.k.up)
}
