package confirm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// PulsarConfig says which Pulsar clusters are the queue.
type PulsarConfig struct {
	Clusters []PulsarCluster
	Instance string        // first half of the mid of our packs
	Timeout  time.Duration // a cluster that has not answered for so long does not answer
	Log      *slog.Logger  // nil for none

	// TopicOf names the topic of a stream, as topic, namespace/topic, tenant/namespace/topic or tenant//topic, in
	// place of the templates, which fill in what it leaves out. See KafkaConfig.TopicOf.
	TopicOf func(ctx context.Context, group, stream string) (string, error)
}

// PulsarCluster is one of them.
type PulsarCluster struct {
	Name       string
	ServiceURL string // pulsar:// or pulsar+ssl://, several hosts with commas between
	Tenant     string
	Namespace  string // template over {group} and {stream}
	Topic      string // template over {group} and {stream}; unused with TopicOf
	TLS        *tls.Config
	AdminURL   string // http:// or https://, to tell a missing namespace from a missing topic; "" for none
	AdminTLS   *tls.Config
	// Token is asked at each connection, nil for none.
	Token func() (string, error)
}

// Pulsar reads the topics behind the proxies in one or several Pulsar clusters: a reader per partition, at
// ids fixed here, and opened anew behind the last message that was accepted whenever its connection
// ends. It is safe for concurrent use.
//
// A reader holds at most pulsarQueue messages, and one batch of its producer.
type Pulsar struct {
	*reader
	dial func(PulsarCluster) (pulsarConn, error)
}

var _ Reader = (*Pulsar)(nil)

// NewPulsar checks the configuration and makes the clients; nothing is connected yet.
func NewPulsar(cfg PulsarConfig) (*Pulsar, error) {
	return newPulsar(cfg, func(c PulsarCluster) (pulsarConn, error) { return dialPulsar(c, cfg.Timeout, cfg.Log) })
}

// newPulsar makes a reader over any client.
func newPulsar(cfg PulsarConfig, dial func(PulsarCluster) (pulsarConn, error)) (*Pulsar, error) {
	var names []string
	for _, c := range cfg.Clusters {
		names = append(names, c.Name)
	}
	errs := checkReader(cfg.Instance, cfg.Timeout, names)
	for _, c := range cfg.Clusters {
		errs = append(errs, c.check(cfg.TopicOf != nil)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("invalid queue reader: %w", err)
	}
	r := newReader("pulsar", cfg.Instance, cfg.Timeout, cfg.Log)
	r.topicOf, r.pos = cfg.TopicOf, NewPositions(names...)
	for _, c := range cfg.Clusters {
		conn, err := dial(c)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("queue cluster %s: %w", c.Name, err)
		}
		r.clusters = append(r.clusters, newPulsarCluster(r, c, conn))
	}
	return &Pulsar{r, dial}, nil
}

// check looks at what is configured; named says that TopicOf names the topics.
func (c *PulsarCluster) check(named bool) (errs []error) {
	if c.ServiceURL == "" {
		errs = append(errs, fmt.Errorf("cluster %q has no service URL", c.Name))
	}
	for _, part := range []struct{ what, template string }{{"tenant", c.Tenant}, {"namespace", c.Namespace}, {"topic", c.Topic}} {
		if part.template == "" && (part.what != "topic" || !named) {
			errs = append(errs, fmt.Errorf("cluster %q has no %s", c.Name, part.what))
		}
		for _, p := range placeholder.FindAllString(part.template, -1) {
			if part.what == "tenant" || p != "{group}" && p != "{stream}" {
				errs = append(errs, fmt.Errorf("%s %q of cluster %q: %s is neither {group} nor {stream}", part.what, part.template, c.Name, p))
			}
		}
	}
	return errs
}

// Join has one more cluster read, from the ends of its topics as they are now, whatever since is: what was put
// into it before counts as not seen. See Kafka.Join.
func (p *Pulsar) Join(ctx context.Context, c PulsarCluster, since time.Time) error {
	if err := errors.Join(c.check(p.topicOf != nil)...); err != nil {
		return p.Miss(c.Name, err)
	}
	conn, err := p.dial(c)
	if err != nil {
		return p.Miss(c.Name, err)
	}
	return p.join(ctx, newPulsarCluster(p.reader, c, conn), since)
}

// topic is the whole name of a stream's topic.
func (c *pulsarCluster) topic(named, group, stream string) string {
	fill := strings.NewReplacer("{group}", group, "{stream}", stream).Replace
	if c.r.topicOf == nil {
		named = fill(c.cfg.Topic)
	}
	parts := strings.Split(strings.TrimPrefix(named, "persistent://"), "/")
	switch len(parts) {
	case 1:
		parts = append([]string{c.cfg.Tenant, fill(c.cfg.Namespace)}, parts...)
	case 2:
		parts = append([]string{c.cfg.Tenant}, parts...)
	case 3:
		if parts[1] == "" { // of a stream for which only the tenant is named
			parts[1] = fill(c.cfg.Namespace)
		}
	}
	return "persistent://" + strings.Join(parts, "/")
}
