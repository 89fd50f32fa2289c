package pulsarhandler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/backoff"
	pulsarlog "github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/mapping/queuetopic"
	"inlong-bridge/sdk/dptest"
)

// The settings of PulsarHandler's producers.
const (
	batchMessages = 500
	batchBytes    = 128 << 10
	batchDelay    = 100 * time.Millisecond
)

// patience bounds a question to a cluster, such as opening a producer.
const patience = 10 * time.Second

// Queue is a dptest.ClusterQueue over one or several Pulsar clusters. It is safe for concurrent use, by
// several proxies too.
type Queue struct {
	clusters []*cluster
	spread   dptest.Spread
}

var _ dptest.ClusterQueue = (*Queue)(nil)

// Cluster is one Pulsar cluster. Topic is a template over {group} and {stream}; so is Namespace.
type Cluster struct {
	ServiceURL        string
	Tenant, Namespace string
	Topic             string
	Token             func() (string, error) // nil for none
}

// TopicOf returns the whole name of a stream's topic.
func (c *Cluster) TopicOf(group, stream string) string {
	return "persistent://" + c.Tenant + "/" + queuetopic.Template(c.Namespace+"/"+c.Topic).Fill(group, stream)
}

func (c *Cluster) open() (pulsar.Client, error) {
	opts := pulsar.ClientOptions{
		URL: c.ServiceURL, ConnectionTimeout: patience, OperationTimeout: patience,
		Logger:            pulsarlog.NewLoggerWithSlog(slog.New(slog.DiscardHandler)),
		MetricsRegisterer: prometheus.NewRegistry(),
	}
	if c.Token != nil {
		opts.Authentication = pulsar.NewAuthenticationTokenFromSupplier(c.Token)
	}
	return pulsar.NewClient(opts)
}

type cluster struct {
	Cluster
	client pulsar.Client

	mu        sync.Mutex
	producers map[string]pulsar.Producer // by topic
}

// New connects lazily; Close flushes nothing: a proxy's memory is lost with the proxy.
func New(clusters ...Cluster) (*Queue, error) {
	if len(clusters) == 0 {
		return nil, errors.New("opening queue: no Pulsar cluster given")
	}
	q := &Queue{}
	for i, c := range clusters {
		client, err := c.open()
		if err != nil {
			q.Close()
			return nil, fmt.Errorf("opening queue cluster %d: %w", i, err)
		}
		q.clusters = append(q.clusters, &cluster{Cluster: c, client: client, producers: make(map[string]pulsar.Producer)})
	}
	return q, nil
}

// Ping asks each cluster for a topic, which need not exist, so that one that cannot be reached is known at once.
func (q *Queue) Ping(ctx context.Context, group, stream string) error {
	for _, c := range q.clusters {
		done := make(chan error, 1)
		go func() { // it ends with the client's operation timeout
			_, err := c.client.TopicPartitions(c.TopicOf(group, stream))
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil && !strings.Contains(err.Error(), "TopicNotFound") {
				return fmt.Errorf("connecting to the queue at %s: %w; hint: are the brokers up, and may this token produce there?", c.ServiceURL, err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Clusters returns how many clusters there are.
func (q *Queue) Clusters() int { return len(q.clusters) }

// Put spreads the messages round robin over the clusters and waits until the brokers have all of it. An error is a
// *dptest.PutError that says which messages are stored.
func (q *Queue) Put(ctx context.Context, m []dptest.QueueMessage) error {
	return q.spread.Put(ctx, q, m)
}

// PutTo is Put for one cluster. When ctx ends, it waits for the messages that the client has, so that the
// error is right; after 10 s they count as not stored.
func (q *Queue) PutTo(ctx context.Context, clusterNumber int, m []dptest.QueueMessage) error {
	if len(m) == 0 {
		return nil
	}
	c := q.clusters[clusterNumber]
	answers := dptest.NewAnswers(len(m))
	used := make(map[string]pulsar.Producer)
	for i := range m {
		topic := c.TopicOf(m[i].Group, m[i].Stream)
		p, err := c.producer(ctx, topic)
		if err != nil {
			answers.Add(i, fmt.Errorf("opening a producer of %s: %w", topic, err))
			continue
		}
		used[topic] = p
		p.SendAsync(ctx, message(&m[i]), func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) {
			if err != nil {
				err = fmt.Errorf("producing to %s: %w", topic, err)
			}
			answers.Add(i, err)
		})
	}
	for _, p := range used {
		go func() { _ = p.FlushWithCtx(ctx) }() // a Put is a batch already; how it went is told per message
	}
	err := answers.Wait(ctx)
	if err != nil && ctx.Err() == nil {
		c.forget(used)
	}
	return err
}

// message returns the message that PulsarHandler makes: no key, the headers as properties, the value as it is.
func message(m *dptest.QueueMessage) *pulsar.ProducerMessage {
	properties := make(map[string]string, len(m.Headers))
	for _, h := range m.Headers {
		properties[h.Key] = h.Value
	}
	return &pulsar.ProducerMessage{Payload: m.Value, Properties: properties}
}

// producer returns the producer of a topic. Opening one takes at most patience.
func (c *cluster) producer(ctx context.Context, topic string) (pulsar.Producer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.producers[topic]; p != nil {
		return p, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := c.client.CreateProducer(pulsar.ProducerOptions{
		Topic: topic, CompressionType: pulsar.SNAPPY, SendTimeout: -1, // as it is sent, a message waits for its broker
		BatchingMaxMessages: batchMessages, BatchingMaxSize: batchBytes, BatchingMaxPublishDelay: batchDelay,
		PartitionsAutoDiscoveryInterval: 5 * time.Second,
		BackOffPolicyFunc:               func() backoff.Policy { return steady{} }, // the client's own grows to a minute
	})
	if err != nil {
		return nil, err
	}
	c.producers[topic] = p
	return p, nil
}

// steady tries again after the same pause.
type steady struct{}

func (steady) Next() time.Duration       { return 500 * time.Millisecond }
func (steady) IsMaxBackoffReached() bool { return false }
func (steady) Reset()                    {}

// forget closes producers of which a message was refused: the next Put opens others.
func (c *cluster) forget(used map[string]pulsar.Producer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, p := range used {
		if c.producers[topic] == p {
			delete(c.producers, topic)
			go p.Close() // at most patience
		}
	}
}

// Close closes the connections. A Put under way fails.
func (q *Queue) Close() {
	var wg sync.WaitGroup
	for _, c := range q.clusters {
		wg.Go(c.client.Close)
	}
	wg.Wait()
}
