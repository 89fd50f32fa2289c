package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// partition is one assignment of one partition to this process. It is the token of its batches: what
// comes late for an older assignment reaches an object whose checkpoint was revoked, and moves nothing.
type partition struct {
	id     part.ID
	topic  *topic
	router *route.Router
	wm     *checkpoint.Partition
	start  int64
	limit  int64 // a migration wants nothing at or above it; -1 for none

	cluster string // id of the Kafka cluster
	from    begin  // why it begins there, what its commits hand on, and whether the start is committed

	events partitionEvents
	log    *slog.Logger

	assignment uint64                // never the same twice
	gate       *gate.Gate            // owns why the partition does not go on
	shareKey   reason.Key            // that it holds as many pieces as are free
	trying     atomic.Pointer[trial] // when an error of the broker is tried again
	high       atomic.Int64          // high watermark of the log as of the last fetch, -1 if unknown
	logStart   atomic.Int64          // -1 if unknown
	losses     atomic.Int64          // pieces that were lost
	openTxn    atomic.Bool           // what comes next belongs to an open transaction
	waits      atomic.Bool           // something is parked, or its stream was full; see noteWaitsLocked
	committed  atomic.Int64          // wall clock of the last commit, unix nanoseconds, 0 for none

	restated atomic.Bool // the start was committed, with its line
	booked   atomic.Pointer[bookedCommit]
	leftOpen atomic.Int64 // pieces that were not final when the assignment ended

	refusedMu sync.Mutex
	refused   map[reason.Key]int // guarded by refusedMu; pieces that proxies refuse and the sender keeps, by the reason of their stream

	mu        sync.Mutex
	expect    int64       // guarded by mu; offset after the last one that was fetched
	successor *partition  // guarded by mu; took the place of this one, whose log was not found
	rewind    bool        // guarded by mu; what the poll loop has in hand is not what comes next; see goOn
	tooLarge  oversize    // guarded by mu; the record that fits into no frame now, while the partition is stopped for it
	heard     time.Time   // guarded by mu; when something was fetched last, or asked for in vain
	parked    []*chunk    // guarded by mu; fetched and not taken by the sender yet, in order
	weight    int64       // guarded by mu; memory of parked
	counted   int64       // guarded by mu; part of weight that is in held
	held      *heldBack   // of the bridge
	opened    []openSpan  // guarded by mu; spans the checkpoint has not passed, in order
	passed    int         // guarded by mu; so many of opened the checkpoint has passed
	epochs    []epochFrom // guarded by mu; see epochAt
	times     recordTimes // guarded by mu; of the records that are not final
}

// trial says when an error of the broker for one partition is tried again. The reason itself is in the condition.
type trial struct {
	last       time.Time // newest error
	tried      bool      // after the newest
	absent     bool      // decided by answers by name, not by trying again
	told       bool      // the log has said that it began
	outOfRange bool      // the position is not in the log: decided by its offsets, not by trying again
}

// oversize is a record that is longer than its stream takes. The limit may grow: the Manager names one.
type oversize struct {
	stream *sdk.Stream
	bytes  int
}

// partitionEvents is what a partition tells the bridge. Its methods must be quick: they are called from
// the sender's dispatcher.
type partitionEvents interface {
	moved()                                                      // something became final, lost or refused
	lost(p *partition, pc checkpoint.Piece, o checkpoint.Origin) // must be read again
	stopped(p *partition, r *reason.Reason)                      // once per reason
}

type openSpan struct {
	next int64
	at   time.Time
}

type epochFrom struct {
	offset int64 // records from here on have this epoch
	epoch  int32
}

func newPartition(id part.ID, t *topic, rt *route.Router, start int64, ev partitionEvents, g *gate.Gate, held *heldBack, log *slog.Logger) *partition {
	p := &partition{
		id: id, gate: g, shareKey: part.Key(id, reason.MaxUnfinal), topic: t, router: rt, wm: checkpoint.New(start), start: start, limit: -1, expect: start,
		events: ev, held: held, log: log, heard: time.Now(),
	}
	p.high.Store(-1)
	p.logStart.Store(-1)
	return p
}

// Settled implements sdk.Token. It runs on the sender's dispatcher.
func (p *partition) Settled(piece uint64, r sdk.Result) {
	pc := checkpoint.Piece(piece)
	switch r.Outcome {
	case sdk.Acked: // in a proxy's memory only
	case sdk.Final:
		p.wm.Final(pc)
		p.events.moved()
	case sdk.Lost:
		if o, again := p.wm.Lost(pc); again {
			p.losses.Add(1)
			p.events.lost(p, pc, o)
		}
		p.events.moved()
	case sdk.Held:
		p.heldBy(pc, r)
	case sdk.Released:
		p.released(pc)
	case sdk.Refused:
		if errors.Is(r.Err, sdk.ErrClosed) || p.wm.Forgotten(pc) {
			return // nothing was decided; what is not final is read again after the restart
		}
		p.gate.Strand(1)
		p.stop(part.Stop(p.id, refusal(r.Err), -1, fmt.Sprintf("proxy %s refuses a pack for good: %v", r.Endpoint, r.Err)))
		p.events.moved()
	}
}

// Forgotten implements sdk.Token.
func (p *partition) Forgotten(piece uint64) bool { return p.wm.Forgotten(checkpoint.Piece(piece)) }

// heldBy stops the partition because proxies refuse one of its packs, which the sender keeps and tries again.
func (p *partition) heldBy(pc checkpoint.Piece, r sdk.Result) {
	k, first, ok := p.refusedKey(pc)
	if !ok {
		return
	}
	p.countRefused(k, 1)
	if p.gate.Refer(k, time.Now(), true) {
		p.events.stopped(p, part.Stop(p.id, reason.Refused, first, fmt.Sprintf("proxy %s and every other that was asked refuse a pack: %v; "+
			"hint: nothing is skipped; the oldest refused pack is tried again at growing pauses, and the partition goes on when a proxy takes it", r.Endpoint, r.Err)))
	}
	p.events.moved()
}

// released notes that the sender sends a piece as usual again; the watch loop has the partition go on.
func (p *partition) released(pc checkpoint.Piece) {
	if k, _, ok := p.refusedKey(pc); ok {
		p.countRefused(k, -1)
	}
}

func (p *partition) countRefused(k reason.Key, n int) {
	p.refusedMu.Lock()
	defer p.refusedMu.Unlock()
	if p.refused == nil {
		p.refused = make(map[reason.Key]int)
	}
	if p.refused[k] += n; p.refused[k] == 0 {
		delete(p.refused, k)
	}
	p.gate.Strand(n)
}

// refusedKey is the reason of a piece's stream when proxies refuse its packs, and the piece's first offset.
func (p *partition) refusedKey(pc checkpoint.Piece) (k reason.Key, first int64, ok bool) {
	o, ok := p.wm.Origin(pc)
	if !ok {
		return reason.Key{}, 0, false // revoked: nobody waits for it
	}
	r := p.router.At(o.Route)
	if r == nil {
		return reason.Key{}, 0, false
	}
	return streamKey(r.Target.Group, r.Target.Stream, reason.Refused), o.First, true
}

// refusals is how many pieces of the partition proxies refuse for the reason.
func (p *partition) refusals(k reason.Key) int {
	p.refusedMu.Lock()
	defer p.refusedMu.Unlock()
	return p.refused[k]
}

// refusal tells a record on which proxies close the connection from one that they refuse by code.
func refusal(err error) reason.Code {
	if poison := (*sdk.PoisonError)(nil); errors.As(err, &poison) {
		return reason.Poison
	}
	return reason.Refused
}

// detach lets nothing more be offered to the sender and drops what waits for it. It returns once no
// offer is under way.
func (p *partition) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate.End()
	p.dropParkedLocked(0)
}

// expects returns the offset the next fetch must not be below.
func (p *partition) expects() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expect
}

// fetchedAt returns when something was fetched last, or asked for in vain.
func (p *partition) fetchedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// openingLocked notes a span for oldest and its epoch for epochAt.
func (p *partition) openingLocked(c *chunk, now time.Time) {
	p.dropPassedLocked()
	p.opened = append(p.opened, openSpan{c.next, now})
	if c.epoch >= 0 && (len(p.epochs) == 0 || p.epochs[len(p.epochs)-1].epoch != c.epoch) {
		p.epochs = append(p.epochs, epochFrom{c.first, c.epoch})
	}
}

const keptSpans = 1024

// dropPassedLocked forgets the spans that the checkpoint has passed.
func (p *partition) dropPassedLocked() {
	done := p.wm.Checkpoint()
	for p.passed < len(p.opened) && p.opened[p.passed].next <= done {
		p.passed++
	}
	if p.passed < len(p.opened)-p.passed {
		return
	}
	n := copy(p.opened, p.opened[p.passed:])
	p.opened, p.passed = p.opened[:n], 0
	if n == 0 && cap(p.opened) > keptSpans {
		p.opened = nil // give back what a long outage needed
	}
}

// oldest returns how long the oldest span has waited to become final, 0 if none does.
func (p *partition) oldest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropPassedLocked(); p.passed < len(p.opened) {
		return now.Sub(p.opened[p.passed].at)
	}
	if len(p.parked) > 0 {
		c := p.gate.Condition()
		for _, code := range []reason.Code{reason.Budget, reason.StreamFull} {
			if e := c.Find(code); e != nil {
				return now.Sub(e.Since)
			}
		}
	}
	return 0
}

// epochAt returns the leader epoch to commit offset with: that of the record before it, -1 if unknown.
func (p *partition) epochAt(offset int64) int32 {
	if offset == p.start {
		return p.from.epoch
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	epoch, at := p.epochBeforeLocked(offset)
	p.epochs = p.epochs[at:] // commits only go forward
	return epoch
}

// epochBeforeLocked returns the leader epoch of the record before offset, -1 if unknown, and its place among epochs.
func (p *partition) epochBeforeLocked(offset int64) (epoch int32, at int) {
	epoch = -1
	for i, e := range p.epochs {
		if e.offset >= offset {
			break
		}
		epoch, at = e.epoch, i
	}
	return epoch, at
}

// reached returns the offset the next fetch must not be below, and the leader epoch of the record before it, -1 if unknown.
func (p *partition) reached() (offset int64, epoch int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expect == p.start {
		return p.expect, p.from.epoch
	}
	epoch, _ = p.epochBeforeLocked(p.expect)
	return p.expect, epoch
}

// unfinished is the number of pieces that may still become final.
func (p *partition) unfinished() int {
	return max(0, p.wm.Unfinal()-p.gate.Stranded())
}

// waiting reports how much is parked.
func (p *partition) waiting() (chunks int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.parked {
		bytes += c.bytes
	}
	return len(p.parked), bytes
}
