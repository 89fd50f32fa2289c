package connector

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// topic is one topic that is consumed.
type topic struct {
	name    string
	id      [16]byte // all zeros if the brokers do not tell
	found   bool     // it appeared while the bridge ran
	mapping *mapping.Topic
}

// spec is what an assignment begins with. It does not change.
type spec struct {
	id      part.ID
	topic   *topic
	router  *route.Router
	from    source.Begin // why it begins there, and what its commits hand on
	start   int64        // offset of the first record that the assignment accounts for
	limit   int64        // a migration wants nothing at or above it; -1 for none
	cluster string       // id of the Kafka cluster
	number  uint64       // of the assignment, never the same twice
}

// partition is one assignment of one partition to this process. It is the token of its batches: late news for an older assignment
// reaches an object whose checkpoint was revoked, and moves nothing.
type partition struct {
	spec

	wm       *checkpoint.Partition
	gate     *gate.Gate // owns why the partition does not go on
	events   partitionEvents
	shareKey reason.Key // the reason that it holds as many pieces as are free

	log      logExtent
	commits  commits
	refused  refusals
	trying   atomic.Pointer[trial] // set while an error of the broker is to be tried again
	losses   atomic.Int64          // pieces that were lost
	waits    atomic.Bool           // something is pending, or a stream was full; see noteWaitsLocked
	leftOpen atomic.Int64          // pieces that were not final when the assignment ended

	mu        sync.Mutex
	expect    int64       // guarded by mu; offset after the last one that was fetched
	rewind    bool        // guarded by mu; what the poll loop has in hand is not what comes next; see goOn
	heard     time.Time   // guarded by mu; when something was fetched last, or asked for in vain
	pending   pending     // guarded by mu; chunks that the sender has not taken yet
	tooLarge  oversize    // guarded by mu; the record that fits into no frame, while the partition is stopped for it
	opened    openSpans   // guarded by mu
	epochs    epochs      // guarded by mu
	times     recordTimes // guarded by mu; of the records that are not final
	successor *partition  // guarded by mu; took the place of this assignment, whose log was not found
}

// trial says when an error of the broker for one partition is tried again. The reason itself is in the condition.
type trial struct {
	last       time.Time // newest error
	tried      bool      // after the newest error
	absent     bool      // the partition is asked about by name, and not tried again before it is found
	told       bool      // the log has said that it began
	outOfRange bool      // the position is not in the log: the log's extent decides, not another try
}

// oversize is a record that is longer than its stream takes. The limit may grow, because the Manager names it.
type oversize struct {
	stream *sdk.Stream
	bytes  int
}

// partitionEvents is what an assignment tells its owner. The methods must be quick: the sender's dispatcher calls them.
type partitionEvents interface {
	moved()                                                      // something became final, lost or refused
	lost(p *partition, pc checkpoint.Piece, o checkpoint.Origin) // must be read again
	stopped(p *partition, r *reason.Reason)                      // once per reason
}

// sender is what an assignment needs of *sdk.Sender.
type sender interface {
	TrySendBatch(b *sdk.Batch) (int, error)
}

func newPartition(s spec, ev partitionEvents, g *gate.Gate, shared *pendingBytes) *partition {
	p := &partition{
		spec: s, wm: checkpoint.New(s.start), gate: g, events: ev, shareKey: part.Key(s.id, reason.MaxUnfinal),
		expect: s.start, heard: time.Now(), pending: pending{shared: shared},
	}
	p.log.high.Store(-1)
	p.log.start.Store(-1)
	return p
}

// ID names the partition.
func (p *partition) ID() part.ID { return p.id }

// TopicID is the id of its topic, all zeros if the brokers do not tell.
func (p *partition) TopicID() [16]byte { return p.topic.id }

// Checkpoint is the assignment's checkpoint.
func (p *partition) Checkpoint() *checkpoint.Partition { return p.wm }

// Gate owns why the partition does not go on.
func (p *partition) Gate() *gate.Gate { return p.gate }

// Known returns the index of a record's route; ok is false for a record that no piece can hold.
func (p *partition) Known(rec *kgo.Record) (index int32, ok bool) {
	r := p.router.Known(rec)
	if r == nil {
		return 0, false
	}
	return r.Index, true
}

// Stop ends the work on this assignment until the reason ends, which most reasons never do. It takes only the gate's lock.
func (p *partition) Stop(r *reason.Reason) {
	if p.gate.Add(*r, true) {
		p.events.stopped(p, r)
	}
}

// stopRecreated stops the assignment because its topic was deleted and created again.
func (p *partition) stopRecreated() { p.Stop(part.Recreated(p.id, p.wm.Position())) }

// stopped returns why the partition is stopped, nil if it is not.
func (p *partition) stopped() *gate.Entry { return p.gate.Condition().Stop() }

// detach lets nothing more be offered to the sender and drops what is pending. It returns once no offer is under way.
func (p *partition) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate.End()
	p.dropPendingLocked(0)
}

// end ends the assignment: nothing of it is committed or read again from here on.
func (p *partition) end() {
	p.leftOpen.Store(int64(p.wm.Unfinal()))
	p.wm.Revoke()
}

// givesWayTo has another assignment object take the place of this one, unless this one has ended.
func (p *partition) givesWayTo(next *partition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.Ended() {
		return false
	}
	p.successor = next
	return true
}

// succeeded returns what took the place of this assignment, nil for nothing.
func (p *partition) succeeded() *partition {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.successor
}

// unfinished is the number of pieces that may still become final.
func (p *partition) unfinished() int {
	return max(0, p.wm.Unfinal()-p.gate.Stranded())
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
	case sdk.Released: // the watch loop has the partition go on
		if k, _, ok := p.refusedKey(pc); ok {
			p.refused.count(k, -1)
			p.gate.Strand(-1)
		}
	case sdk.Refused:
		if errors.Is(r.Err, sdk.ErrClosed) || p.wm.Forgotten(pc) {
			return // nothing was decided; what is not final is read again after the restart
		}
		p.gate.Strand(1)
		p.Stop(part.Stop(p.id, refusal(r.Err), -1, fmt.Sprintf("proxy %s refuses a pack for good: %v", r.Endpoint, r.Err)))
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
	p.refused.count(k, 1)
	p.gate.Strand(1)
	if p.gate.Refer(k, time.Now(), true) {
		p.events.stopped(p, part.Stop(p.id, reason.Refused, first, fmt.Sprintf("proxy %s and every other that was asked refuse a pack: %v; "+
			"hint: nothing is skipped; the oldest refused pack is tried again at growing pauses, and the partition goes on when a proxy takes it", r.Endpoint, r.Err)))
	}
	p.events.moved()
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

// refusal tells a record on which proxies close the connection from one that they refuse by code.
func refusal(err error) reason.Code {
	if poison := (*sdk.PoisonError)(nil); errors.As(err, &poison) {
		return reason.Poison
	}
	return reason.Refused
}

// refusals counts the pieces that proxies refuse and the sender keeps, by the reason of their stream.
type refusals struct {
	mu     sync.Mutex
	pieces map[reason.Key]int // guarded by mu
}

func (r *refusals) count(k reason.Key, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pieces == nil {
		r.pieces = make(map[reason.Key]int)
	}
	if r.pieces[k] += n; r.pieces[k] == 0 {
		delete(r.pieces, k)
	}
}

// of is how many pieces proxies refuse for the reason.
func (r *refusals) of(k reason.Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pieces[k]
}

// streamKey is the key of a reason of a stream.
func streamKey(group, stream string, code reason.Code) reason.Key {
	return reason.Key{Code: code, Scope: reason.Stream, Object: group + "/" + stream}
}

// streamFull returns the oldest entry of a stream that is full and closes the partition, nil for none. An entry that does not close
// the partition was found by the stall detection, and is another partition's.
func streamFull(c *gate.Condition) *gate.Entry {
	entries := c.Entries()
	for i := range entries {
		if e := &entries[i]; e.Code == reason.StreamFull && e.Closes {
			return e
		}
	}
	return nil
}
