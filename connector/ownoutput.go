package connector

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/output"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// findOutput asks the source for its cluster id, which the packs' origin needs, and the queue clusters for theirs.
func (b *Bridge) findOutput(ctx context.Context) error {
	var m kadm.Metadata
	err := b.awaitStart(ctx, "kafka", outlookOf, func(ctx context.Context) (err error) {
		m, err = b.admin.BrokerMetadata(ctx)
		return kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for its cluster id", b.cfg.Kafka.Brokers))
	})
	if err != nil {
		return err
	}
	group, letters := b.cfg.Kafka.Group, b.cfg.DeadLetter.Topic
	if b.requeue != nil { // it sends for that group, and is the only one that may consume the dead letters
		group, letters = b.requeue.sendsFor, ""
	}
	b.origin = route.OriginOf(m.Cluster, group)
	if err := b.sender.SetOrigin(b.origin); err != nil {
		return err
	}
	c := output.Config{Routes: b.sources, Brokers: b.cfg.Kafka.Brokers, DeadLetters: letters, Reader: b.queueOutputs, InUse: b.routes, Log: b.log}
	for i := range b.cfg.Queue.Kafka {
		k := &b.cfg.Queue.Kafka[i]
		c.Clusters = append(c.Clusters, output.Cluster{
			Name: k.Name, Brokers: k.Brokers, May: b.cfg.Routes.Outputs(k.Topic),
			Opts:  func() ([]kgo.Opt, error) { return b.queue().KafkaOpts(k.Brokers, k.TLS, k.SASL) },
			Topic: func(t mapping.Target) (string, bool) { return k.TopicOf(t), true },
		})
	}
	if b.source != nil {
		c.Managed = b.managedClusters
	}
	b.own = output.New(c, m.Cluster)
	b.own.AskClusters(ctx)
	return nil
}

// queueOutputs is the topics that the reader of the queue knows; ok is false without a reader.
func (b *Bridge) queueOutputs() (topics []confirm.Output, ok bool) {
	if b.reader == nil {
		return nil, false
	}
	return b.reader.Outputs(), true
}

// managedClusters is the Kafka clusters of the queue that the Manager names.
func (b *Bridge) managedClusters() (out []output.Cluster) {
	for _, p := range b.source.KafkaPlaces() {
		out = append(out, output.Cluster{
			Name: p.Name, Brokers: p.Brokers, Topic: func(t mapping.Target) (string, bool) { return b.source.TopicNow(t.Group, t.Stream) },
			Opts: func() ([]kgo.Opt, error) { return b.queue().KafkaOpts(p.Brokers, b.cfg.Queue.TLS, b.cfg.Queue.SASL) },
		})
	}
	return out
}

// openStream is how routes get their streams. A stream that comes into use makes its topic one that is written.
func (b *Bridge) openStream(group, stream string) (*sdk.Stream, error) {
	b.consumer.Look()
	return b.sender.Stream(group, stream)
}
