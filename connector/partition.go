package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/connector/watermark"
	"inlong-bridge/sdk"
)

// tp names a partition.
type tp struct {
	topic     string
	partition int32
}

func (t tp) String() string { return fmt.Sprintf("%s/%d", t.topic, t.partition) }

// Why a partition does not go on, as a bounded set for labels.
const (
	haltUnrouted  = "unrouted"  // the mapping says stop
	haltTooLarge  = "too_large" // a record fits into no frame, or a batch not into the budget
	haltRefused   = "refused"   // the proxies refuse a pack for good
	haltGap       = "gap"       // Kafka no longer has offsets that were not delivered
	haltTruncated = "truncated" // Kafka lost offsets at the end of the log
	haltRecreated = "recreated" // the topic was deleted and created again
	haltDeleted   = "deleted"   // the topic is gone
	haltLoop      = "loop"      // it holds what this bridge wrote
	stallStream   = "stream"    // its stream holds as many waiting bytes as are free
	stallBudget   = "budget"    // the byte budget of the process is full
	stallFault    = "fault"     // Kafka answers with an error that is tried again
)

// halt stops a partition until it is assigned anew. Nothing of it is skipped: its watermark stays.
type halt struct {
	code   string
	reason string // one sentence with a hint
	offset int64  // of the first record that is not delivered because of it, -1 if unknown
}

// partition is one assignment of one partition to this process. It is the token of its batches: what
// comes late for an older assignment reaches an object whose watermark was revoked, and moves nothing.
type partition struct {
	id     tp
	topic  *topic
	router *router
	wm     *watermark.Partition
	start  int64
	limit  int64 // a migration wants nothing at or above it; -1 for none

	cluster string // id of the Kafka cluster
	from    begin  // why it begins there, what its commits hand on, and whether the start is committed

	events partitionEvents
	log    *slog.Logger

	halted    atomic.Pointer[halt]
	faulted   atomic.Pointer[fault]
	stalled   atomic.Pointer[stuck] // found by the watchdog
	losses    atomic.Int64          // pieces that were lost
	stuck     atomic.Int64          // pieces that nothing can make final: refused for good, or gone from Kafka
	high      atomic.Int64          // high watermark of the log as of the last fetch, -1 if unknown
	logStart  atomic.Int64          // -1 if unknown
	waits     atomic.Bool           // something is parked or paused; see noteWaits
	committed atomic.Int64          // wall clock of the last commit, unix nanoseconds, 0 for none

	restated atomic.Bool // the start was committed, with its line
	booked   atomic.Pointer[bookedCommit]
	leftOpen atomic.Int64 // pieces that were not final when the assignment ended

	mu       sync.Mutex
	detached bool        // guarded by mu; revoked or lost: nothing more is offered
	expect   int64       // guarded by mu; offset after the last one that was fetched
	heard    time.Time   // guarded by mu; when something was fetched last, or asked for in vain
	parked   []*chunk    // guarded by mu; fetched and not taken by the sender yet, in order
	weight   int64       // guarded by mu; memory of parked
	counted  int64       // guarded by mu; part of weight that is in held
	held     *heldBack   // of the bridge
	blocked  string      // guarded by mu; why parked is not empty: stallStream or stallBudget
	since    time.Time   // guarded by mu; when it was blocked
	paused   bool        // guarded by mu; told to kgo because of blocked
	opened   []openSpan  // guarded by mu; spans the watermark has not passed, in order
	passed   int         // guarded by mu; so many of opened the watermark has passed
	epochs   []epochFrom // guarded by mu; see epochAt
	times    recordTimes // guarded by mu; of the records that are not final
}

// fault is an error of the broker for one partition that is tried again.
type fault struct {
	err         error
	since, last time.Time // first and newest error
	resumed     bool      // tried again after the newest
	outOfRange  bool      // the position is not in the log: decided by its offsets, not by trying again
}

// partitionEvents is what a partition tells the bridge. Its methods must be quick: they are called from
// the sender's dispatcher.
type partitionEvents interface {
	moved()                                                    // something became final, lost or refused
	lost(p *partition, pc watermark.Piece, o watermark.Origin) // must be read again
	stopped(p *partition, h *halt)                             // once per partition
}

type openSpan struct {
	next int64
	at   time.Time
}

type epochFrom struct {
	offset int64 // records from here on have this epoch
	epoch  int32
}

func newPartition(id tp, t *topic, rt *router, start int64, ev partitionEvents, held *heldBack, log *slog.Logger) *partition {
	p := &partition{
		id: id, topic: t, router: rt, wm: watermark.New(start), start: start, limit: -1, expect: start,
		events: ev, held: held, log: log, heard: time.Now(),
	}
	p.high.Store(-1)
	p.logStart.Store(-1)
	return p
}

// Settled implements sdk.Token. It runs on the sender's dispatcher.
func (p *partition) Settled(piece uint64, r sdk.Result) {
	pc := watermark.Piece(piece)
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
	case sdk.Refused:
		if errors.Is(r.Err, sdk.ErrClosed) || p.wm.Forgotten(pc) {
			return // nothing was decided; what is not final is read again after the restart
		}
		p.stuck.Add(1)
		p.stop(&halt{code: haltRefused, offset: -1, reason: fmt.Sprintf("proxy %s refuses a pack for good: %v", r.Endpoint, r.Err)})
		p.events.moved()
	}
}

// Forgotten implements sdk.Token.
func (p *partition) Forgotten(piece uint64) bool { return p.wm.Forgotten(watermark.Piece(piece)) }

// stop ends the work on this assignment, for the first reason given. It takes no lock.
func (p *partition) stop(h *halt) {
	if p.halted.CompareAndSwap(nil, h) {
		p.events.stopped(p, h)
	}
}

// detach lets nothing more be offered to the sender and drops what waits for it. It returns once no
// offer is under way.
func (p *partition) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.detached = true
	p.dropParked(0)
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

// opening notes a span for oldest and its epoch for epochAt; p.mu is held.
func (p *partition) opening(c *chunk, now time.Time) {
	p.dropPassed()
	p.opened = append(p.opened, openSpan{c.next, now})
	if c.epoch >= 0 && (len(p.epochs) == 0 || p.epochs[len(p.epochs)-1].epoch != c.epoch) {
		p.epochs = append(p.epochs, epochFrom{c.first, c.epoch})
	}
}

const keptSpans = 1024

// dropPassed forgets the spans that the watermark has passed; p.mu is held.
func (p *partition) dropPassed() {
	done := p.wm.Watermark()
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
	if p.dropPassed(); p.passed < len(p.opened) {
		return now.Sub(p.opened[p.passed].at)
	}
	if len(p.parked) > 0 {
		return now.Sub(p.since)
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
	epoch, drop := int32(-1), 0
	for i, e := range p.epochs {
		if e.offset >= offset {
			break
		}
		epoch, drop = e.epoch, i
	}
	p.epochs = p.epochs[drop:] // commits only go forward
	return epoch
}

// unfinished is the number of pieces that may still become final.
func (p *partition) unfinished() int {
	return max(0, p.wm.Unfinal()-int(p.stuck.Load()))
}

// waiting reports what is parked and why.
func (p *partition) waiting() (chunks int, bytes int64, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.parked {
		bytes += c.bytes
	}
	return len(p.parked), bytes, p.blocked
}
