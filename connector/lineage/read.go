package lineage

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrVersion says that a later version wrote a lineage.
var ErrVersion = errors.New("lineage of a version that is not known")

// Decode reads the lineage of a pack of so many records. It refuses one that tells of more or fewer. The memory that it takes
// is bounded by the length of src, whatever the numbers in it say.
func Decode(src string, records int) (*Lineage, error) {
	h, rest, err := header(src)
	if err != nil {
		return nil, err
	}
	if records < 1 || records > maxRecords {
		return nil, fmt.Errorf("reading lineage: a pack of %d records, want 1 to %d", records, maxRecords)
	}
	if h.part && h.n != uint64(records) {
		return nil, fmt.Errorf("reading lineage: it tells of %d records, the pack has %d", h.n, records)
	}
	r := reader{rest: rest}
	l := &Lineage{Requeued: h.flags&flagRequeued != 0}
	next := r.sources(l, h.cluster)
	if r.err == nil {
		r.spans(l, next, h, records)
	}
	if r.err != nil {
		return nil, fmt.Errorf("reading lineage: %w", r.err)
	}
	return l, nil
}

// head is what stands before the table of sources.
type head struct {
	flags   byte
	part    bool
	skip, n uint64 // of a part: how many records the pack that was cut had before it, and how many it has
	cluster Cluster
}

// header reads the head, and returns the bytes behind it.
func header(src string) (h head, rest []byte, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(src)
	if err != nil {
		return h, nil, fmt.Errorf("reading lineage: %w", err)
	}
	r := reader{rest: raw}
	if h.flags = r.bytes(1)[0]; r.err == nil && h.flags&^(flagRequeued|flagPart) != version {
		return h, nil, fmt.Errorf("reading lineage: first byte %#02x: %w", h.flags, ErrVersion)
	}
	if h.part = h.flags&flagPart != 0; h.part {
		h.skip, h.n = r.uvarint(), r.uvarint()
	}
	copy(h.cluster[:], r.bytes(len(h.cluster)))
	if r.err == nil && (h.skip > maxRecords || h.n > maxRecords) {
		r.err = errors.New("a part of a pack that is too large")
	}
	if r.err != nil {
		return h, nil, fmt.Errorf("reading lineage: %w", r.err)
	}
	return h, r.rest, nil
}

// reader reads bytes until the first error. Afterwards it returns zeros.
type reader struct {
	rest []byte
	err  error
}

var errShort = errors.New("it ends too early")

// zeros are what is read after an error.
var zeros [16]byte

// bytes reads n bytes, at most 16.
func (r *reader) bytes(n int) []byte {
	if r.err != nil || len(r.rest) < n {
		r.fail(errShort)
		return zeros[:n]
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.err != nil || n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// sources reads the table, and returns the first offset of each source.
func (r *reader) sources(l *Lineage, cluster Cluster) (next []int64) {
	var topics []Source // of each topic, the first source
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		h := r.uvarint()
		s := Source{Cluster: cluster}
		switch ref := h >> 1; {
		case ref < 2:
			copy(s.Topic[:], r.bytes(len(s.Topic)))
			s.Named = ref == 1
			topics = append(topics, s)
		case ref-2 < uint64(len(topics)):
			s = topics[ref-2]
		default:
			r.fail(fmt.Errorf("topic %d of %d", ref-2, len(topics)))
		}
		partition, first, committed := r.uvarint(), r.uvarint(), None
		if h&1 != 0 {
			if committed = int64(first) - unzigzag(r.uvarint()); committed < 0 {
				r.fail(fmt.Errorf("committed offset %d", committed))
			}
		}
		if partition > math.MaxInt32 || first > math.MaxInt64 {
			r.fail(fmt.Errorf("partition %d, offset %d", partition, first))
		}
		s.Partition = int32(partition)
		l.Sources, next = append(l.Sources, Position{s, committed}), append(next, int64(first))
	}
	return next
}

// spans reads the runs and their gaps.
func (r *reader) spans(l *Lineage, next []int64, h head, records int) {
	count := r.uvarint()
	in := bitReader{b: r.rest}
	var runs []run
	total := 0
	for ; count > 0; count-- {
		source, n := in.getNibbles(), in.getNibbles()
		one := run{source: int(source), n: int(n>>1) + 1, dense: n&1 != 0}
		if in.short || source >= uint64(len(next)) || n>>1 >= maxRecords {
			r.fail(errors.New("a run of records that cannot be"))
			return
		}
		if total += one.n; total > maxRecords {
			break
		}
		runs = append(runs, one)
	}
	skip, want := 0, total
	if h.part {
		skip, want = int(h.skip), records
	}
	if !in.align() || want != records || skip+records > total {
		r.fail(fmt.Errorf("it tells of %d records, the pack has %d", total-skip, records))
		return
	}
	out := spanner{l: l, next: next, skip: skip, left: records}
	state := freshGaps
	for _, one := range runs {
		if one.dense {
			out.add(one.source, 0, one.n)
			continue
		}
		for left := one.n; left > 0; {
			n, gap, hole := state.get(&in, left)
			if left -= n; hole {
				left--
			}
			if in.short || left < 0 {
				r.fail(errShort)
				return
			}
			if n > 0 {
				out.add(one.source, 0, n)
			}
			if hole {
				out.add(one.source, gap, 1)
			}
		}
	}
	switch {
	case out.bad:
		r.fail(errors.New("an offset that cannot be"))
	case !in.align() || in.at != 8*len(in.b):
		r.fail(errors.New("more follows its last record"))
	}
}

// spanner turns gaps into spans.
type spanner struct {
	l          *Lineage
	next       []int64
	skip, left int // records that are not told, and those that are after them
	bad        bool
}

// add adds n neighbours that lie gap behind where the source was.
func (p *spanner) add(source int, gap int64, n int) {
	first := p.next[source] + gap
	last := first + int64(n-1)
	if p.bad = p.bad || first < 0 || last < first || last == math.MaxInt64; p.bad {
		return
	}
	p.next[source] = last + 1
	if skip := min(p.skip, n); skip > 0 {
		p.skip -= skip
		first += int64(skip)
		n -= skip
	}
	if n = min(n, p.left); n == 0 {
		return
	}
	p.left -= n
	last = first + int64(n-1)
	if i := len(p.l.Spans) - 1; i >= 0 && p.l.Spans[i].Source == source && p.l.Spans[i].Last+1 == first {
		p.l.Spans[i].Last = last
		return
	}
	p.l.Spans = append(p.l.Spans, Span{source, first, last})
}

// Cut returns the lineage of the records [from, to) of a pack that has so many records and the lineage src. It is at most 8
// characters longer than src was before the pack was first cut.
func Cut(src string, records, from, to int) (string, error) {
	h, rest, err := header(src)
	if err != nil {
		return "", err
	}
	if from < 0 || to > records || from >= to || h.part && h.n != uint64(records) {
		return "", fmt.Errorf("cutting lineage: records [%d, %d) of %d (%d told)", from, to, records, h.n)
	}
	raw := []byte{h.flags | flagPart}
	raw = binary.AppendUvarint(raw, h.skip+uint64(from))
	raw = binary.AppendUvarint(raw, uint64(to-from))
	raw = append(raw, h.cluster[:]...)
	return base64.RawURLEncoding.EncodeToString(append(raw, rest...)), nil
}
