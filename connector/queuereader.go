package connector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/manager"
)

// queueReader makes the reader of the queue behind the proxies, of the clusters that the configuration or the
// Manager names. Beyond this file nothing knows which kind of queue it is.
func (b *Bridge) queueReader(ctx context.Context, m *manager.Client) (confirm.Reader, error) {
	q := &b.cfg.Queue
	var named namer
	var places []queuePlace
	kind := queueKafka
	switch {
	case q.Manager:
		in := &b.cfg.InLong
		b.source = newQueueSource(m, in.ClusterName, in.ClusterTag, in.CacheDir, b.log)
		named = b.source.topicOf
		err := b.awaitStart(ctx, "the Manager", managerOutlook, func(ctx context.Context) (err error) {
			kind, places, err = b.source.start(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
	case len(q.Pulsar) > 0:
		kind = queuePulsar
	}
	if kind == queuePulsar {
		return b.pulsarReader(places, named)
	}
	return b.kafkaReader(places, named)
}

// namer is TopicOf of a reader.
type namer func(ctx context.Context, group, stream string) (string, error)

// kafkaReader reads the clusters that the Manager names, places, and those of the configuration.
func (b *Bridge) kafkaReader(places []queuePlace, named namer) (confirm.Reader, error) {
	q := &b.cfg.Queue
	cluster := func(name string, brokers []string, topic string, t config.TLS, s config.SASL) (confirm.KafkaCluster, error) {
		opts, err := b.queueOpts(brokers, t, s)
		if err != nil {
			return confirm.KafkaCluster{}, fmt.Errorf("queue cluster %s: %w", name, err)
		}
		return confirm.KafkaCluster{Name: name, Opts: opts, Topic: topic}, nil
	}
	at := func(p queuePlace) (confirm.KafkaCluster, error) { return cluster(p.Name, p.Brokers, "", q.TLS, q.SASL) }
	of := func(k config.QueueCluster) (confirm.KafkaCluster, error) {
		return cluster(k.Name, k.Brokers, k.Topic, k.TLS, k.SASL)
	}
	return readerOf(b.source, places, at, q.Kafka, of, func(all []confirm.KafkaCluster) (*confirm.Kafka, error) {
		return confirm.NewKafka(confirm.KafkaConfig{Clusters: all, Instance: b.instance, Timeout: q.Timeout, Log: b.log, TopicOf: named,
			Unfold: int(max(b.limits.Budget/4, minUnfold))})
	})
}

// queueOpts are the options of a client for a Kafka cluster of the queue.
func (b *Bridge) queueOpts(brokers []string, t config.TLS, s config.SASL) ([]kgo.Opt, error) {
	opts, err := kafkaclient.Options(brokers, b.cfg.Kafka.ClientID, t, s, b.log)
	return append(opts, b.deps.KafkaOpts...), err
}

// minUnfold is the least that a batch of the queue may unfold to: more than the largest pack.
const minUnfold = 32 << 20

// pulsarReader is kafkaReader for Pulsar.
func (b *Bridge) pulsarReader(places []queuePlace, named namer) (confirm.Reader, error) {
	q := &b.cfg.Queue
	at := func(p queuePlace) (confirm.PulsarCluster, error) {
		return pulsarCluster(config.PulsarCluster{
			Name: p.Name, ServiceURL: strings.Join(p.Brokers, ","), Tenant: p.Tenant, Namespace: p.Namespace, TLS: q.TLS, Token: q.Token,
		})
	}
	return readerOf(b.source, places, at, q.Pulsar, pulsarCluster, func(all []confirm.PulsarCluster) (*confirm.Pulsar, error) {
		return confirm.NewPulsar(confirm.PulsarConfig{Clusters: all, Instance: b.instance, Timeout: q.Timeout, Log: b.log, TopicOf: named})
	})
}

// joinable is a reader that one more cluster may join.
type joinable[C any] interface {
	confirm.Reader
	Join(ctx context.Context, c C, since time.Time) error
	Miss(name string, err error) error
}

// readerOf makes a reader of the clusters that the Manager names, made by at, and of those of the configuration, made
// by of, and tells the source, if there is one, how one more that is named joins it.
func readerOf[P, C any, R joinable[C]](source *queueSource, places []queuePlace, at func(queuePlace) (C, error),
	listed []P, of func(P) (C, error), open func([]C) (R, error)) (confirm.Reader, error) {
	var all []C
	var errs []error
	add := func(c C, err error) { all, errs = append(all, c), append(errs, err) }
	for _, p := range places {
		add(at(p))
	}
	for _, p := range listed {
		add(of(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r, err := open(all)
	if err != nil {
		return nil, err
	}
	if source != nil {
		source.join = func(ctx context.Context, p queuePlace, since time.Time) error {
			c, err := at(p)
			if err != nil {
				return r.Miss(p.Name, err)
			}
			return r.Join(ctx, c, since)
		}
		return sourcedReader{r, source}, nil
	}
	return r, nil
}

// sourcedReader is a reader whose source follows the topics of the streams that are watched.
type sourcedReader struct {
	confirm.Reader
	source *queueSource
}

var _ sdk.Unwatcher = sourcedReader{}

// Unwatch implements [confirm.Reader].
func (r sourcedReader) Unwatch(group, stream string) {
	r.source.forget(RouteStatus{Group: group, Stream: stream}) // first, or the source might watch another topic of it in between
	r.Reader.Unwatch(group, stream)
}

// checkQueueSecrets looks at the files that the queue section names, also those for clusters that the Manager
// names later.
func (b *Bridge) checkQueueSecrets() error {
	q := &b.cfg.Queue
	if q.Manager {
		_, err := b.queueOpts(b.cfg.Kafka.Brokers, q.TLS, q.SASL)
		if err == nil && q.Token.Set() {
			_, err = q.Token.Value()
		}
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
	}
	for _, k := range q.Kafka {
		if _, err := b.queueOpts(k.Brokers, k.TLS, k.SASL); err != nil {
			return fmt.Errorf("queue cluster %s: %w", k.Name, err)
		}
	}
	for _, p := range q.Pulsar {
		if _, err := pulsarCluster(p); err != nil {
			return err
		}
	}
	return nil
}

// pulsarCluster has what the reader needs of a cluster of the configuration.
func pulsarCluster(p config.PulsarCluster) (c confirm.PulsarCluster, err error) {
	c = confirm.PulsarCluster{
		Name: p.Name, ServiceURL: p.ServiceURL, AdminURL: p.AdminURL, Tenant: p.Tenant, Namespace: p.Namespace, Topic: p.Topic,
	}
	if c.TLS, err = pulsarTLS(p.ServiceURL, p.TLS); err == nil {
		c.AdminTLS, err = kafkaclient.TLSConfig(p.TLS) // for a host of its own
	}
	if err != nil {
		return c, fmt.Errorf("queue cluster %s: %w", p.Name, err)
	}
	if p.Token.Set() {
		if _, err := p.Token.Value(); err != nil {
			return c, fmt.Errorf("queue cluster %s: %w", p.Name, err)
		}
		c.Token = p.Token.Value
	}
	return c, nil
}

// pulsarTLS names the server: the client of Pulsar leaves that to whoever gives it a configuration. All brokers
// must have a certificate for it.
func pulsarTLS(serviceURL string, t config.TLS) (*tls.Config, error) {
	hosts, secure := strings.CutPrefix(serviceURL, "pulsar+ssl://")
	switch {
	case !secure && t.Enabled:
		return nil, fmt.Errorf("%s has no TLS, and tls is configured; hint: name it pulsar+ssl://, where the bridge gets it from, or take out tls", serviceURL)
	case !secure:
		return nil, nil
	}
	t.Enabled = true // the system's certificates, where the section is left out
	cfg, err := kafkaclient.TLSConfig(t)
	if err == nil && cfg.ServerName == "" {
		first, _, _ := strings.Cut(hosts, ",")
		u, perr := url.Parse("pulsar://" + first)
		if perr != nil {
			return nil, errors.Join(err, perr)
		}
		cfg.ServerName = u.Hostname()
	}
	return cfg, err
}
