package assign

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/byhand"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/frame"
)

// chunk is a run of records of one partition in arrival order: one span. Its records are kept by
// reference to the fetch until the sender took them.
type chunk struct {
	first, next int64 // covers [first, next)
	epoch       int32 // leader epoch of its last record
	bytes       int64 // of payloads and attributes
	attrs       int   // of all records
	items       int   // bytes that its records take in packs
	seen        int   // records, control records among them
	records     int
	skipped     int64
	made        int // records that its groups have room for
	groups      []group
	one         [1]group   // groups begins here: mostly there is one
	aside       []setAside // records that become dead letters, and are not handed over yet
	byHand      int64      // records that a person skips

	arrived route.Arrival // when it was fetched: the event time of records that have none

	alone bool            // its only record is oversize
	from  *requeue.Letter // of a requeue: originals of its partition are in the chunk; see requeued.go

	begun bool            // the span is open
	span  checkpoint.Span // valid once begun
	taken bool            // with order: the sender has all of it, and something before it still waits

	// stop stops the partition once the chunk was taken: what comes after it cannot go on.
	stop *reason.Reason
}

// group is the records of a chunk that share a route and an event-time minute: one batch for the sender.
// Within a group, the records between two offsets are all of that route and minute in the partition, so
// (first, last, route, minute) names a piece of it exactly.
type group struct {
	route    *route.Route
	minute   int32
	lane     uint8 // with order; a chunk has one group of each lane then
	time     time.Time
	payloads [][]byte
	attrs    [][]sdk.Attr // of each payload; nil where records have none, see route.Content
	offsets  []int64
	told     []int64 // of a requeue: offsets of the originals
	sent     int     // the sender has [0, sent)
}

type groupKey struct{ route, minute int32 }

// joined returns the chunk that goes on with the fetch, nil for none.
func (s *Splitter) joined() *chunk {
	c := s.join
	s.join = nil
	if c != nil {
		clear(s.inLane[:])
		for i := range c.groups {
			s.inLane[c.groups[i].lane] = uint8(i + 1) //nolint:gosec // one group of each lane
		}
	}
	return c
}

// fewGroups is how many groups are searched one by one; beyond it a map is kept (routes by key, late data).
const fewGroups = 8

// maxSpanRecords is how many records a span has at most: a restart repeats a span whole, and small records
// would make a span of one pack's bytes too long.
const maxSpanRecords = 4096

// The records of a stream in a chunk cost one piece and one call, however many they are. A chunk whose records go to
// many streams has few for each, so it is wide: it grows until it has runRecords records of each stream on average, and at
// most to wideSpan times the bytes and records of other chunks.
const (
	runRecords = 8
	wideSpan   = 16
	shortSpans = 8 // the first chunks of an assignment are not wide
)

// Splitter cuts what was fetched into chunks. A chunk holds at most one pack's bytes and maxSpanRecords records,
// however much one fetch brought: 1. the bridge commits only whole spans  2. it crashes again and again, each time
// sooner than a fetch is delivered  3. with one span per fetch no run would get further than the one before.
// So the first chunks of an assignment are short even where later ones are wide.
// Cutting seals nothing: chunks that follow each other share open packs.
type Splitter struct {
	router    *route.Router
	content   *route.Content  // nil: values travel as they are
	body      route.Body      // of the record in hand; only with content
	originals route.Originals // of a requeue: content is that of the newest one
	short     int             // number of chunks to come that are not wide; see shortSpans
	// Pack is the bytes that the records of one chunk take in packs, at most. A record that is larger has a
	// chunk to itself.
	Pack int
	// A record above oversize bytes gets a span of its own: should it fit into no frame, the partition stops
	// exactly before it, and nothing is sent twice because of it.
	Oversize int
	Limit    int64  // records at and above it are not wanted; -1 for none
	Origin   string // of this group's packs
	Lanes    int    // in which a partition's records keep their order; 0 for none

	join   *chunk                // of the partition, and not begun: goes on with the fetch
	inLane [route.KeyLanes]uint8 // with order: the number of a lane's group in the chunk that is being filled, from 1 on; 0 for none

	arrived route.Arrival  // of the fetch
	taken   Taken          // of the fetch
	rules   *mapping.Topic // on_error of the topic; nil where everything stops the partition
	topicID [16]byte
	byHand  *byhand.Skip // of the partition; nil for none

	perGroup int // records of a group in the chunk before, on average: so many are made room for
	groups   int // of the chunk before

	index map[groupKey]int32 // into the groups of the chunk that is being filled, once there are many
	// Room for the records of groups to come. Groups may be many and small, so they are not allocated one by one.
	payloads [][]byte
	offsets  []int64
}

// Taken is what was taken of one fetch.
type Taken struct {
	Bytes    int64    // of the values of all records
	Skipped  int64    // records that no rule wants
	Packs    int64    // records that are packs of somebody else
	Replaced Replaced // records that are sent with the time of arrival
	Aside    []Skips  // records that on_error skips
}

// split returns the chunks of recs and the number of records it used. When a record cannot be routed, the
// last chunk ends before it and carries the reason to stop.
func (s *Splitter) split(recs []*kgo.Record) (chunks []*chunk, used int) {
	c := s.joined()
	if c != nil {
		chunks = append(chunks, c)
	}
	for i, rec := range recs {
		if s.Limit >= 0 && rec.Offset >= s.Limit {
			if c == nil {
				c = &chunk{first: rec.Offset}
				chunks = append(chunks, c)
			}
			c.first, c.next = min(c.first, s.Limit), s.Limit
			return chunks, used
		}
		control := rec.Attrs.IsControl()
		size := len(rec.Value)
		if s.requeued(rec); s.content != nil && !control {
			s.body = s.content.Of(rec)
			size = s.body.Size
		}
		oversize := !control && size > s.Oversize
		if c == nil || oversize || s.full(c, size) || c.leaves(rec) {
			c = s.next(c, rec)
			c.alone = oversize
			chunks = append(chunks, c)
		}
		if control { // carries no data: a gap of its span
			c.next, c.epoch = rec.Offset+1, rec.LeaderEpoch
			c.seen++
			used++
			continue
		}
		r, kept, stop := s.judge(c, rec)
		if stop != nil {
			c.stop = stop
			return chunks, used
		}
		lane := uint8(0)
		if s.Lanes > 0 && r != nil && !kept {
			if lane = route.Lane(rec.Key, s.Lanes); s.turns(c, lane, r, rec) {
				c = s.next(c, rec)
				chunks = append(chunks, c)
			}
		}
		c.next, c.epoch = rec.Offset+1, rec.LeaderEpoch
		used++
		c.seen++
		c.records++
		s.taken.Bytes += int64(len(rec.Value))
		if kept || oversize && r != nil && s.keepTooLarge(c, rec, size, r) {
			continue
		}
		if r == nil {
			c.skipped++
			s.taken.Skipped++
			continue
		}
		at, minute, ok := route.EventTime(rec)
		if !ok {
			at, minute = s.arrived.At, s.arrived.Minute
			s.taken.Replaced.add(rec)
		}
		room := s.perGroup
		if len(c.groups) == 0 && s.groups <= fewGroups { // mostly its group is the only one
			room = c.room(rec, len(recs)-i, s.Pack)
		}
		s.add(c, r, rec, at, minute, lane, room)
		if oversize {
			c = nil
		}
	}
	s.ended(c)
	return chunks, used
}

// next begins a chunk with a record, behind c, which may be nil.
func (s *Splitter) next(c *chunk, rec *kgo.Record) *chunk {
	s.ended(c)
	c = &chunk{first: rec.Offset, next: rec.Offset, arrived: s.arrived}
	c.groups = c.one[:0]
	if s.Lanes > 0 {
		clear(s.inLane[:])
	}
	return c
}

// ended notes the size of a chunk that gets no more records, for the room of the next one; c may be nil.
func (s *Splitter) ended(c *chunk) {
	if c == nil {
		return
	}
	s.short--
	if s.groups = len(c.groups); s.groups > 0 {
		s.perGroup = (c.records - int(c.skipped) + s.groups - 1) / s.groups
	}
}

// full reports whether a record of so many bytes would make the chunk larger than a span may be.
func (s *Splitter) full(c *chunk, size int) bool {
	times := 1
	if s.short <= 0 && len(c.groups) > fewGroups && c.records < runRecords*len(c.groups) {
		times = wideSpan
	}
	return c.seen >= times*maxSpanRecords || c.items > 0 && c.items+size+frame.ItemOverhead > times*s.Pack
}

// room estimates how many of the next left records the chunk takes, this one among them: as many as fit if all
// have its size.
func (c *chunk) room(rec *kgo.Record, left, pack int) int {
	return min(left, maxSpanRecords-c.seen+1, pack/(len(rec.Value)+frame.ItemOverhead)+1)
}

// add puts a record into its group. A new group gets room for so many records, and all groups together for at most twice the records
// of a chunk.
func (s *Splitter) add(c *chunk, r *route.Route, rec *kgo.Record, at time.Time, minute int32, lane uint8, room int) {
	g := s.group(c, r, minute, lane)
	if g == nil {
		g = c.begin(r, minute, at)
		g.lane = lane
		room = max(min(room, 2*maxSpanRecords-c.made), 1)
		c.made += room
		g.payloads, g.offsets = s.room(room)
		if n := len(c.groups); s.Lanes > 0 {
			s.inLane[lane] = uint8(n) //nolint:gosec // one group of each lane
		} else if n == fewGroups+1 {
			clear(s.index)
			c.groups = slices.Grow(c.groups, max(s.groups-n, fewGroups))
			for i := range c.groups {
				s.indexed(c, i)
			}
			g = &c.groups[n-1]
		} else if n > fewGroups {
			s.indexed(c, n-1)
		}
	}
	payload, size := rec.Value, len(rec.Value) // nil, a tombstone, goes as an empty payload
	if s.content != nil {
		payload, size = s.body.Payload, s.body.Size
		if s.content.WithAttrs() {
			g.attrs = append(g.attrs, s.body.Attrs)
			c.attrs += len(s.body.Attrs)
		}
	}
	g.payloads = append(g.payloads, payload)
	g.offsets = append(g.offsets, rec.Offset)
	c.follow(g, rec)
	c.bytes += int64(size)
	c.items += size + frame.ItemOverhead
}

// begin adds a group without records.
func (c *chunk) begin(r *route.Route, minute int32, at time.Time) *group {
	c.groups = append(c.groups, group{route: r, minute: minute, time: at})
	return &c.groups[len(c.groups)-1]
}

// indexed notes where a group of the chunk is.
func (s *Splitter) indexed(c *chunk, i int) {
	if s.index == nil {
		s.index = make(map[groupKey]int32, 4*fewGroups)
	}
	g := &c.groups[i]
	s.index[groupKey{g.route.Index, g.minute}] = int32(i)
}

// group finds the group of a route and minute, which is nearly always the newest, or that of a lane.
func (s *Splitter) group(c *chunk, r *route.Route, minute int32, lane uint8) *group {
	if s.Lanes > 0 {
		return s.groupOfLane(c, lane)
	}
	if len(c.groups) > fewGroups {
		if i, ok := s.index[groupKey{r.Index, minute}]; ok {
			return &c.groups[i]
		}
		return nil
	}
	for i := len(c.groups) - 1; i >= 0; i-- {
		if g := &c.groups[i]; g.route == r && g.minute == minute {
			return g
		}
	}
	return nil
}

// slabRecords is the number of records for which room is allocated at a time.
const slabRecords = 1024

// room returns slices with room for n records.
func (s *Splitter) room(n int) (payloads [][]byte, offsets []int64) {
	if n > slabRecords/2 {
		return make([][]byte, 0, n), make([]int64, 0, n)
	}
	if n > len(s.payloads) {
		s.payloads, s.offsets = make([][]byte, slabRecords), make([]int64, slabRecords)
	}
	payloads, s.payloads = s.payloads[:0:n], s.payloads[n:]
	offsets, s.offsets = s.offsets[:0:n], s.offsets[n:]
	return payloads, offsets
}

// Replaced counts the records of a fetch whose event time was replaced, and remembers the first.
type Replaced struct {
	N     int64
	First *kgo.Record
}

func (r *Replaced) add(rec *kgo.Record) {
	if r.N++; r.First == nil {
		r.First = rec
	}
}
