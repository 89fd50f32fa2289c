//go:build !nopulsar

package queue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/confirm/pulsar"
	"inlong-bridge/connector/kafkaclient"
)

func (o *Opener) openPulsar(places *Places) (confirm.Reader, error) {
	q := &o.Config.Queue
	at := func(p managed.Place) (pulsar.Cluster, error) {
		return pulsarCluster(config.PulsarCluster{
			Name: p.Name, ServiceURL: strings.Join(p.Brokers, ","), Tenant: p.Tenant, Namespace: p.Namespace, TLS: q.TLS, Token: q.Token,
		})
	}
	return open(places, at, q.Pulsar, pulsarCluster, func(all []pulsar.Cluster) (*pulsar.Reader, error) {
		return pulsar.New(pulsar.Config{Clusters: all, Instance: o.Instance, Timeout: q.Timeout, Log: o.Log, TopicOf: places.topicOf()})
	})
}

func (o *Opener) checkPulsar() error {
	for _, p := range o.Config.Queue.Pulsar {
		if _, err := pulsarCluster(p); err != nil {
			return err
		}
	}
	return nil
}

// pulsarCluster returns what the reader needs to know of a cluster of the configuration.
func pulsarCluster(p config.PulsarCluster) (c pulsar.Cluster, err error) {
	c = pulsar.Cluster{
		Name: p.Name, ServiceURL: p.ServiceURL, AdminURL: p.AdminURL, Tenant: p.Tenant, Namespace: p.Namespace, Topic: p.Topic,
	}
	if c.TLS, err = pulsarTLS(p.ServiceURL, p.TLS); err == nil {
		c.AdminTLS, err = kafkaclient.TLSConfig(p.TLS) // it may be another host
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

// pulsarTLS names the server, since the client of Pulsar does not add the name to a configuration that it is given. All
// brokers must have a certificate for it.
func pulsarTLS(serviceURL string, t config.TLS) (*tls.Config, error) {
	hosts, secure := strings.CutPrefix(serviceURL, "pulsar+ssl://")
	switch {
	case !secure && t.Enabled:
		return nil, fmt.Errorf("%s has no TLS, and tls is configured; hint: write pulsar+ssl:// where the bridge gets this address from, or remove tls", serviceURL)
	case !secure:
		return nil, nil
	}
	t.Enabled = true // with the system's certificates, where there is no tls section
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
