package sdk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/bufpool"
	"inlong-bridge/sdk/internal/encode"
	"inlong-bridge/sdk/internal/fill"
)

// Stream is a (group, stream) pair that was checked once; get it from Sender.Stream.
type Stream struct {
	s         *Sender
	text      string // group and name, with a point between them
	proxies   *proxyList
	number    int32      // in the order of first use, never given twice
	groupLen  int32      // of text
	overhead  int32      // most bytes of a frame that are not records, without the attributes of a pack
	folded    bool       // has no numbers of its own in metrics
	forgotten bool       // by ForgetStream; guarded by mu and Sender.mu
	watch     watchState // guarded by Sender.mu
	packAttrs atomic.Pointer[PackAttrs]

	held  atomic.Int64 // bytes of the budget, without repairs
	ahead fill.Flow    // sealed and not yet handed to a connection, without repairs

	mu          sync.Mutex // before Sender.mu
	open        openSet
	last        *pack // of open, the one that was appended to last
	double      bool  // packs take twice as many bytes; see sealLocked
	records     uint64
	recordBytes uint64
	full        uint64 // calls that found no room
	tooLarge    uint64 // records that fit into no frame
	trailFull   uint64 // packs that were sealed because their trail was full
	lastSize    int32  // bytes of the pack sealed last, to begin the next buffer with

	// Guarded by Sender.mu. The order of the fields makes thousands of idle streams take less memory.
	tryAuto  encode.Auto
	life     engine.Stream // what the engine knows of it; its Ref is the index in Sender.streamList
	watchErr *error        // why its queue cannot be watched; nil for nothing
	wire     *encode.Wire  // what of ahead is encoded; nil until a pack is sealed while another is ahead
	meter    meter
}

type streamKey struct{ group, stream string }

// maxID is the longest group or stream id. All attributes must stay well below the 2 KiB DataProxy is
// known to take.
const maxID = 512

// Group and Name are the ids; String is "group.stream".
func (s *Stream) Group() string  { return s.text[:s.groupLen] }
func (s *Stream) Name() string   { return s.text[s.groupLen+1:] }
func (s *Stream) String() string { return s.text }

// Stream checks the ids and returns their handle; the same ids give the same handle, until ForgetStream. Each stream
// takes about a kilobyte of the byte budget: an error with ErrTooManyStreams says that no more of them fit.
func (s *Sender) Stream(group, stream string) (*Stream, error) {
	s.mu.Lock()
	st, err := s.streamLocked(group, stream)
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	return st, err
}

// streamLocked finds or makes the handle. Under mu.
func (s *Sender) streamLocked(group, stream string) (*Stream, error) {
	key := streamKey{group, stream}
	if st := s.streams[key]; st != nil {
		return st, nil
	}
	if s.end.closing.Load() {
		return nil, ErrClosed
	}
	if err := checkIDs(group, stream); err != nil {
		return nil, err
	}
	// A text of its own: what the caller gave may be a piece of something much larger.
	st := &Stream{s: s, text: group + "." + stream, groupLen: int32(len(group))}
	longest := len(st.appendAttrs(nil)) + len("9223372036854775807") + len("&mid=.ffffffffffffffff") + len(s.o.instance)
	st.overhead = int32(s.o.messageType.overhead(longest))
	if s.o.maxFrame-int(st.overhead)-maxPackAttrs <= frame.ItemAttrOverhead {
		return nil, fmt.Errorf("stream %s: no room for a record in a frame of %d bytes beside %d bytes of attributes; raise WithMaxFrame", st.text, s.o.maxFrame, longest)
	}
	if s.budget.Most(st.bytes()) < 2*int64(s.o.maxFrame) {
		return nil, fmt.Errorf("stream %s: %w (%d streams, %d bytes)", st.text, ErrTooManyStreams, len(s.streams), s.budget.Fixed())
	}
	s.budget.Fix(st.bytes())
	st.number = s.openings.streams
	s.openings.streams++
	if st.folded = s.openings.own >= s.o.metricStreams; !st.folded {
		s.openings.own++
	}
	st.proxies = s.proxiesOfLocked(st.Group())
	if g := s.proxies.groups[group]; g != nil {
		g.streams++
	}
	s.streams[streamKey{st.Group(), st.Name()}] = st
	st.life.Ref = int32(len(s.streamList))
	s.streamList = append(s.streamList, st)
	s.e.AddStream(&st.life, finality.Stream(st.number), &st.proxies.life)
	return st, nil
}

func checkIDs(group, stream string) error {
	return errors.Join(checkID("groupId", group), checkID("streamId", stream))
}

func checkID(key, id string) error {
	switch {
	case id == "":
		return &InvalidIDError{key, id, "is empty"}
	case len(id) > maxID:
		return &InvalidIDError{key, id[:maxID], fmt.Sprintf("(%d bytes) is longer than %d", len(id), maxID)}
	case strings.TrimSpace(id) != id:
		return &InvalidIDError{key, id, "begins or ends with a space, which DataProxy cuts off"}
	}
	if err := frame.CheckAttribute(key, id); err != nil {
		return &InvalidIDError{key, id, "cannot be sent: " + err.Error()}
	}
	return nil
}

// appendAttrs appends the attributes of the stream's packs up to the value of rtms.
func (s *Stream) appendAttrs(attr []byte) []byte {
	attr = frame.AppendAttr(attr, "groupId", s.Group())
	attr = frame.AppendAttr(attr, "streamId", s.Name())
	if s.s.origin != "" {
		attr = frame.AppendAttr(attr, frame.AttrOrigin, s.s.origin)
	}
	return frame.AppendAttr(attr, "rtms", "")
}

// packForLocked returns the open pack for a record of n bytes, a new one if need be. The caller holds mu and
// appends to it before letting go.
func (s *Stream) packForLocked(key openKey, t time.Time, n int) *pack {
	p := s.last
	if p == nil || p.key != key {
		p = s.open.get(&key)
	}
	if p != nil && !p.fits(n) {
		s.s.sealLocked(p)
		p = nil
	}
	if p == nil {
		p = &pack{filling: filling{st: s, key: key, opened: s.s.now(), dataMillis: dataMillis(t)}}
		over := int(s.overhead) + len(key.attrs) + len("&")
		most := s.s.o.packBytes
		if s.double {
			most *= 2
		}
		most = min(most, s.s.openShare())
		// The frame is to fit into the buffer of a power of two that the pack's size usually is.
		room := s.room(key.attrs)
		if key.trail {
			p.trail = s.beginTrail(key.attrs)
			over += len(trailKey) + maxTrail
			room -= maxTrail - leastTrail // a single record may take it: its trail is short
		}
		limit := min(max(most-over, most/2), room)
		if s.lastSize == 0 && s.s.open.Len() >= manyOpen {
			limit = s.firstLimit(limit, n)
		}
		p.limit = int32(limit) //nolint:gosec // less than a frame may have
		begin := over + min(max(int(s.lastSize), minPackBuffer-over), limit)
		if s.s.open.Len() >= manyOpen {
			begin = min(begin, segmentBytes)
		}
		p.buf = s.s.packBuffer(max(begin, over+n+frame.ItemOverhead))
		p.pieces = s.s.pieces.get()
		s.open.add(p)
		s.s.openedLocked(p)
	}
	s.last = p
	return p
}

// manyOpen is from how many open packs on the first one of a stream is made smaller.
const manyOpen = 64

// firstLimit is the size of a stream's first pack. 1. records come to hundreds of streams in turn  2. all
// their packs fill at the same time, and the encoders have nothing to do  3. all are full at the same
// time, and whoever hands over waits for the encoders. So first packs have an eighth to all of the size,
// by stream, and from there on they are full at different times.
func (s *Stream) firstLimit(limit, n int) int {
	return max(limit/8*(1+int(s.number)%8), min(n+frame.ItemOverhead, limit))
}

const minPackBuffer = encode.MinBuffer

// openShare is the largest buffer that every open pack may have at once without holding more than the
// budget together. What is charged is records: this bounds the rest of their buffers.
func (s *Sender) openShare() int {
	share := uint64(s.budget.Most(0)) / uint64(s.open.Len()+1)
	return max(1<<(bits.Len64(share)-1), minPackBuffer)
}

// packBuffer is the buffer of a pack without records: n bytes and more, the frame's header among them.
func (s *Sender) packBuffer(n int) []byte {
	return s.bufs.Get(max(n, frame.PackHeader))[:frame.PackHeader]
}

// room is how many bytes of items fit into a frame beside the attributes of its pack.
func (s *Stream) room(attrs string) int {
	room := s.s.o.maxFrame
	if most := int(s.proxies.maxFrame.Load()); most > 0 {
		room = min(room, most)
	}
	room -= int(s.overhead)
	if attrs != "" {
		room -= len("&") + len(attrs)
	}
	if s.s.o.trails != nil {
		room -= len(trailKey) + leastTrail
	}
	return room
}

// add appends one record.
func (p *pack) add(payload []byte, bufs *bufpool.Pool) {
	p.makeRoom(frame.ItemOverhead+len(payload), bufs)
	p.buf = frame.AppendItem(p.buf, payload)
	p.count++
	p.charge += fill.Cost(payload)
}

// addWhatFits appends the first of the records that fit into the buffer as it is, and returns how many. The fields change
// once for all of them: small records cost more in bookkeeping than in bytes.
func (p *pack) addWhatFits(records [][]byte) int {
	records = records[:min(len(records), p.st.s.o.packCount-p.count)]
	buf, most := p.buf, min(cap(p.buf), frame.PackHeader+int(p.limit)-p.before.size())
	n := len(records)
	for i, r := range records {
		if len(buf)+frame.ItemOverhead+len(r) > most {
			n = i
			break
		}
		buf = frame.AppendItem(buf, r)
	}
	p.charge += int64(len(buf) - len(p.buf))
	p.buf = buf
	p.count += n
	return n
}

// addWithAttrs appends one record of n bytes and its attributes, as appendRecord made them.
func (p *pack) addWithAttrs(record []byte, n int, bufs *bufpool.Pool) {
	p.makeRoom(frame.ItemOverhead+len(record), bufs)
	p.buf = binary.BigEndian.AppendUint32(p.buf, uint32(n))
	p.buf = append(p.buf, record...)
	p.count++
	p.charge += fill.Cost(record)
}

// timeOrNow is the event time of what was handed over with t: a zero Time is not the year 1, but says nothing.
func timeOrNow(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now()
	}
	return t
}

// dataTime is an event time as the frame carries it. Readers take the field as signed 32 bit, so what lies before
// 1970 or after 2038 becomes the nearest end of that range.
func dataTime(millis int64) uint32 {
	return uint32(min(millis/1000, 1<<31-1))
}
