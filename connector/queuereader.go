package connector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/sdk/manager"
)

// queueReader makes the reader of the queue behind the proxies, of the clusters that the configuration or the
// Manager names. Beyond this file nothing knows which kind of queue it is.
func (b *Bridge) queueReader(ctx context.Context, m *manager.Client) (confirm.Reader, error) {
	q := &b.cfg.Queue
	var named func(context.Context, string, string) (string, error)
	var places []queuePlace
	kind := queueKafka
	switch {
	case q.Manager:
		in := &b.cfg.InLong
		b.source = newQueueSource(m, in.ClusterName, in.ClusterTag, in.CacheDir, b.log)
		named = b.source.topicOf
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		var err error
		if kind, places, err = b.source.start(ctx); err != nil {
			return nil, err
		}
	case len(q.Pulsar) > 0:
		kind = queuePulsar
	}
	if kind == queuePulsar {
		cfg := confirm.PulsarConfig{Instance: b.instance, Timeout: q.Timeout, Log: b.log, TopicOf: named}
		for i := range places {
			p := &places[i]
			cluster, err := pulsarCluster(config.PulsarCluster{
				Name: p.Name, ServiceURL: strings.Join(p.Brokers, ","), Tenant: p.Tenant, Namespace: p.Namespace, TLS: q.TLS, Token: q.Token,
			})
			if err != nil {
				return nil, err
			}
			cfg.Clusters = append(cfg.Clusters, cluster)
		}
		for _, p := range q.Pulsar {
			cluster, err := pulsarCluster(p)
			if err != nil {
				return nil, err
			}
			cfg.Clusters = append(cfg.Clusters, cluster)
		}
		return readerOrError(confirm.NewPulsar(cfg))
	}
	cfg := confirm.KafkaConfig{Instance: b.instance, Timeout: q.Timeout, Log: b.log, TopicOf: named}
	add := func(name string, brokers []string, topic string, t config.TLS, s config.SASL) error {
		opts, err := kafkaclient.Options(brokers, b.cfg.Kafka.ClientID, t, s, b.log)
		if err != nil {
			return fmt.Errorf("queue cluster %s: %w", name, err)
		}
		cfg.Clusters = append(cfg.Clusters, confirm.KafkaCluster{Name: name, Opts: append(opts, b.deps.KafkaOpts...), Topic: topic})
		return nil
	}
	for _, p := range places {
		if err := add(p.Name, p.Brokers, "", q.TLS, q.SASL); err != nil {
			return nil, err
		}
	}
	for _, k := range q.Kafka {
		if err := add(k.Name, k.Brokers, k.Topic, k.TLS, k.SASL); err != nil {
			return nil, err
		}
	}
	return readerOrError(confirm.NewKafka(cfg))
}

// readerOrError keeps a nil pointer from becoming a reader.
func readerOrError[R confirm.Reader](r R, err error) (confirm.Reader, error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// checkQueueSecrets looks at the files that the queue section names, also those for clusters that the Manager
// names later.
func (b *Bridge) checkQueueSecrets() error {
	q := &b.cfg.Queue
	if q.Manager {
		_, err := kafkaclient.Options(b.cfg.Kafka.Brokers, b.cfg.Kafka.ClientID, q.TLS, q.SASL, b.log)
		if err == nil && q.Token.Set() {
			_, err = q.Token.Value()
		}
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
	}
	for _, k := range q.Kafka {
		if _, err := kafkaclient.Options(k.Brokers, b.cfg.Kafka.ClientID, k.TLS, k.SASL, b.log); err != nil {
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
	if c.TLS, err = pulsarTLS(p.ServiceURL, p.TLS); err != nil {
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
	if !secure {
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
