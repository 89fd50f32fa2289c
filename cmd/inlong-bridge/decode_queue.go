package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
)

// decodeTimeout is how long a queue without a configuration may be silent.
const decodeTimeout = 10 * time.Second

// decodeQueue gives the chosen part of the queue to d.
func (f *decodeFlags) decodeQueue(cmd *cobra.Command, e *env, d *decoder) error {
	ctx := cmd.Context()
	now := time.Now()
	from, err := parseBound("--from", f.from, now)
	if err != nil {
		return err
	}
	to, err := parseBound("--to", f.to, now)
	if err != nil {
		return err
	}
	if to.back > 0 {
		return usagef("--to %q: an offset from the end is for --from", f.to)
	}
	cfg, err := f.queueConfig(cmd)
	if err != nil {
		return err
	}
	q, err := connector.OpenQueue(ctx, cfg, connector.Deps{Log: newLogger(cfg.Log, e.stderr)})
	if err != nil {
		return err
	}
	defer q.Close()
	found, clusters := false, []string(nil)
	var chosen []browsed
	for _, c := range q.Clusters {
		if f.cluster != "" && c.Name() != f.cluster {
			clusters = append(clusters, c.Name())
			continue
		}
		topics, err := f.topicsOf(ctx, q, c)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			l, err := c.Holds(ctx, topic)
			if err != nil {
				return fmt.Errorf("asking queue cluster %s what topic %s holds: %w", c.Name(), topic, err)
			}
			if !l.Exists {
				printf(e.stderr, "topic %s does not exist in queue cluster %s\n", topic, c.Name())
				continue
			}
			found = true
			stretches, err := f.stretches(e, c, topic, l, from, to)
			if err != nil {
				return err
			}
			for _, s := range stretches {
				chosen = append(chosen, browsed{c, s})
			}
		}
	}
	switch {
	case f.cluster != "" && len(clusters) == len(q.Clusters):
		return usagef("--cluster %q: the queue has the clusters %s", f.cluster, strings.Join(clusters, ", "))
	case !found:
		return errors.New("no such topic in the queue; hint: is it the topic that the proxies write to?")
	}
	if d.dedupe != nil {
		d.dedupe.read(chosen)
	}
	for _, b := range chosen {
		if err := b.in.Browse(ctx, b.Stretch, d.take); err != nil {
			return err
		}
	}
	return nil
}

// browsed is a part of the queue that was chosen.
type browsed struct {
	in confirm.Browser
	confirm.Stretch
}

// queueConfig is the configuration of -c, or one that holds only the queue of the flags.
func (f *decodeFlags) queueConfig(cmd *cobra.Command) (*config.Config, error) {
	if f.config != "" {
		cfg, err := loadConfig(cmd, f.config)
		if err == nil && !cfg.HasQueue() {
			err = usagef("%s has no queue section; hint: add it, or name the queue with --brokers or --pulsar", f.config)
		}
		return cfg, err
	}
	cfg := &config.Config{Kafka: config.Kafka{ClientID: "inlong-bridge-decode"}, Log: config.Log{Level: "error"}}
	cfg.Queue.Timeout = decodeTimeout
	if f.pulsar == "" {
		cfg.Queue.Kafka = []config.QueueCluster{{Brokers: f.brokers, Topic: devQueueTopic}}
		return cfg, nil
	}
	if !config.HasPulsar {
		return nil, usagef("--pulsar %q: %w; hint: use the standard build", f.pulsar, config.ErrNoPulsar)
	}
	p := config.PulsarCluster{ServiceURL: f.pulsar, Tenant: "public", Namespace: "default", Topic: devQueueTopic}
	if f.tokenFile != "" {
		p.Token = config.SecretFromFile(f.tokenFile)
	}
	cfg.Queue.Pulsar = []config.PulsarCluster{p}
	return cfg, nil
}

// topicsOf returns the whole names of the chosen topics in a cluster.
func (f *decodeFlags) topicsOf(ctx context.Context, q *connector.Queue, c confirm.Browser) (topics []string, err error) {
	for _, t := range f.topics {
		topics = append(topics, c.Whole(t))
	}
	if len(topics) == 0 {
		t, err := q.Topic(ctx, c, f.group, f.stream)
		if err != nil {
			return nil, err
		}
		topics = []string{t}
	}
	return topics, nil
}

// stretches returns the chosen part of a topic, by partition.
func (f *decodeFlags) stretches(e *env, c confirm.Browser, topic string, l confirm.TopicListing, from, to bound) (out []confirm.Stretch, err error) {
	if _, ok := l.Partitions[f.partition]; f.onePartition && !ok {
		return nil, usagef("--partition %d: topic %s in queue cluster %s has the partitions %v", f.partition, topic, c.Name(), slices.Sorted(maps.Keys(l.Partitions)))
	}
	for _, n := range slices.Sorted(maps.Keys(l.Partitions)) {
		if f.onePartition && n != f.partition {
			continue
		}
		b := l.Partitions[n]
		s := confirm.Stretch{
			Place: confirm.Place{Cluster: c.Name(), Topic: topic, Partition: n}, TopicID: l.ID, From: b.Start, To: b.End, Since: from.at, Until: to.at,
		}
		kafka := b.Start != confirm.Unknown
		for _, x := range []bound{from, to} {
			if err := x.fits(kafka); err != nil {
				return nil, err
			}
		}
		switch {
		case from.back > 0:
			s.From = confirm.At(max(b.Start.Entry, b.End.Entry-from.back))
		case from.offset != nil && from.offset.Before(b.Start):
			printf(e.stderr, "%s: the log begins at offset %v; what lay before it was deleted\n", placeOf(s.Place), b.Start)
		case from.offset != nil:
			s.From = *from.offset
		}
		if to.offset != nil && to.offset.Before(s.To) {
			s.To = *to.offset
		}
		out = append(out, s)
	}
	return out, nil
}

func placeOf(p confirm.Place) string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// bound is --from or --to: an offset, an offset counted from the end, a time, or nothing.
type bound struct {
	flag   string
	offset *confirm.Offset
	ledger bool // the offset names a ledger
	back   int64
	at     time.Time
}

func parseBound(flag, text string, now time.Time) (b bound, err error) {
	b.flag = flag + " " + strconv.Quote(text)
	if text == "" {
		return b, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n < 0 && n > -1<<62 {
			b.back = -n
			return b, nil
		} else if n >= 0 {
			b.offset = new(confirm.At(n))
			return b, nil
		}
	}
	if o, ok := parseLedger(text); ok {
		b.offset, b.ledger = &o, true
		return b, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		b.at = now.Add(-d)
		return b, nil
	}
	if b.at, err = time.Parse(time.RFC3339, text); err != nil {
		return b, usagef("%s: want an offset (1234, or ledger:entry for Pulsar), a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m", b.flag)
	}
	return b, nil
}

// parseLedger reads ledger:entry or ledger:entry:batch.
func parseLedger(text string) (o confirm.Offset, ok bool) {
	words := strings.Split(text, ":")
	if len(words) < 2 || len(words) > 3 {
		return o, false
	}
	var n [3]int64
	for i, w := range words {
		bits := 63
		if i == 2 {
			bits = 31
		}
		v, err := strconv.ParseUint(w, 10, bits)
		if err != nil {
			return o, false
		}
		n[i] = int64(v)
	}
	return confirm.Offset{Ledger: n[0], Entry: n[1], Batch: int32(n[2])}, true
}

// fits says whether the bound has the form of a kind of queue.
func (b bound) fits(kafka bool) error {
	switch {
	case kafka && b.ledger:
		return usagef("%s: this queue is Kafka, whose offsets are numbers", b.flag)
	case !kafka && (b.back > 0 || b.offset != nil && !b.ledger):
		return usagef("%s: this queue is Pulsar; want ledger:entry, as decode prints it, a time or a duration", b.flag)
	}
	return nil
}
