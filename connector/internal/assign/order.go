package assign

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// With delivery.order a partition has lanes: one, or one for each group of keys. At most one pack with records of a lane is not final
// at any time, so nothing overtakes anything within a lane, whatever is lost, sent again or read again. A pack may hold records of
// several lanes. A chunk has one group of each lane, and a lane's records go on in the same pack for as long as that is open.

// lanes is what an assignment knows of its lanes beside the checkpoint, which knows what of them is final.
type lanes struct {
	packs   []uint64  // by lane: the pack that the lane is in, see sdk.Batch.OnePack; 0 for none that takes more
	blocked uint64    // a bit for each lane that waits, while chunks are offered
	moved   time.Time // when anything was taken last
}

// Lanes of a word.
var _ [64 - route.KeyLanes]struct{}

// packOfLocked returns where the number of the pack is into which a lane's next records go, nil when they have to wait.
func (p *Assignment) packOfLocked(lane uint8) *uint64 {
	at := &p.lanes.packs[lane]
	switch {
	case p.lanes.blocked&(1<<lane) != 0:
		return nil
	case p.checkpoint.LaneFree(lane):
		*at = 0
	case *at == 0: // from here on it waits, whatever becomes final meanwhile, or later chunks would overtake this one
		p.lanes.blocked |= 1 << lane
		return nil
	}
	return at
}

// tookInOrderLocked notes that the sender took the last n records of a group that count as sent. A lane of which something is not taken
// waits as a whole: what comes after it in other chunks may not overtake it.
func (p *Assignment) tookInOrderLocked(c *chunk, g *group, n int, err error) {
	if n > 0 {
		p.lanes.moved = time.Now()
	}
	for _, v := range g.payloads[g.sent-n : g.sent] {
		p.pending.gone(c, len(v))
	}
	if err != nil && !errors.Is(err, sdk.ErrTooLarge) { // that record is set aside, or stops the partition
		p.lanes.blocked |= 1 << g.lane
	}
	if errors.Is(err, sdk.ErrPackFull) {
		p.lanes.packs[g.lane] = 0
	}
}

// offerInOrderLocked offers every pending chunk as far as its lanes may go on. It returns what they wait for, or why the partition
// cannot go on, which is so only once all chunks before are taken.
func (p *Assignment) offerInOrderLocked(s Sender, now time.Time) (wait reason.Key, h *reason.Reason) {
	p.lanes.blocked = 0
	var last *chunk // that was offered
	for _, last = range p.pending.chunks {
		if last.taken {
			continue
		}
		var w reason.Key
		if w, h = p.offerLocked(s, last, now); h != nil {
			break
		}
		last.taken = w == (reason.Key{})
		if w.Code == reason.StreamFull || w.Code == reason.Budget || w.Code == reason.LetterWait {
			wait = w
		}
		if w.Code == reason.Budget || w.Code == reason.LetterWait { // not all lanes of the chunk were looked at
			break
		}
	}
	for len(p.pending.chunks) > 0 {
		switch c := p.pending.chunks[0]; {
		case h != nil && c == last:
			return reason.Key{}, h
		case !c.taken:
			return cmp.Or(wait, p.orderKey), nil
		default:
			if p.pending.shift(); c.stop != nil {
				return reason.Key{}, c.stop
			}
		}
	}
	return reason.Key{}, nil
}

// waitInOrderLocked notes that what is pending waits for its turn. Fetching pauses while that is much.
func (p *Assignment) waitInOrderLocked(now time.Time) {
	p.gate.Drop(BudgetKey)
	p.gate.Drop(lettersKey)
	for e := StreamFull(p.gate.Condition()); e != nil; e = StreamFull(p.gate.Condition()) {
		p.gate.Drop(e.Key) // no stream turned anything away
	}
	if p.pending.bytes() > p.Ahead {
		p.gate.Add(reason.New(p.orderKey, now, fmt.Sprintf("the next records of %s wait until the pack before them is final (delivery.order)", p.Partition)), true)
	}
	p.countPendingLocked()
}

// fetchAgainLocked ends that pause.
func (p *Assignment) fetchAgainLocked(now time.Time) {
	if e := p.gate.Condition().Get(p.orderKey); e != nil && p.pending.bytes() <= p.Ahead/8*3 && now.Sub(e.Since) >= ResumePause {
		p.gate.Drop(p.orderKey)
	}
}

// laneFreed tells the owner that a piece became final: the next records of its lane may be offered.
func (p *Assignment) laneFreed() {
	if p.Lanes > 0 && !p.freed.Swap(true) {
		p.events.Freed(p)
	}
}

// OfferFreed offers what waited for its turn, after Events.Freed.
func (p *Assignment) OfferFreed(s Sender) {
	p.freed.Store(false)
	if p.WaitsForRoom() {
		p.Offer(s)
		p.RoomAgain(time.Now())
	}
}

// stillAfter is how long a partition of which nothing is taken counts as one that moves. It must be longer than packs usually take to
// become final.
const stillAfter = 30 * time.Second

// countInOrderLocked brings the sum of what waits for its turn up to date, over all partitions. What does not move is not counted: it
// would keep the others from being fetched.
func (p *Assignment) countInOrderLocked(now time.Time) {
	q, n := &p.pending, int64(0)
	if q.counted == 0 && now.Sub(p.lanes.moved) < stillAfter {
		n = q.weight
	}
	if n != q.inOrder {
		q.shared.InOrder.Add(n - q.inOrder)
		q.inOrder = n
	}
}

// gone notes that the sender has a record of n bytes of a chunk.
func (q *pending) gone(c *chunk, n int) {
	q.weight -= c.weight()
	c.bytes -= int64(n)
	c.records--
	q.weight += c.weight()
}

// joinable takes back the last chunk if what is fetched next may join it, which spares a span and a piece.
func (q *pending) joinable(minute int32) *chunk {
	n := len(q.chunks)
	if n == 0 {
		return nil
	}
	c := q.chunks[n-1]
	if c.begun || c.alone || c.stop != nil || c.arrived.Minute != minute {
		return nil
	}
	q.drop(n - 1)
	return c
}

// begun is how many chunks are begun. None is before one that is not.
func (q *pending) begun() (n int) {
	for n < len(q.chunks) && q.chunks[n].begun {
		n++
	}
	return n
}

// turns reports whether a record of a lane is of another route or minute than those of the lane in the chunk. It begins another chunk
// then: a group would have it overtake what lies between.
func (s *Splitter) turns(c *chunk, lane uint8, r *route.Route, rec *kgo.Record) bool {
	_, minute, ok := route.EventTime(rec)
	if !ok {
		minute = s.arrived.Minute
	}
	g := s.groupOfLane(c, lane)
	return g != nil && (g.route != r || g.minute != minute)
}

// groupOfLane returns the group of a lane in the chunk that is being filled, nil if it has none.
func (s *Splitter) groupOfLane(c *chunk, lane uint8) *group {
	if n := s.inLane[lane]; n > 0 {
		return &c.groups[n-1]
	}
	return nil
}
