package connector

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkaclient"
)

// clientOpts are the options of every client of the source's brokers.
func (b *Bridge) clientOpts() ([]kgo.Opt, error) {
	opts, err := plainOpts(b.cfg, b.deps, b.limits)
	if err == nil && b.requeue != nil {
		opts = append(opts, kgo.WithHooks(b.requeue.reader))
	}
	return opts, err
}

// plainOpts are those of a client that gets letters as they are.
func plainOpts(cfg *config.Config, deps Deps, l config.Limits) ([]kgo.Opt, error) {
	k := &cfg.Kafka
	opts, err := kafkaclient.Options(k.Brokers, k.ClientID, k.TLS, k.SASL, deps.Log)
	if err != nil {
		return nil, err
	}
	if k.MetadataMaxAge > 0 {
		opts = append(opts, kgo.MetadataMaxAge(k.MetadataMaxAge), kgo.MetadataMinAge(min(k.MetadataMaxAge, 2500*time.Millisecond)))
	}
	if k.Rack != "" {
		opts = append(opts, kgo.Rack(k.Rack))
	}
	if k.Isolation == "read_committed" {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	// A request is sized by its bytes on the wire, and a small batch may unfold to any size.
	opts = append(opts, kgo.MaxDecompressBatchBytes(int(l.Budget)))
	return append(opts, deps.KafkaOpts...), nil
}
