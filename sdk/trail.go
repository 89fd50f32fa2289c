package sdk

import (
	"inlong-bridge/sdk/frame"
)

// Trails notes where the records of packs come from. Packs carry the notes as the attribute src into the queue; what they
// say, and of which source, is the caller's. See WithTrails.
type Trails interface {
	// Begin returns the notes of a pack without records, whose text may take so many characters.
	Begin(chars int) Trail
	// Cut returns the text for the records [from, to) of a pack that has so many and was sent with text. It may not be longer
	// than Begin allowed.
	Cut(text string, records, from, to int) (string, error)
}

// Trail is the notes of one pack. It is used by one goroutine at a time, and Add under a lock of the sender: it may not call that.
type Trail interface {
	// Add notes payloads [from, to) of the batch whose Trail is of: the next records of the pack. It returns
	// how many of them it had room for. When that is fewer the pack is sealed, and the rest goes into the next one. A pack whose notes have no room
	// for its first record travels without notes.
	Add(of any, from, to int) (n int)
	// AppendTo appends the text, of printable ASCII without '&' and '='. It is the last call.
	AppendTo(dst []byte) []byte
}

// WithTrails has packs say where their records come from. It concerns records of batches that have a Trail, which share no pack with others.
func WithTrails(t Trails) Option { return optionFunc(func(o *options) { o.trails = t }) }

const (
	maxAttrs   = 2 << 10 // of a pack in all: what DataProxy is known to take
	maxTrail   = 768     // characters of a trail
	leastTrail = 80      // so many are there beside the longest ids and attributes, and for one record that is enough
	trailKey   = "&" + frame.AttrTrail + "="
)

// beginTrail begins the notes of a pack with such attributes.
func (s *Stream) beginTrail(attrs string) Trail {
	others := int(s.overhead) - s.s.o.messageType.fixed() + len("&") + len(attrs)
	return s.s.o.trails.Begin(min(maxTrail, maxAttrs-others-len(trailKey)))
}

// noteLocked adds the records that were just appended, payloads [from, to) of the batch, to the notes of the pack, and
// takes back those that the notes have no room for. It returns how many stay. Under the lock of p's stream.
func (p *pack) noteLocked(b *Batch, records [][]byte, from, to int) (n int) {
	n = p.trail.Add(b.Trail, from, to)
	if n == 0 && p.count == to-from {
		p.trail = nil
		return to - from
	}
	for _, r := range records[n:] {
		size := frame.ItemOverhead + len(r)
		p.takeBack(size, &p.st.s.bufs)
		p.charge -= int64(size)
		p.count--
	}
	return n
}

// cutTrail returns the notes of n records of a pack that was encoded, from one on.
func (s *Sender) cutTrail(p *pack, from, n int) Trail {
	text, ok := s.enc.Attribute(p.frame, frame.AttrTrail)
	if !ok {
		return nil
	}
	part, err := s.o.trails.Cut(string(text), p.count, from, from+n)
	if err != nil {
		s.o.logger.Error("bug: part of a pack travels without its trail", "stream", p.st.text, "err", err)
		return nil
	}
	return written(part)
}

// written is the notes of a pack that takes no more records.
type written string

// Add implements Trail.
func (written) Add(any, int, int) int { return 0 }

// AppendTo implements Trail.
func (w written) AppendTo(dst []byte) []byte { return append(dst, w...) }
