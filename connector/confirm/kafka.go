package confirm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaConfig says which Kafka clusters are the queue.
type KafkaConfig struct {
	Clusters []KafkaCluster
	Instance string        // first half of the mid of our packs
	Timeout  time.Duration // a cluster that has not answered for so long does not answer
	Log      *slog.Logger  // nil for none
	Unfold   int           // bytes that a compressed batch may unfold to; 0 for 64 MiB

	// TopicOf names the topic of a stream in all clusters, in place of their templates; nil for the
	// templates. Watch asks it each time and may be called again for a stream that got another topic: the
	// former one is read on. It is called from several goroutines and may wait.
	TopicOf func(ctx context.Context, group, stream string) (string, error)
}

// KafkaCluster is one of them.
type KafkaCluster struct {
	Name  string
	Opts  []kgo.Opt // seeds, TLS, SASL, client id; what concerns consuming is set by the reader
	Topic string    // template over {group} and {stream}; unused with TopicOf
}

// Kafka reads the topics behind the proxies in one or several Kafka clusters: one client per cluster,
// without a group, at positions fixed here. It is safe for concurrent use.
//
// Its clients hold at most kafkaFetches fetches of kafkaFetchBytes each, per cluster, beside what is being
// looked at.
type Kafka struct{ *reader }

var _ Reader = (*Kafka)(nil)

var placeholder = regexp.MustCompile(`\{[^{}]*\}|[{}]`)

// NewKafka checks the configuration and makes the clients; nothing is connected yet.
func NewKafka(cfg KafkaConfig) (*Kafka, error) {
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
	r := newReader("kafka", cfg.Instance, cfg.Timeout, cfg.Log)
	r.topicOf, r.pos = cfg.TopicOf, NewPositions(names...)
	if r.unfold = cfg.Unfold; r.unfold <= 0 {
		r.unfold = defaultUnfold
	}
	for _, c := range cfg.Clusters {
		cluster, err := newKafkaCluster(r, c)
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("queue cluster %s: %w", c.Name, err)
		}
		r.clusters = append(r.clusters, cluster)
	}
	return &Kafka{r}, nil
}

// check looks at what is configured; named says that TopicOf names the topics.
func (c *KafkaCluster) check(named bool) (errs []error) {
	if named {
		return nil
	}
	if c.Topic == "" {
		errs = append(errs, fmt.Errorf("cluster %q has no topic", c.Name))
	}
	for _, p := range placeholder.FindAllString(c.Topic, -1) {
		if p != "{group}" && p != "{stream}" {
			errs = append(errs, fmt.Errorf("topic %q of cluster %q: %s is neither {group} nor {stream}", c.Topic, c.Name, p))
		}
	}
	return errs
}

// Join has one more cluster read, from what was put into it after since by the clocks of those who put it; a
// zero since is now. It returns when barriers ask for it. After an error it is no part of the
// queue yet: until it joins, or Leave gives it up, the queue counts as one that does not answer.
func (k *Kafka) Join(ctx context.Context, c KafkaCluster, since time.Time) error {
	if err := errors.Join(c.check(k.topicOf != nil)...); err != nil {
		return k.Miss(c.Name, err)
	}
	cluster, err := newKafkaCluster(k.reader, c)
	if err != nil {
		return k.Miss(c.Name, err)
	}
	return k.join(ctx, cluster, since)
}
