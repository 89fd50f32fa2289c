package lineage

import "math"

// Verdict is what the consumer's rule says of a record.
type Verdict uint8

const (
	First  Verdict = iota // take it: no copy of it was taken
	Repeat                // drop it: a copy was taken, or is still to be read in another partition of the queue
	Unsure                // take it: a copy may have been taken, and that is forgotten
)

func (v Verdict) String() string { return [...]string{"first", "repeat", "unsure"}[v] }

// Dedupe is the consumer's rule for one stream. A record is a repeat if its source offset was taken from the stream before. It is
// a repeat too if it lies below the newest committed offset that came before it in the same partition of the queue: everything below was in
// the queue when that was sent. In another partition of the queue it may be the first copy, which is only read later.
//
// Offsets that lie below the committed offsets of all partitions of the queue are forgotten: the rule knows them as repeats
// without. So packs of a bridge that confirms by the queue take little memory, as long as packs come in every partition of the queue.
// Otherwise a limit holds, the lowest offsets are forgotten first, and Forgotten says how many.
//
// It is not safe for concurrent use.
type Dedupe struct {
	limit      int
	partitions map[string]int
	sources    map[Source]*seen
	intervals  int
	forgotten  int64
}

// seen is what is known of one source.
type seen struct {
	committed []int64 // newest, by the number of the queue's partition; 0 where none was told
	// floor is where memory begins: below it, an offset that is not in a set may have been taken.
	floor    int64
	taken    intervals // at and above floor
	requeued intervals // taken from requeued packs, or below floor: no committed offset says that they were
}

// NewDedupe returns the rule for a stream that lies in these partitions of the queue, all of all clusters. It remembers
// at most limit intervals of offsets (16 bytes each).
func NewDedupe(limit int, partitions ...string) *Dedupe {
	d := &Dedupe{limit: max(limit, 1), partitions: map[string]int{}, sources: map[Source]*seen{}}
	for _, p := range partitions {
		d.Join(p)
	}
	return d
}

// Join adds a partition of the queue. What it holds of the offsets that are forgotten by then is Unsure.
func (d *Dedupe) Join(partition string) {
	if _, ok := d.partitions[partition]; !ok {
		d.partitions[partition] = len(d.partitions)
	}
}

// Pack judges the records of a pack, and appends a verdict for each. Packs of a partition come in the order in which they lie in
// it. A partition that nobody named joins.
func (d *Dedupe) Pack(partition string, l *Lineage, verdicts []Verdict) []Verdict {
	d.Join(partition)
	q := d.partitions[partition]
	sources := make([]*seen, len(l.Sources))
	for i, at := range l.Sources {
		sources[i] = d.source(at.Source, q)
	}
	for r := range l.Records() {
		verdicts = append(verdicts, d.judge(sources[r.Source], q, r.Offset, l.Requeued))
	}
	for i, at := range l.Sources {
		if s := sources[i]; at.Committed > s.committed[q] {
			s.committed[q] = at.Committed
			d.rise(s)
		}
	}
	return verdicts
}

// Intervals returns how many intervals of offsets are remembered.
func (d *Dedupe) Intervals() int { return d.intervals }

// Forgotten returns how many offsets were forgotten because there were too many intervals.
func (d *Dedupe) Forgotten() int64 { return d.forgotten }

func (d *Dedupe) source(key Source, q int) *seen {
	s := d.sources[key]
	if s == nil {
		s = &seen{}
		d.sources[key] = s
	}
	for len(s.committed) <= q {
		s.committed = append(s.committed, 0)
	}
	return s
}

func (d *Dedupe) judge(s *seen, q int, offset int64, requeued bool) Verdict {
	v, set := First, &s.taken
	switch {
	case s.taken.has(offset) || s.requeued.has(offset), !requeued && offset < s.committed[q]:
		return Repeat
	case offset < s.floor:
		v, set = Unsure, &s.requeued
	case requeued:
		set = &s.requeued
	}
	before := len(*set)
	set.add(offset)
	d.intervals += len(*set) - before
	for d.intervals > d.limit {
		d.forget()
	}
	return v
}

// rise forgets what lies below the committed offsets of all partitions of the queue.
func (d *Dedupe) rise(s *seen) {
	if len(s.committed) < len(d.partitions) {
		return
	}
	floor := int64(math.MaxInt64)
	for _, c := range s.committed {
		floor = min(floor, c)
	}
	if floor > s.floor {
		s.floor = floor
		before := len(s.taken)
		s.taken.dropBelow(floor)
		d.intervals += len(s.taken) - before
	}
}

// forget makes room: it drops the lowest quarter of the intervals of the source that has most.
func (d *Dedupe) forget() {
	var most *seen
	for _, s := range d.sources {
		if most == nil || len(s.taken)+len(s.requeued) > len(most.taken)+len(most.requeued) {
			most = s
		}
	}
	set := &most.taken
	if len(most.requeued) > len(*set) {
		set = &most.requeued
	}
	before := len(most.taken) + len(most.requeued)
	floor := (*set)[len(*set)/4].last + 1
	d.forgotten += most.taken.dropBelow(floor) + most.requeued.dropBelow(floor)
	most.floor = max(most.floor, floor)
	d.intervals += len(most.taken) + len(most.requeued) - before
}
