// Package kafka reads the queue behind the proxies where it is Kafka: topics of one or several clusters, with one client per cluster,
// without a group, at positions that package confirm fixes.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/mapping/queuetopic"
)

// Config says which Kafka clusters are the queue.
type Config struct {
	Clusters []Cluster
	Instance string        // first half of the mid of our packs
	Timeout  time.Duration // a cluster that is silent for so long counts as one that does not answer
	Log      *slog.Logger  // nil for none
	Unfold   int           // bytes that a compressed batch may unfold to; 0 for 64 MiB

	// TopicOf names the topic of a stream, in place of the templates; see confirm.Config.
	TopicOf func(ctx context.Context, group, stream string) (string, error)
}

// Cluster is the configuration of one cluster.
type Cluster struct {
	Name  string
	Opts  []kgo.Opt // seeds, TLS, SASL, client id; the reader sets the options of consuming
	Topic string    // template over {group} and {stream}; unused with TopicOf
}

// Reader reads the topics behind the proxies. It is safe for concurrent use.
//
// Its clients hold at most maxFetches fetches of fetchBytes each, per cluster, beside the fetch that is being
// looked at.
type Reader struct {
	*confirm.Engine
	cfg Config
}

var _ confirm.Reader = (*Reader)(nil)

// defaultUnfold bounds what a compressed batch may unfold to. A pack has at most 20 MiB.
const defaultUnfold = 64 << 20

// New checks the configuration and makes the clients; nothing is connected yet.
func New(cfg Config) (*Reader, error) {
	var names []string
	for _, c := range cfg.Clusters {
		names = append(names, c.Name)
	}
	shared := confirm.Config{Kind: "kafka", Instance: cfg.Instance, Timeout: cfg.Timeout, Log: cfg.Log, TopicOf: cfg.TopicOf}
	errs := shared.Check(names)
	for _, c := range cfg.Clusters {
		errs = append(errs, c.check(cfg.TopicOf != nil)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("invalid queue reader: %w", err)
	}
	if cfg.Unfold <= 0 {
		cfg.Unfold = defaultUnfold
	}
	r := &Reader{confirm.NewEngine(shared), cfg}
	for _, c := range cfg.Clusters {
		cluster, err := r.newCluster(c)
		if err == nil {
			err = r.Add(cluster)
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
	if named {
		return nil
	}
	if c.Topic == "" {
		errs = append(errs, fmt.Errorf("cluster %q has no topic", c.Name))
	}
	if p := queuetopic.Template(c.Topic).Unknown(); p != "" {
		errs = append(errs, fmt.Errorf("topic %q of cluster %q: %s is neither {group} nor {stream}", c.Topic, c.Name, p))
	}
	return errs
}

// Join has one more cluster read, from the records on that were put into it after since, by the clocks of those who put
// them; a zero since is now. It returns when barriers ask for the cluster. After an error the cluster is not read yet: until it
// joins, or Leave gives it up, the queue counts as one that does not answer.
func (r *Reader) Join(ctx context.Context, c Cluster, since time.Time) error {
	if err := errors.Join(c.check(r.cfg.TopicOf != nil)...); err != nil {
		return r.Miss(c.Name, err)
	}
	cluster, err := r.newCluster(c)
	if err != nil {
		return r.Miss(c.Name, err)
	}
	return r.Engine.Join(ctx, cluster, since)
}
