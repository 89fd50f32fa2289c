package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/mapping/queuetopic"
	"inlong-bridge/sdk/dptest"
)

const (
	demoGroup = "demo"

	demoQueueTopic queuetopic.Template = "queue.{group}.{stream}"
)

// demoCluster is everything that the bridge needs around it: a Kafka with the topics and the queue, two proxies, a
// Manager, and a directory.
type demoCluster struct {
	kafka *kfake.Cluster
	queue interface {
		dptest.Queue
		Close()
	}
	pulsar  *pulsarPlace // holds the queue; nil if the Kafka does
	proxies []*dptest.Proxy
	manager *dptest.Manager
	admin   *kadm.Client
	client  *kgo.Client // the producer's, and admin's
	dir     string
	status  string // host:port of the bridge's HTTP server
}

// streamsOf lists the streams that a topic feeds.
func streamsOf(topic int) []string {
	if topic == logsTopic {
		return logServices
	}
	return []string{demoTopics[topic].name}
}

func startDemoCluster(ctx context.Context, f *demoFlags) (c *demoCluster, err error) {
	c = &demoCluster{}
	defer func() {
		if err != nil {
			c.close()
			c, err = nil, fmt.Errorf("starting the demo: %w", err)
		}
	}()
	opts := []kfake.Opt{kfake.NumBrokers(1)}
	for i, t := range demoTopics {
		opts = append(opts, kfake.SeedTopics(t.partitions, t.name))
		for _, s := range streamsOf(i) {
			opts = append(opts, kfake.SeedTopics(2, demoQueueTopic.Fill(t.group, s)))
		}
	}
	if c.kafka, err = kfake.NewCluster(opts...); err != nil {
		return c, err
	}
	if c.client, err = kgo.NewClient(
		kgo.SeedBrokers(c.kafka.ListenAddrs()...),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerBatchMaxBytes(900<<10),
	); err != nil {
		return c, err
	}
	c.admin = kadm.NewClient(c.client)
	if err = c.openQueue(ctx, f.queue); err != nil {
		return c, err
	}
	c.manager = dptest.NewManager()
	if err = c.manager.Start("127.0.0.1:0"); err != nil {
		return c, err
	}
	var addrs []string
	for i := range 2 {
		p, err := dptest.NewProxy(c.queue, dptest.WithSeed(f.seed+uint64(i)))
		if err != nil {
			return c, err
		}
		c.proxies = append(c.proxies, p)
		addrs = append(addrs, p.Addr())
	}
	c.manager.SetNodes(addrs...)
	if c.dir, err = os.MkdirTemp("", "inlong-bridge-demo-"); err != nil {
		return c, err
	}
	c.status, err = freeAddr(ctx)
	return c, err
}

// openQueue opens the queue behind the proxies: the demo's Kafka, or the user's Pulsar.
func (c *demoCluster) openQueue(ctx context.Context, queue string) (err error) {
	if queue == "" {
		c.queue, err = kafkahandler.New(kafkahandler.Cluster{
			Opts:  []kgo.Opt{kgo.SeedBrokers(c.kafka.ListenAddrs()...)},
			Topic: string(demoQueueTopic),
		})
		return err
	}
	q, err := parseDevQueue(queue)
	if err != nil {
		return err
	}
	at := q.pulsar()
	at.topic = "inlong-bridge-demo-" + strings.ToLower(rand.Text()[:8]) + "-{group}-{stream}" // the records of another run would count as foreign
	opened, err := openPulsarQueue(at)
	if err != nil {
		return err
	}
	c.queue, c.pulsar = opened, &at
	ctx, cancel := context.WithTimeout(ctx, devQueuePatience)
	defer cancel()
	return opened.Ping(ctx, demoGroup, demoGroup)
}

// freeAddr returns an address of this machine on which nothing listens at the moment.
func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// close ends everything, even if only a part of the cluster has started.
func (c *demoCluster) close() {
	for _, p := range c.proxies {
		_ = p.Close() // it never fails
	}
	if c.manager != nil {
		_ = c.manager.Close()
	}
	if c.queue != nil {
		c.queue.Close()
	}
	if c.client != nil {
		c.client.Close()
	}
	if c.kafka != nil {
		c.kafka.Close()
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

// config returns the demo's bridge.yaml, read in the same way as run reads one.
func (c *demoCluster) config(f *demoFlags) (*config.Config, error) {
	level := "error"
	if f.verbose {
		level = "info"
	}
	var b strings.Builder
	brokers := strings.Join(c.kafka.ListenAddrs(), ", ")
	fmt.Fprintf(&b, "kafka: {brokers: [%s], group: %s, start: earliest}\n", brokers, demoGroup)
	fmt.Fprintf(&b, "inlong: {manager: {urls: ['%s']}, cache_dir: '%s'}\n", c.manager.URL(), c.dir)
	fmt.Fprintf(&b, "routes:\n")
	for i, t := range demoTopics {
		stream := "{topic}"
		if i == logsTopic {
			stream = "{header:service}"
		}
		fmt.Fprintf(&b, "  - {topics: %s, group: %s, stream: '%s'}\n", t.name, t.group, stream)
	}
	// In settle the drain must be longer than settle and the time-out of an ack together.
	fmt.Fprintf(&b, "delivery: {confirm: %s, settle: %v, drain: %v}\n", f.confirm, f.settle, f.settle+30*time.Second)
	if f.confirm == "queue" {
		if p := c.pulsar; p != nil {
			fmt.Fprintf(&b, "queue: {pulsar: [{service_url: '%s', tenant: '%s', namespace: '%s', topic: '%s'}]", p.serviceURL, p.tenant, p.namespace, p.topic)
		} else {
			fmt.Fprintf(&b, "queue: {kafka: [{brokers: [%s], topic: '%s'}]", brokers, demoQueueTopic)
		}
		if f.lossGrace > 0 {
			fmt.Fprintf(&b, ", loss_grace: %v", f.lossGrace)
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "admin: {listen: '%s'}\nlog: {level: %s}\n", c.status, level)
	return config.Parse("demo", []byte(b.String()), func(string) (string, bool) { return "", false })
}

// inMemory returns how many packs the proxies hold that are not in the queue yet.
func (c *demoCluster) inMemory() (packs int) {
	for _, p := range c.proxies {
		packs += p.Stats().InMemory
	}
	return packs
}

// committed returns how many records of each topic are committed.
func (c *demoCluster) committed(ctx context.Context) (n [topicCount]int64, err error) {
	offsets, err := c.admin.FetchOffsets(ctx, demoGroup)
	switch {
	case errors.Is(err, kerr.GroupIDNotFound): // the bridge has not joined yet
		return n, nil
	case err != nil:
		return n, err
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		for i := range demoTopics {
			if o.Err == nil && o.At > 0 && o.Topic == demoTopics[i].name {
				n[i] += o.At // the demo's partitions begin at 0 and have no gaps
			}
		}
	})
	return n, nil
}

// readQueue calls pack for each message that is in the queue now, with the topic that feeds it.
func (c *demoCluster) readQueue(ctx context.Context, pack func(topic int, stream string, p *kafkahandler.Pack)) error {
	for topic := range demoTopics {
		for _, stream := range streamsOf(topic) {
			if c.pulsar != nil {
				name := c.pulsar.topicOf(demoTopics[topic].group, stream)
				if err := readPulsarQueue(ctx, c.pulsar, name, func(p *kafkahandler.Pack) { pack(topic, stream, p) }); err != nil {
					return err
				}
				continue
			}
			name := demoQueueTopic.Fill(demoTopics[topic].group, stream)
			err := kafkahandler.ReadAll(ctx, []kgo.Opt{kgo.SeedBrokers(c.kafka.ListenAddrs()...)}, []string{name},
				func(p kafkahandler.Pack) error { pack(topic, stream, &p); return nil })
			if err != nil {
				return err
			}
		}
	}
	return nil
}
