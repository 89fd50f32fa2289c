// Package pulsar reads the queue behind the proxies where it is Pulsar: topics of one or several clusters, with a reader per
// partition, at ids that package confirm fixes.
//
// The build tag nopulsar keeps this package, and Apache's client with it, out of the bridge.
package pulsar

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/mapping/queuetopic"
)

// Config says which Pulsar clusters are the queue.
type Config struct {
	Clusters []Cluster
	Instance string        // first half of the mid of our packs
	Timeout  time.Duration // a cluster that is silent for so long counts as one that does not answer
	Log      *slog.Logger  // nil for none

	// TopicOf names the topic of a stream, as topic, namespace/topic, tenant/namespace/topic or tenant//topic, in
	// place of the templates, which fill in the parts that it leaves out. See confirm.Config.
	TopicOf func(ctx context.Context, group, stream string) (string, error)
}

// Cluster is the configuration of one cluster.
type Cluster struct {
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

// Reader reads the topics behind the proxies. When the connection of a partition's reader ends, another reader is opened
// behind the last message that was accepted. It is safe for concurrent use.
//
// The reader of a partition holds at most queueSize messages, and one batch of its producer.
type Reader struct {
	*confirm.Engine
	cfg  Config
	dial func(Cluster) (conn, error)
}

var _ confirm.Reader = (*Reader)(nil)

// New checks the configuration and makes the clients; nothing is connected yet.
func New(cfg Config) (*Reader, error) {
	return newReader(cfg, func(c Cluster) (conn, error) { return dial(c, cfg.Timeout, cfg.Log) })
}

// newReader makes a reader over any client.
func newReader(cfg Config, dial func(Cluster) (conn, error)) (*Reader, error) {
	var names []string
	for _, c := range cfg.Clusters {
		names = append(names, c.Name)
	}
	shared := confirm.Config{Kind: "pulsar", Instance: cfg.Instance, Timeout: cfg.Timeout, Log: cfg.Log, TopicOf: cfg.TopicOf}
	errs := shared.Check(names)
	for _, c := range cfg.Clusters {
		errs = append(errs, c.check(cfg.TopicOf != nil)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("invalid queue reader: %w", err)
	}
	r := &Reader{confirm.NewEngine(shared), cfg, dial}
	for _, c := range cfg.Clusters {
		conn, err := dial(c)
		if err == nil {
			err = r.Add(r.newCluster(c, conn))
		}
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("queue cluster %s: %w", c.Name, err)
		}
	}
	return r, nil
}

// check looks at what is configured; named says that TopicOf names the topics.
func (c *Cluster) check(named bool) (errs []error) {
	if c.ServiceURL == "" {
		errs = append(errs, fmt.Errorf("cluster %q has no service URL", c.Name))
	}
	if strings.ContainsAny(c.Tenant, "{}") {
		errs = append(errs, fmt.Errorf("tenant %q of cluster %q: a tenant is no template", c.Tenant, c.Name))
	}
	for _, part := range []struct{ what, template string }{{"tenant", c.Tenant}, {"namespace", c.Namespace}, {"topic", c.Topic}} {
		if part.template == "" && (part.what != "topic" || !named) {
			errs = append(errs, fmt.Errorf("cluster %q has no %s", c.Name, part.what))
		}
		if part.what == "tenant" {
			continue
		}
		if p := queuetopic.Template(part.template).Unknown(); p != "" {
			errs = append(errs, fmt.Errorf("%s %q of cluster %q: %s is neither {group} nor {stream}", part.what, part.template, c.Name, p))
		}
	}
	return errs
}

// Join has one more cluster read, from the ends of its topics as they are now, whatever since is: messages that were put
// into it before count as unseen. See Join of package confirm/kafka.
func (r *Reader) Join(ctx context.Context, c Cluster, since time.Time) error {
	if err := errors.Join(c.check(r.cfg.TopicOf != nil)...); err != nil {
		return r.Miss(c.Name, err)
	}
	conn, err := r.dial(c)
	if err != nil {
		return r.Miss(c.Name, err)
	}
	return r.Engine.Join(ctx, r.newCluster(c, conn), since)
}

// Topic implements [confirm.Member]: it returns the whole name of a stream's topic.
func (c *cluster) Topic(named, group, stream string) string {
	if !c.named {
		named = queuetopic.Template(c.cfg.Topic).Fill(group, stream)
	}
	return c.whole(named, queuetopic.Template(c.cfg.Namespace).Fill(group, stream))
}

// Whole implements [confirm.Browser].
func (c *cluster) Whole(topic string) string { return c.whole(topic, c.cfg.Namespace) }

// whole adds to the name of a topic the tenant and the namespace that it leaves out.
func (c *cluster) whole(named, namespace string) string {
	parts := strings.Split(strings.TrimPrefix(named, "persistent://"), "/")
	switch len(parts) {
	case 1:
		parts = append([]string{c.cfg.Tenant, namespace}, parts...)
	case 2:
		parts = append([]string{c.cfg.Tenant}, parts...)
	case 3:
		if parts[1] == "" { // the Manager names only a tenant for this stream
			parts[1] = namespace
		}
	}
	return "persistent://" + strings.Join(parts, "/")
}
