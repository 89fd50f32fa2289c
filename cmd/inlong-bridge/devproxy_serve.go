package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/dptest"
)

// serve reports and kills until ctx ends.
func (d *devproxy) serve(ctx context.Context, killEvery time.Duration, seed uint64) {
	report := time.NewTicker(devReportEvery)
	defer report.Stop()
	var kill, restart <-chan time.Time
	if killEvery > 0 {
		ticker := time.NewTicker(killEvery)
		defer ticker.Stop()
		kill = ticker.C
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	var down *dptest.Proxy
	var before []uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-kill:
			if down != nil {
				continue
			}
			down = d.proxies[rnd.IntN(len(d.proxies))]
			packs, records := down.Kill()
			d.say("killed   %s with %d packs, %d records in memory", down.Addr(), packs, records)
			restart = time.After(devDownFor)
		case <-restart:
			if err := down.Restart(); err != nil {
				d.say("%v; it is tried again", err)
				restart = time.After(devDownFor)
				continue
			}
			d.say("started  %s", down.Addr())
			down = nil
		case <-report.C:
			var now []uint64
			for _, p := range d.proxies {
				s := p.Stats()
				now = append(now, s.Packs, s.Queued)
			}
			if !slices.Equal(now, before) {
				before = now
				d.summary()
			}
		}
	}
}

// summary prints a line per proxy.
func (d *devproxy) summary() {
	for _, p := range d.proxies {
		s := p.Stats()
		d.say("stats    %s: %d packs with %d records, %d packs in the queue, %d in memory, %d records lost",
			p.Addr(), s.Packs, s.Records, s.Queued, s.InMemory, s.Lost)
	}
}

// close ends the proxies as the end of a real one does: what they hold is gone.
func (d *devproxy) close() {
	for _, p := range d.proxies {
		_ = p.Close() // it never fails
	}
}
