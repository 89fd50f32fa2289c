package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// schedule plays one world and its bridge, with faults at random moments.
type schedule struct {
	r      *rand.Rand
	w      *world
	b      *bridge
	undo   []undo
	minute int32
	busy   bool  // the source produces; it goes idle now and then
	lapses bool  // proxies that stand still go on before they are given up
	kinds  []int // of faults in this schedule: few, so that one kind's allowance does not hide another's breach
}

type undo struct {
	at int
	do func()
}

func newSchedule(r *rand.Rand) *schedule {
	mode := finality.Queue
	if r.IntN(5) == 0 {
		mode = finality.Settle
	}
	partitions := 1 + r.IntN(3)
	w := &world{r: r, mode: mode, inQueue: make(map[recordID]int), routes: 1 + r.IntN(3), src: &source{
		records: make([][]record, partitions), end: make([]int64, partitions), committed: make([]int64, partitions),
	}}
	for range 1 + r.IntN(2) {
		w.clusters = append(w.clusters, &cluster{partitions: make([][]queued, 1+r.IntN(2))})
	}
	for i := range 1 + r.IntN(3) {
		w.proxies = append(w.proxies, &proxy{
			id: finality.Endpoint(i), up: true, drops: -1, r: r, stored: make(map[packName]bool), delay: func() int { return r.IntN(9) },
		})
	}
	s := &schedule{r: r, w: w, busy: true}
	kinds := settleFaults
	if mode == finality.Queue {
		kinds = queueFaults
	}
	s.lapses = mode == finality.Queue && r.IntN(2) == 0
	s.kinds = r.Perm(kinds)[:1+r.IntN(4)]
	s.start()
	w.logf("%s: %d partitions, %d routes, %d proxies, %d clusters", mode, partitions, w.routes, len(w.proxies), len(w.clusters))
	return s
}

// start begins a bridge process: a new instance that reads on from what is committed.
func (s *schedule) start() {
	s.w.instances++
	s.b = newBridge(s.w, config(s.w.mode), s.w.instances)
	for p := range s.w.src.end {
		s.b.assign(p)
	}
}

func (s *schedule) step(faults bool) {
	s.undo = slices.DeleteFunc(s.undo, func(u undo) bool {
		if u.at > s.w.now {
			return false
		}
		u.do()
		return true
	})
	if faults {
		if s.r.IntN(40) == 0 {
			s.busy = !s.busy
		}
		if s.busy {
			if s.r.IntN(20) == 0 {
				s.minute++
			}
			s.w.src.produce(s.r, s.r.IntN(len(s.w.src.end)), 1+s.r.IntN(6), s.w.routes, s.minute)
		}
		if s.r.IntN(25) == 0 {
			s.fault()
		}
	}
	s.w.step()
	s.b.step()
}

func (s *schedule) after(ticks int, do func()) { s.undo = append(s.undo, undo{s.w.now + ticks, do}) }

// Kinds of faults below these numbers are survived in that mode. What settle does not promise to
// survive (a queue that stalls for longer, zombies, dropped packs) is left out of its schedules.
const settleFaults, queueFaults = 9, 16

// fault begins one fault and sets when it ends.
func (s *schedule) fault() {
	w, b := s.w, s.b
	p := w.proxies[s.r.IntN(len(w.proxies))]
	long := 5 + s.r.IntN(90)
	switch s.kinds[s.r.IntN(len(s.kinds))] {
	case 0, 1:
		w.logf("kill proxy %d with %d in memory, up again in %d", p.id, len(p.memory), long)
		b.chargeInFlight(p)
		p.kill(w)
		s.after(long, func() { p.up = true })
	case 2:
		w.logf("reset the connections of proxy %d", p.id)
		b.chargeInFlight(p)
		p.reset(w)
		if p.frozen && s.lapses {
			// The bridge cannot tell this end from that of a process: loss_grace counts from here, and the proxy
			// may stand still for longer than that before it hands on what it had acked.
			b.chargeOrphans(p)
		}
	case 3:
		if p.frozen {
			return
		}
		if s.lapses {
			// Past the ack time-out and loss_grace, and back before patience is over.
			from, to := b.cfg.AckTimeout+b.cfg.LossGrace/2, b.cfg.AckTimeout+b.cfg.Patience-1500*time.Millisecond
			long = int(from/tick) + s.r.IntN(int((to-from)/tick))
			w.logf("proxy %d stands still for %d", p.id, long)
			s.lapse(p, long)
			return
		}
		w.logf("freeze proxy %d for %d", p.id, long)
		s.misbehave(p, long, func(on bool) { p.frozen = on })
	case 4:
		p.code = []int{1, 114, 115}[s.r.IntN(3)]
		if w.mode == finality.Settle && p.code == 114 {
			b.chargeAll(p) // see giveUpFull
			p.faults++
			s.after(long, func() { p.faults-- })
		}
		w.logf("proxy %d answers %d now and then for %d", p.id, p.code, long)
		s.after(long, func() { p.code = 0 })
	case 5:
		i := s.r.IntN(len(w.src.end))
		if b.assigned[i] == nil {
			return
		}
		away := s.r.IntN(2) * long
		w.logf("revoke partition %d, back in %d", i, away)
		w.duplicatesAllowed += b.uncommittedRecords(i)
		b.revoke(i)
		if away == 0 {
			b.assign(i)
			return
		}
		s.after(away, func() {
			if s.b.assigned[i] == nil {
				s.b.assign(i)
			}
		})
	case 6:
		w.logf("commits fail for %d", long)
		b.commitErrors = true
		s.after(long, func() { b.commitErrors = false })
	case 7:
		w.logf("the bridge is stopped for %d", long)
		b.stopped = long
	case 8:
		w.logf("the bridge crashes")
		for i := range w.src.end {
			w.duplicatesAllowed += b.uncommittedRecords(i)
		}
		b.crash()
		s.start()
	case 9:
		w.logf("proxy %d is a zombie for %d", p.id, long)
		s.misbehave(p, long, func(on bool) { p.zombie = on })
	case 10:
		route := int32(s.r.IntN(w.routes))
		which := []*proxy{p}
		if s.r.IntN(2) == 0 {
			which = w.proxies
		}
		w.logf("%d proxies drop route %d for %d", len(which), route, 2*long)
		for _, p := range which {
			s.misbehave(p, 2*long, func(on bool) {
				if on {
					p.drops = route
				} else {
					p.drops = -1
				}
			})
		}
	case 11:
		w.logf("proxy %d keeps all in memory for %d", p.id, long)
		s.misbehave(p, long, func(on bool) { p.slow = on })
	case 12, 13:
		i := s.r.IntN(len(w.clusters))
		w.logf("cluster %d stalls for %d", i, long)
		w.clusters[i].stalled = true
		s.after(long, func() { w.clusters[i].stalled = false })
	case 14:
		c := w.clusters[s.r.IntN(len(w.clusters))]
		if len(c.partitions) < 4 {
			w.logf("a partition of the queue appears")
			c.partitions = append(c.partitions, nil)
		}
	case 15:
		w.logf("the reader of the queue is slow for %d", long)
		b.reader.slow = true
		s.after(long, func() { b.reader.slow = false })
	}
}

// lapse lets a proxy stand still for less than it is waited for. What it had acked is not sent again; what is
// in flight is, once its connection is given up, and that is counted there. A proxy that stands still once more
// in the grace after it was heard again is beyond the rule: what it acked before the first time may come twice.
func (s *schedule) lapse(p *proxy, ticks int) {
	s.b.chargeOrphans(p)
	p.frozen = true
	p.lapsedUntil = s.w.now + ticks + int(s.b.cfg.AckTimeout/tick) // answers are on their way then
	s.after(ticks, func() { p.frozen = false })
}

// misbehave lets a living proxy do something for a while that may cause what it holds, and what it is
// given meanwhile, to be sent twice.
func (s *schedule) misbehave(p *proxy, ticks int, set func(on bool)) {
	s.b.chargeAll(p)
	p.faults++
	set(true)
	s.after(ticks, func() {
		set(false)
		p.faults--
		p.faultEnded = s.w.now
	})
}

// heal ends all faults.
func (s *schedule) heal() {
	for _, u := range s.undo {
		u.do()
	}
	s.undo = nil
	s.b.stopped = 0
	s.w.logf("no more faults, the source is idle")
}

// longAfter bounds how long after the last fault, or the last progress, everything must be final, in
// ticks: several times patience and the longest pause.
const longAfter = 600

func (s *schedule) quiet(done func() bool) bool {
	progress, since := s.progress(), s.w.now
	for s.w.now-since < longAfter {
		if done() {
			return true
		}
		s.step(false)
		if p := s.progress(); p != progress {
			progress, since = p, s.w.now
		}
	}
	return false
}

func (s *schedule) progress() (sum int64) {
	for _, c := range s.w.src.committed {
		sum += c
	}
	return sum
}

// settled reports whether nothing is on its way any more.
func (s *schedule) settled() bool {
	open, lost := s.b.m.Open()
	if open > 0 || lost > 0 || len(s.b.packs) > 0 || len(s.b.rereads) > 0 {
		return false
	}
	for _, p := range s.w.proxies {
		if len(p.memory) > 0 {
			return false
		}
	}
	return true
}

func (s *schedule) describe() string {
	open, lost := s.b.m.Open()
	out := fmt.Sprintf("%d packs open, %d lost, %d repairs, %d resends, %d waiting, %d rereads;",
		open, lost, len(s.b.repairs), len(s.b.resends), len(s.b.waiting), len(s.b.rereads))
	for _, p := range s.w.proxies {
		out += fmt.Sprintf(" proxy %d %+v", p.id, s.b.m.Endpoint(p.id, s.w.time()))
	}
	for p, recs := range s.w.src.records {
		out += fmt.Sprintf(" partition %d: committed %d of %d, %d records", p, s.w.src.committed[p], s.w.src.end[p], len(recs))
	}
	return out
}
