package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/finality"
)

// rig is an owner of an engine without connections: a test plays the proxies. After each event every invariant is
// checked.
type rig struct {
	t       testing.TB
	e       *Engine
	now     time.Duration
	list    *ProxyList
	eps     []*Endpoint
	conns   []*Conn // the last one of each proxy
	streams []*Stream
	out     map[*Conn][]*Pack // sent, not taken
	effects []Effect          // since the last call of took
	news    map[*Pack][]Kind
	parts   bool                // Cut is answered at once
	judge   func(*Pack) Verdict // answers Judge at once; nil to keep all
	barrier bool                // one was asked for
	beats   []*Conn             // on which a heartbeat was written, one for each
	seal    func(*Pack)         // called with the halves of a pack that was cut; nil for nothing
}

// What an owner may do with a pack that it is asked about, beside a verdict.
const (
	cutIt Verdict = 100 + iota
	later         // the test answers
)

func testConfig(mode finality.Mode) Config {
	f := finality.DefaultConfig(mode)
	f.TrialPause = 30 * time.Second
	return Config{
		Finality: f, Retry: backoff.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second}, RetryLimit: NoRetryLimit,
		HeldRetry: backoff.Backoff{Min: time.Second, Max: time.Minute}, Random: rand.NewPCG(1, 1),
	}
}

// newRig has so many connected proxies and one stream. change may be nil.
func newRig(t testing.TB, proxies int, mode finality.Mode, change func(*Config)) *rig {
	cfg := testConfig(mode)
	if change != nil {
		change(&cfg)
	}
	r := &rig{t: t, e: New(cfg), list: new(ProxyList), out: make(map[*Conn][]*Pack), news: make(map[*Pack][]Kind), parts: true}
	r.e.AddList(r.list)
	for i := range proxies {
		ep := &Endpoint{Ref: int32(i)}
		r.e.AddEndpoint(ep, finality.Endpoint(i))
		r.eps, r.conns = append(r.eps, ep), append(r.conns, nil)
	}
	r.e.SetList(r.list, r.eps, 0)
	for i := range proxies {
		r.open(i, false)
	}
	r.e.QueueAnswers(true, 0)
	r.stream()
	r.progress()
	return r
}

func (r *rig) stream() *Stream {
	st := &Stream{Ref: int32(len(r.streams))}
	r.e.AddStream(st, finality.Stream(len(r.streams)), r.list)
	r.e.Watched(st)
	r.streams = append(r.streams, st)
	return st
}

func (r *rig) open(proxy int, unproven bool) *Conn {
	c := new(Conn)
	r.e.Opened(c, r.eps[proxy], unproven, r.now > 0, true, r.now)
	r.conns[proxy] = c
	r.progress()
	return c
}

// progress carries effects out until there are none.
func (r *rig) progress() {
	r.t.Helper()
	for again := true; again; {
		again = false
		for _, f := range r.e.Progress(r.now) {
			r.effects = append(r.effects, f)
			switch f.Kind {
			case Send:
				r.out[f.Conn] = append(r.out[f.Conn], f.Pack)
			case Cut:
				if r.parts && f.Pack.State() == Waiting {
					r.part(f.Pack)
					again = true
				}
			case Judge:
				v := Keep
				if r.judge != nil {
					v = r.judge(f.Pack)
				}
				if again = true; v == cutIt && f.Pack.State() == Waiting {
					r.part(f.Pack)
				} else if v != later {
					r.e.Judged(f.Pack, v, r.now)
				}
			case Barrier:
				r.barrier = true
			case Heartbeat:
				r.e.Beat(f.Conn, r.now)
				r.beats = append(r.beats, f.Conn)
			case PackAcked, PackFinal, PackLost, PackHeld, PackReleased, PackRefused, PackTakenBack, PackAbandoned, PackForgotten:
				r.news[f.Pack] = append(r.news[f.Pack], f.Kind)
			default:
			}
		}
		if err := r.e.Check(); err != nil {
			r.t.Fatalf("at %v: %v", r.now, err)
		}
	}
}

// part cuts a pack in halves, which are encoded at once.
func (r *rig) part(p *Pack) (first, second *Pack) {
	half := func(n int32) *Pack { return &Pack{Records: n, Repair: p.Repair, Followed: p.Followed} }
	first, second = half(p.Records/2), half(p.Records-p.Records/2)
	r.e.Parted(p, first, second, r.now)
	r.e.Encoded(first, int(p.Wire()/2))
	r.e.Encoded(second, int(p.Wire()/2))
	if r.seal != nil {
		r.seal(first)
		r.seal(second)
	}
	return first, second
}

// pack seals and encodes a pack of so many records.
func (r *rig) pack(st *Stream, records int) *Pack {
	p := &Pack{Records: int32(records), Followed: true, OpenedAt: r.now}
	r.e.Sealed(p, st)
	r.e.Encoded(p, 100*records)
	return p
}

// send is pack, and hands it out.
func (r *rig) send(records int) *Pack {
	p := r.pack(r.streams[0], records)
	r.progress()
	return p
}

// take lets the writer of every connection write what it got.
func (r *rig) take() (taken []*Pack) {
	for c, packs := range r.out {
		delete(r.out, c)
		for _, p := range packs {
			if r.e.Take(c, p, r.now) {
				taken = append(taken, p)
				r.e.Wrote(c, p)
			}
		}
	}
	slices.SortFunc(taken, bySeq)
	return taken
}

// sent is send, written.
func (r *rig) sent(records int) *Pack {
	r.t.Helper()
	p := r.send(records)
	r.take()
	if p.State() != InFlight || !p.Taken() {
		r.t.Fatalf("the pack is %v, want it written", p.State())
	}
	return p
}

func (r *rig) ack(p *Pack) {
	r.t.Helper()
	r.heard(p.conn)
	if p.conn.Find(uint32(p.seq)) != p {
		r.t.Fatalf("pack %d, %v, cannot be answered", p.seq, p.state)
	}
	r.e.Acked(p, r.now)
	r.progress()
}

func (r *rig) refuse(p *Pack, code int) {
	r.t.Helper()
	r.heard(p.conn)
	if p.conn.Find(uint32(p.seq)) != p {
		r.t.Fatalf("pack %d, %v, cannot be answered", p.seq, p.state)
	}
	r.e.Refused(p, code, false, fmt.Errorf("code %d", code), r.now)
	r.progress()
}

func (r *rig) heard(c *Conn) { r.e.Heard(c, r.now) }

var errOver = errors.New("closed by the proxy")

// end ends the connection of a proxy and opens another one.
func (r *rig) end(proxy int) {
	r.t.Helper()
	c := r.conns[proxy]
	delete(r.out, c)
	r.e.Ended(c, errOver, r.now)
	r.progress()
	r.open(proxy, false)
}

// answerBeats answers the heartbeats that were written.
func (r *rig) answerBeats() {
	for _, c := range r.beats {
		r.e.Heard(c, r.now)
		r.e.BeatAnswered(c, r.now)
	}
	r.beats = r.beats[:0]
}

// wait lets time pass, with a tick every 100 ms. Heartbeats are answered.
func (r *rig) wait(d time.Duration) {
	r.t.Helper()
	for end := r.now + d; r.now < end; {
		r.now = min(r.now+100*time.Millisecond, end)
		r.answerBeats()
		r.e.Tick(r.now)
		r.progress()
	}
}

// took returns the effects of some kinds since the last call.
func (r *rig) took(kinds ...Kind) (found []Effect) {
	for _, f := range r.effects {
		if slices.Contains(kinds, f.Kind) {
			found = append(found, f)
		}
	}
	r.effects = r.effects[:0]
	return found
}

// waitSent waits until p is written, for a minute at most.
func (r *rig) waitSent(p *Pack) {
	r.t.Helper()
	for range 600 {
		if r.take(); p.State() == InFlight {
			return
		}
		r.wait(100 * time.Millisecond)
	}
	r.t.Fatalf("pack %d is %v after a minute, want it in flight", p.seq, p.state)
}

func (r *rig) want(p *Pack, s State) {
	r.t.Helper()
	if p.State() != s {
		r.t.Fatalf("pack %d is %v, want %v", p.seq, p.State(), s)
	}
}

func (r *rig) proxyOf(p *Pack) int { return slices.Index(r.eps, p.Endpoint()) }
