package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk/dptest"
)

// producer writes the corpus to the demo's topics at a steady rate.
type producer struct {
	client *kgo.Client
	flags  *demoFlags
	books  []*books      // written by run only
	least  time.Duration // production takes at least this long

	stored  atomic.Int64 // records that Kafka has
	byTopic [topicCount]atomic.Int64
	ended   atomic.Bool
}

func newProducer(client *kgo.Client, f *demoFlags, b []*books) *producer {
	return &producer{client: client, flags: f, books: b, least: demoLeast}
}

func (p *producer) run(ctx context.Context) error {
	defer p.ended.Store(true)
	corpus := newCorpus(p.flags.seed)
	rate := min(demoRate, float64(p.flags.records)/p.least.Seconds())
	var failed atomic.Pointer[error]
	stored := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
			return
		}
		p.stored.Add(1)
	}
	start, tick := time.Now(), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for i := 0; i < p.flags.records; {
		due := min(p.flags.records, 1+int(rate*time.Since(start).Seconds()))
		for ; i < due; i++ {
			r, topic, stream := corpus.record(i)
			p.books[topic].produced[digestOf(demoTopics[topic].group, stream, r.Value)]++
			p.byTopic[topic].Add(1)
			p.client.Produce(ctx, r, stored)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := p.client.Flush(ctx)
	if f := failed.Load(); f != nil {
		err = *f
	}
	if err != nil {
		return fmt.Errorf("producing the demo's records: %w", err)
	}
	return nil
}

// kill ends a proxy that holds acked packs once two fifths are produced, and brings it back.
func (d *demo) kill(ctx context.Context, p *producer) error {
	var victim *dptest.Proxy
	for d.verdict.Killed == 0 {
		if victim != nil { // it had just emptied its memory: that shows nothing
			if err := victim.Restart(); err != nil {
				return fmt.Errorf("starting proxy %s again: %w", victim.Addr(), err)
			}
		}
		var err error
		if victim, err = d.chooseVictim(ctx, p); err != nil {
			return err
		}
		d.verdict.KilledPacks, d.verdict.Killed = victim.Kill()
	}
	d.live.say("KILLED   %s with %s records in memory, acked and not in the queue yet",
		victim.Addr(), thousands(int64(d.verdict.Killed)))
	d.live.say("         %s", map[string]string{
		"ack":    "nobody will miss them: an ack counts as delivered",
		"settle": "what this proxy acked in the last " + d.flags.settle.String() + " is read again from Kafka now",
		"queue":  "what has not shown up in the queue 10s from now is read again from Kafka then",
	}[d.flags.confirm])
	select {
	case <-time.After(demoDownFor):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := victim.Restart(); err != nil {
		return fmt.Errorf("starting proxy %s again: %w", victim.Addr(), err)
	}
	d.live.say("BACK     %s", victim.Addr())
	return nil
}

// chooseVictim returns a proxy at a moment when it holds a lot. Proxies empty their memory about once a
// second, so it looks on for a while to learn how much a lot is. Then it takes what there is: on a busy machine
// the great moment may be missed until all has been produced, and nothing is held any more.
func (d *demo) chooseVictim(ctx context.Context, p *producer) (*dptest.Proxy, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var since time.Time
	peak := 0 // the most packs that a proxy held since then
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if p.stored.Load() < int64(d.flags.records)*2/5 {
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		victim, most := d.fullest()
		peak = max(peak, most)
		switch looked := time.Since(since); {
		case looked > demoPatience/2:
			return nil, errors.New("killing a proxy: none of them ever held an acked pack; hint: the bridge sends nothing, --verbose shows why")
		case looked > 2*demoLook && most > 0, looked > demoLook && most >= demoHeld && most >= peak*2/3:
			return victim, nil
		}
	}
}

// fullest returns the proxy that holds most packs, and how many.
func (d *demo) fullest() (victim *dptest.Proxy, most int) {
	for _, p := range d.cluster.proxies {
		if s := p.Stats(); victim == nil || s.InMemory > most {
			victim, most = p, s.InMemory
		}
	}
	return victim, most
}

// watch shows progress until everything is committed, or until that takes too long. It notes when each
// topic was done.
func (d *demo) watch(ctx context.Context, start time.Time, p *producer) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var ended time.Time
	var before int64
	last := start
	rate := 0.0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		byTopic, err := d.cluster.committed(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("asking for committed offsets: %w", err)
		}
		now, total := time.Now(), int64(0)
		done := p.ended.Load()
		for i := range demoTopics {
			total += byTopic[i]
			if done && d.took[i] == 0 && byTopic[i] == p.byTopic[i].Load() {
				d.took[i] = now.Sub(start)
			}
		}
		if s := now.Sub(last).Seconds(); s >= 1 {
			rate, before, last = float64(total-before)/s, total, now
		}
		d.live.update(now, float64(total)/float64(d.flags.records),
			fmt.Sprintf("%s produced, %s committed (%s/s), %s packs in the proxies' memory",
				thousands(p.stored.Load()), thousands(total), thousands(int64(rate)), thousands(int64(d.cluster.inMemory()))))
		if done && ended.IsZero() {
			ended = now
		}
		switch {
		case total == int64(d.flags.records):
			d.verdict.Committed = true
			return nil
		case done && now.Sub(ended) > demoPatience+d.flags.settle:
			d.live.say("not everything was committed %v after the last record was produced: %s of %s",
				demoPatience+d.flags.settle, thousands(total), thousands(int64(d.flags.records)))
			return nil
		}
	}
}

// settleDown waits until the proxies have put into the queue what they hold: what they hold is not lost.
func (d *demo) settleDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoReadLimit)
	defer cancel()
	for _, p := range d.cluster.proxies {
		if _, err := p.WaitStats(ctx, func(s dptest.Stats) bool { return s.InMemory == 0 }); err != nil {
			return fmt.Errorf("waiting for the proxies to empty their memory: %w", err)
		}
	}
	return nil
}

// count reads the queue and notes what arrived.
func (d *demo) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoReadLimit)
	defer cancel()
	return d.cluster.readQueue(ctx, func(topic int, stream string, p *kafkahandler.Pack) {
		b, group := d.books[topic], demoTopics[topic].group
		if p.Err != nil || p.Group != group || p.Stream != stream || len(p.Records) != int(p.Pack.Count) {
			b.foreign += max(1, len(p.Records))
			return
		}
		for _, value := range p.Records {
			b.arrived[digestOf(group, stream, value)]++
		}
	})
}
