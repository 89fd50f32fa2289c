// Package assign is the assignment of a partition to this process: what was fetched and waits for the sender, where the partition
// stands, what is final, and why it does not go on.
package assign

import (
	"sync"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/byhand"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// Topic is one topic that is consumed.
type Topic struct {
	Name    string
	ID      [16]byte // all zeros if the brokers do not tell
	Found   bool     // it appeared while the bridge ran
	Mapping *mapping.Topic
}

// Spec is what an assignment begins with. It does not change.
type Spec struct {
	Partition part.ID
	Topic     *Topic
	Router    *route.Router
	From      source.Begin // why it begins there, and what its commits hand on
	Start     int64        // offset of the first record that the assignment accounts for
	Limit     int64        // a migration wants nothing at or above it; -1 for none
	Cluster   string       // id of the Kafka cluster
	ByHand    *byhand.Skip // the record that a person skips; nil for none
	Number    uint64       // of the assignment, never the same twice
	Lanes     int          // in which its records keep their order; 0 for none
	Ahead     int64        // with order: bytes that may wait for their turn before fetching pauses
	Lineage   Lineage      // what its packs tell of it
	Aside     Aside        // where on_error sends records; nil where everything stops the partition
	Letters   int          // dead_letter.limit
}

// Assignment is one assignment of one partition to this process. It is the token of its batches: late news for an older assignment
// reaches an object whose checkpoint was revoked, and moves nothing.
type Assignment struct {
	facts
	events   Events
	shareKey reason.Key // the reason that it holds as many pieces as are free
	orderKey reason.Key // the reason that what is pending waits for its turn

	mu        sync.Mutex
	expect    int64       // guarded by mu; offset after the last one that was fetched
	rewind    bool        // guarded by mu; what the poll loop has in hand is not what comes next; see goOn
	heard     time.Time   // guarded by mu; when something was fetched last, or asked for in vain
	spans     int         // guarded by mu; chunks that were cut, counted up to shortSpans
	pending   pending     // guarded by mu; chunks that the sender has not taken yet
	offer     offer       // guarded by mu
	lanes     lanes       // guarded by mu
	tooLarge  oversize    // guarded by mu; the record that fits into no frame, while the partition is stopped for it
	opened    openSpans   // guarded by mu
	epochs    epochs      // guarded by mu
	times     recordTimes // guarded by mu; of the records that are not final
	successor *Assignment // guarded by mu; took the place of this assignment, whose log was not found

	letters letterbox
}

// contentOf is what travels of the partition's records.
func contentOf(s *Spec) *route.Content {
	if s.Router == nil || s.Topic == nil {
		return nil
	}
	return route.NewContent(s.Router.Content(), s.Cluster, s.Topic.Name, s.Topic.ID, s.Partition.Num)
}

// Retry says when an error of the broker for one partition is tried again. The reason itself is in the condition.
type Retry struct {
	Last       time.Time // newest error
	Tried      bool      // after the newest error
	Absent     bool      // the partition is asked about by name, and not tried again before it is found
	Told       bool      // the log has said that it began
	OutOfRange bool      // the position is not in the log: the log's extent decides, not another try
	Doubt      *Doubt    // set while a batch may be unreadable: a look by hand decides
}

// oversize is a record that is longer than its stream takes. The limit may grow, because the Manager names it.
type oversize struct {
	stream *sdk.Stream
	bytes  int
}

// Events is what an assignment tells its owner. The methods must be quick: the sender's dispatcher calls them.
type Events interface {
	Moved()                                                        // something became final, lost or refused
	Lost(p *Assignment, pc checkpoint.Piece, o checkpoint.Origin)  // must be read again
	Halve(p *Assignment, pc checkpoint.Piece, o checkpoint.Origin) // must be read again, and handed over as two pieces
	Stopped(p *Assignment, r *reason.Reason)                       // once per reason
	Freed(p *Assignment)                                           // with order: OfferFreed may have something to do
}

// Sender is what an assignment needs of *sdk.Sender.
type Sender interface {
	TrySendBatch(b *sdk.Batch) (int, error)
}

// New makes an assignment. shared counts what waits for the sender's budget, over all assignments.
func New(s Spec, ev Events, g *gate.Gate, shared *PendingBytes) *Assignment {
	p := &Assignment{
		facts: facts{Spec: s, content: contentOf(&s), checkpoint: checkpoint.New(s.Start), gate: g}, events: ev,
		shareKey: part.Key(s.Partition, reason.MaxUnfinal), orderKey: part.Key(s.Partition, reason.Order),
		expect: s.Start, heard: time.Now(), pending: pending{shared: shared},
	}
	p.offer.batch.Token, p.offer.batch.Packed = p, p.packedLocked
	if p.Lanes > 0 {
		p.checkpoint.KeepOrder(p.Lanes)
		p.lanes.packs = make([]uint64, p.Lanes)
	}
	if p.offer.origins = s.origins(); p.offer.origins != nil {
		p.offer.batch.Trail = p.offer.origins
	}
	p.letters.rate.Limit = s.Letters
	p.Log.high.Store(-1)
	p.Log.start.Store(-1)
	return p
}

// Stop ends the work on this assignment until the reason ends, which most reasons never do. It takes only the gate's lock.
func (p *Assignment) Stop(r *reason.Reason) {
	if p.gate.Add(*r, true) {
		p.events.Stopped(p, r)
	}
}

// StopRecreated stops the assignment because its topic was deleted and created again.
func (p *Assignment) StopRecreated() { p.Stop(part.Recreated(p.Partition, p.checkpoint.Position())) }

// Detach lets nothing more be offered to the sender and drops what is pending. It returns once no offer is under way.
func (p *Assignment) Detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate.End()
	p.dropPendingLocked(0)
	p.noteWaitsLocked()
}

// GivesWayTo has another assignment object take the place of this one, unless this one has ended.
func (p *Assignment) GivesWayTo(next *Assignment) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.Ended() {
		return false
	}
	p.successor = next
	return true
}

// Succeeded returns what took the place of this assignment, nil for nothing.
func (p *Assignment) Succeeded() *Assignment {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.successor
}

// Settled takes news of a piece, as sdk.Token. It runs on the sender's dispatcher.
func (p *Assignment) Settled(piece uint64, r sdk.Result) {
	pc := checkpoint.Piece(piece)
	switch r.Outcome {
	case sdk.Acked: // in a proxy's memory only
	case sdk.Final:
		p.checkpoint.Final(pc)
		p.laneFreed()
		p.events.Moved()
	case sdk.Lost:
		if o, again := p.checkpoint.Lost(pc); again {
			p.losses.Add(1)
			p.events.Lost(p, pc, o)
		}
		p.events.Moved()
	case sdk.Held:
		p.heldBy(pc, r)
	case sdk.Released: // the watch loop has the partition go on
		p.refusalEnded(pc)
	case sdk.TakenBack:
		p.takenBack(pc)
	case sdk.Refused:
		p.refused(pc, r)
	}
}

// StreamKey is the key of a reason of a stream.
func StreamKey(group, stream string, code reason.Code) reason.Key {
	return reason.Key{Code: code, Scope: reason.Stream, Object: group + "/" + stream}
}

// StreamFull returns the oldest entry of a stream that is full and closes the partition, nil for none. An entry that does not close
// the partition was found by the stall detection, and is another partition's.
func StreamFull(c *gate.Condition) *gate.Entry {
	entries := c.Entries()
	for i := range entries {
		if e := &entries[i]; e.Code == reason.StreamFull && e.Closes {
			return e
		}
	}
	return nil
}
