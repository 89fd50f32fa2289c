package kafkahandler

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/mapping/queuetopic"
	"inlong-bridge/sdk/dptest"
)

// Queue is a dptest.ClusterQueue over one or several Kafka clusters. It is safe for concurrent use, by
// several proxies too.
type Queue struct {
	clusters []*cluster
	spread   dptest.Spread
}

var _ dptest.ClusterQueue = (*Queue)(nil)

// Cluster is one Kafka cluster; Topic is a template over {group} and {stream}.
type Cluster struct {
	Opts   []kgo.Opt
	Topic  string
	Create bool // lets the brokers make missing topics, if they are set to
}

type cluster struct {
	client *kgo.Client
	topic  queuetopic.Template
}

func checkTemplate(template string) error {
	if template == "" || queuetopic.Template(template).Unknown() != "" {
		return fmt.Errorf("topic template %q: only {group} and {stream} are allowed in braces, such as {group}.{stream}", template)
	}
	return nil
}

// New connects lazily; Close flushes nothing: a proxy's memory is lost with the proxy.
func New(clusters ...Cluster) (*Queue, error) {
	if len(clusters) == 0 {
		return nil, errors.New("opening queue: no Kafka cluster given")
	}
	q := &Queue{}
	for i, c := range clusters {
		err := checkTemplate(c.Topic)
		var client *kgo.Client
		if err == nil {
			opts := []kgo.Opt{
				kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), // KafkaHandler sets no key and trusts the client to spread
				kgo.RequiredAcks(kgo.AllISRAcks()),
				kgo.ProducerLinger(0), // a Put is a batch already
				kgo.ProducerBatchCompression(kgo.NoCompression()),
			}
			if c.Create {
				opts = append(opts, kgo.AllowAutoTopicCreation())
			}
			client, err = kgo.NewClient(append(opts, c.Opts...)...)
		}
		if err != nil {
			q.Close()
			return nil, fmt.Errorf("opening queue cluster %d: %w", i, err)
		}
		q.clusters = append(q.clusters, &cluster{client: client, topic: queuetopic.Template(c.Topic)})
	}
	return q, nil
}

// Clusters returns how many clusters there are.
func (q *Queue) Clusters() int { return len(q.clusters) }

// Put spreads the messages round robin over the clusters and waits until the brokers have all of it. An error is a
// *dptest.PutError that says which messages are stored.
func (q *Queue) Put(ctx context.Context, m []dptest.QueueMessage) error {
	return q.spread.Put(ctx, q, m)
}

// PutTo is Put for one cluster. When ctx ends, nothing more is sent, and it waits for the messages that were sent, so that
// the error is right; after 10 s they count as not stored.
func (q *Queue) PutTo(ctx context.Context, clusterNumber int, m []dptest.QueueMessage) error {
	if len(m) == 0 {
		return nil
	}
	c := q.clusters[clusterNumber]
	answers := dptest.NewAnswers(len(m))
	for i := range m {
		c.client.Produce(ctx, c.record(&m[i]), func(r *kgo.Record, err error) {
			if err != nil {
				err = fmt.Errorf("producing to %s: %w", r.Topic, err)
			}
			answers.Add(i, err)
		})
	}
	return answers.Wait(ctx)
}

// record returns the record that KafkaHandler makes of a message: no key, the headers, the value as it is.
func (c *cluster) record(m *dptest.QueueMessage) *kgo.Record {
	r := &kgo.Record{
		Topic:   c.topic.Fill(m.Group, m.Stream),
		Value:   m.Value,
		Headers: make([]kgo.RecordHeader, len(m.Headers)),
	}
	for i, h := range m.Headers {
		r.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)}
	}
	return r
}

// Close closes the connections. A Put under way fails.
func (q *Queue) Close() {
	for _, c := range q.clusters {
		c.client.Close()
	}
}
