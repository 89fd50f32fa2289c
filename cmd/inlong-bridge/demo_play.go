package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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
	goOn   chan struct{} // closed when the last two fifths may be produced: the killed proxy must be able to lose some of them

	stored  atomic.Int64 // records that Kafka has
	byTopic [topicCount]atomic.Int64
	ended   atomic.Bool
}

func newProducer(client *kgo.Client, f *demoFlags, b []*books) *producer {
	return &producer{client: client, flags: f, books: b, least: demoLeast, goOn: make(chan struct{})}
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
	upTo := p.flags.records * 3 / 5
	for i := 0; i < p.flags.records; {
		if i == upTo {
			select {
			case <-p.goOn:
				upTo = p.flags.records
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		due := min(upTo, 1+int(rate*time.Since(start).Seconds()))
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

// kill ends the proxy that holds most as soon as two fifths are produced, and starts it again. Its queue stalls just
// before, like a busy one: otherwise the proxy might have emptied its memory a moment earlier, and its end would show
// nothing.
func (d *demo) kill(ctx context.Context, p *producer) error {
	if err := until(ctx, func() bool { return p.stored.Load() >= int64(d.flags.records)*2/5 }); err != nil {
		return err
	}
	victim := d.fullest()
	victim.StallQueue(true)
	before := victim.Stats().Acked
	close(p.goOn)
	if err := d.fill(ctx, p, victim, before); err != nil {
		return err
	}
	d.report.KilledPacks, d.report.Killed = victim.Kill()
	victim.StallQueue(false)
	d.live.say("KILLED   %s with %s records in memory, acked and not in the queue yet",
		victim.Addr(), thousands(int64(d.report.Killed)))
	d.live.say("         %s", map[string]string{
		"ack":    "nothing notices that they are lost, because an ack counts as delivery",
		"settle": "the bridge now reads again from Kafka what this proxy acked in the last " + d.flags.settle.String(),
		"queue":  "in 10s the bridge reads again from Kafka what is not in the queue by then",
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

// fill waits until the victim has acked demoHeld more packs, or all that are left for it, and then until the bridge has
// read those acks.
func (d *demo) fill(ctx context.Context, p *producer, victim *dptest.Proxy, before uint64) error {
	began := time.Now()
	held, grew := uint64(0), began
	gaveUp := false
	err := until(ctx, func() bool {
		now := time.Now()
		if n := victim.Stats().Acked - before; n > held {
			held, grew = n, now
		}
		gaveUp = held == 0 && now.Sub(began) > demoPatience
		return gaveUp || held >= demoHeld || held > 0 && p.ended.Load() && now.Sub(grew) > time.Second
	})
	switch {
	case err != nil:
		return err
	case gaveUp:
		return fmt.Errorf("killing proxy %s: it acked nothing for %v; hint: the bridge sends nothing; --verbose shows why", victim.Addr(), demoPatience)
	}
	select {
	case <-time.After(demoAckRead):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// until waits for ok.
func until(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// fullest returns the proxy that holds the most packs.
func (d *demo) fullest() *dptest.Proxy {
	return slices.MaxFunc(d.cluster.proxies, func(a, b *dptest.Proxy) int {
		return cmp.Compare(a.Stats().InMemory, b.Stats().InMemory)
	})
}

// watch shows progress until everything is committed, or takes too long. It notes when each topic was done.
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
			d.report.Committed = true
			return nil
		case done && now.Sub(ended) > demoPatience+d.flags.settle:
			d.live.say("%v after the last record was produced, only %s of %s records are committed",
				demoPatience+d.flags.settle, thousands(total), thousands(int64(d.flags.records)))
			return nil
		}
	}
}

// settleDown waits until the proxies have written everything that they hold to the queue, because it is not lost.
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
