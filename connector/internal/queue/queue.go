// Package queue makes the reader of the queue behind the proxies from the configuration, with the adapter for its kind, and
// says what an operator needs to know of it: which topics streams are looked for in, and how long packs take.
//
// The build tag nopulsar leaves out the adapter for Pulsar, and Apache's client with it.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
)

// Opener makes readers.
type Opener struct {
	Config   *config.Config
	Instance string    // first half of the mid of our packs
	Budget   int64     // of memory
	Opts     []kgo.Opt // further options of every Kafka client
	Log      *slog.Logger
}

// Places are the clusters that the Manager names, in place of those of the configuration.
type Places struct {
	Source   *managed.Source
	Kind     string // in the Manager's words
	Clusters []managed.Place
}

// Open makes the reader of the clusters that the configuration names or, with places, the Manager. Nothing is connected yet.
func (o *Opener) Open(places *Places) (confirm.Reader, error) {
	if places != nil && places.Kind == managed.Pulsar || places == nil && len(o.Config.Queue.Pulsar) > 0 {
		return o.openPulsar(places)
	}
	return o.openKafka(places)
}

// topicOf is TopicOf of a reader.
type topicOf func(ctx context.Context, group, stream string) (string, error)

func (p *Places) topicOf() topicOf {
	if p == nil {
		return nil
	}
	return p.Source.TopicOf
}

// joinable is a reader that one more cluster may join, of which the configuration is a C.
type joinable[C any] interface {
	confirm.Reader
	Join(ctx context.Context, c C, since time.Time) error
}

// open makes a reader of the clusters that the Manager names, made by at, or of those of the configuration, made by of. It
// tells the source how another cluster joins it.
func open[P, C any, R joinable[C]](places *Places, at func(managed.Place) (C, error), listed []P, of func(P) (C, error),
	newReader func([]C) (R, error)) (confirm.Reader, error) {
	var all []C
	var errs []error
	add := func(c C, err error) { all, errs = append(all, c), append(errs, err) }
	for _, p := range listed {
		add(of(p))
	}
	if places != nil {
		for _, p := range places.Clusters {
			add(at(p))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r, err := newReader(all)
	if err != nil {
		return nil, err
	}
	if places == nil {
		return r, nil
	}
	return places.Source.Reader(r, func(ctx context.Context, p managed.Place, since time.Time) error {
		c, err := at(p)
		if err != nil {
			return r.Miss(p.Name, err)
		}
		return r.Join(ctx, c, since)
	}), nil
}

// Check looks at the files that the queue section names, also at those for clusters that the Manager
// names later.
func (o *Opener) Check() error {
	q := &o.Config.Queue
	if q.Manager {
		_, err := o.KafkaOpts(o.Config.Kafka.Brokers, q.TLS, q.SASL)
		if err == nil && q.Token.Set() {
			_, err = q.Token.Value()
		}
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
	}
	for _, k := range q.Kafka {
		if _, err := o.KafkaOpts(k.Brokers, k.TLS, k.SASL); err != nil {
			return fmt.Errorf("queue cluster %s: %w", k.Name, err)
		}
	}
	return o.checkPulsar()
}
