package sdk

import (
	"errors"
	"maps"
	"time"
)

// timeBounds are the upper bounds of the buckets of Times. 32, 128 and 1024 ms are among them because
// the lines of WithMetricsLog, and the InLong SDKs, speak of those.
var timeBounds = [timeBuckets - 1]time.Duration{
	2 * time.Millisecond, 8 * time.Millisecond, 32 * time.Millisecond, 128 * time.Millisecond, 512 * time.Millisecond,
	1024 * time.Millisecond, 4096 * time.Millisecond, 16384 * time.Millisecond, 65536 * time.Millisecond,
}

const timeBuckets = 10

// TimeBounds returns the upper bounds of the buckets of Times, which belong to their bucket.
func TimeBounds() []time.Duration { return append([]time.Duration(nil), timeBounds[:]...) }

// Times counts records by how long something took. It is measured once per pack and counted for each
// of its records; what begins with the append counts from the first record of the pack, so no record
// took longer than its bucket says.
type Times struct {
	Buckets [timeBuckets]uint64 `json:"buckets"` // records by TimeBounds, the last for all above
	Seconds float64             `json:"seconds"` // sum over the records
}

// Records is how many records were counted.
func (t *Times) Records() (n uint64) {
	for _, b := range t.Buckets {
		n += b
	}
	return n
}

// Mean is the average time, 0 without records.
func (t *Times) Mean() time.Duration {
	n := t.Records()
	if n == 0 {
		return 0
	}
	return time.Duration(t.Seconds / float64(n) * float64(time.Second))
}

// note counts one pack.
func (t *Times) note(d time.Duration, records int) {
	i := 0
	for i < len(timeBounds) && d > timeBounds[i] {
		i++
	}
	t.Buckets[i] += uint64(records)
	t.Seconds += d.Seconds() * float64(records)
}

// upTo is how many records lie in the buckets above one bound and up to another; 0 stands for none.
func (t *Times) upTo(above, bound time.Duration) (n uint64) {
	for i, b := range t.Buckets {
		last := i == len(timeBounds)
		if (last && bound == 0) || (!last && timeBounds[i] > above && (bound == 0 || timeBounds[i] <= bound)) {
			n += b
		}
	}
	return n
}

func (t *Times) add(o *Times, sign int) {
	for i := range t.Buckets {
		t.Buckets[i] += uint64(sign) * o.Buckets[i] // -1 wraps, as it should
	}
	t.Seconds += float64(sign) * o.Seconds
}

// meter is what a stream counts beside its packs: per pack, never per record. Guarded by Sender.mu.
type meter struct {
	packedBytes uint64 // items of the packs that wireBytes counts, before compression
	plainPacks  uint64 // of those, not compressed
	betterPacks uint64 // of those, compressed with the better encoder

	queue, wire, total Times
}

// turnedAwayLocked counts calls that could not hand over everything. Under st.mu.
func (s *Stream) turnedAwayLocked(err error) {
	switch {
	case errors.Is(err, ErrTooLarge):
		s.tooLarge++
	case errors.Is(err, ErrBufferFull), errors.Is(err, ErrStreamFull):
		s.full++
	}
}

// defaultMetricStreams is how many streams, and groups, have numbers of their own in metrics.
const defaultMetricStreams = 1000

// WithMetricStreams bounds the number of series: n streams and n groups have numbers of their own in metrics and in
// the lines of WithMetricsLog, those that were used first; the rest is added up under the name "other". One that is
// forgotten (ForgetStream) leaves its place to the next that comes. Status lists all of them. Default 1000.
func WithMetricStreams(n int) Option { return optionFunc(func(o *options) { o.metricStreams = n }) }

// other names what is added up; see WithMetricStreams.
const other = "other"

// StreamSeries returns the streams as metrics show them: those beyond WithMetricStreams are one entry
// named other.other at the end, and so is a stream that has that very name.
func (s *Status) StreamSeries() []StreamStatus {
	rest := s.gone
	rest.Group, rest.Stream, rest.Folded = other, other, true
	return fold(s.Streams, func(st *StreamStatus) bool { return folded(st.Folded, st.Group, st.Stream) }, rest, s.gone.Folded, (*StreamStatus).add)
}

// folded reports whether a stream's numbers are part of the sum: it has none of its own, or the name of the sum.
func folded(f bool, group, stream string) bool { return f || (group == other && stream == other) }

// GroupSeries returns the groups as metrics show them: those beyond WithMetricStreams are one entry
// named other at the end.
func (d *DiscoveryStatus) GroupSeries() []GroupStatus {
	return fold(d.Groups, func(g *GroupStatus) bool { return g.Folded || g.Group == other },
		GroupStatus{Group: other, Folded: true, Failures: d.gone.Failures}, d.gone.Folded, (*GroupStatus).add)
}

// EndpointSeries returns the proxies as metrics show them: with connections per group a proxy is there
// once all the same, with the numbers of all groups added up. It is paused if it is for one of them.
func (s *Status) EndpointSeries() []EndpointStatus {
	var out []EndpointStatus
	for i := range s.Endpoints { // sorted by address
		if e := &s.Endpoints[i]; i > 0 && e.Address == s.Endpoints[i-1].Address {
			out[len(out)-1].add(e)
		} else {
			out = append(out, *e)
		}
	}
	return out
}

func (e *EndpointStatus) add(o *EndpointStatus) {
	e.Group = ""
	if o.State == "paused" {
		e.State, e.Code, e.Reason = o.State, o.Code, o.Reason
	}
	e.sum(o)
}

// sum adds the numbers of o up, and takes its error if that is the later one.
func (e *EndpointStatus) sum(o *EndpointStatus) {
	if o.LastErrorTime.After(e.LastErrorTime) {
		e.LastError, e.LastErrorTime = o.LastError, o.LastErrorTime
	}
	e.Connections += o.Connections
	e.InFlightPacks += o.InFlightPacks
	e.InFlightBytes += o.InFlightBytes
	e.AckedPacks += o.AckedPacks
	e.AckedBytes += o.AckedBytes
	e.WindowBytes += o.WindowBytes
	e.OldestUnfinal = max(e.OldestUnfinal, o.OldestUnfinal)
	e.PacksAcked += o.PacksAcked
	e.BytesSent += o.BytesSent
	e.Reconnects += o.Reconnects
	e.ConnectionsEnded += o.ConnectionsEnded
	e.UnknownAcks += o.UnknownAcks
	e.PacksLost += o.PacksLost
	e.RecordsLost += o.RecordsLost
	if len(o.AckErrors) == 0 {
		return
	}
	codes := maps.Clone(e.AckErrors) // it may be shared
	if codes == nil {
		codes = make(map[int]uint64)
	}
	for code, n := range o.AckErrors {
		codes[code] += n
	}
	e.AckErrors = codes
}

// fold adds up some of all, and puts the sum behind the others: rest, if there were more of them before, and they.
func fold[T any](all []T, folded func(*T) bool, rest T, before bool, add func(sum, o *T)) []T {
	own := make([]T, 0, len(all)+1)
	for i := range all {
		if folded(&all[i]) {
			add(&rest, &all[i])
		} else {
			own = append(own, all[i])
		}
	}
	if before || len(own) < len(all) {
		own = append(own, rest)
	}
	return own
}

// add adds the numbers of o up. The sum compresses if one of them does, and is stalled if one is.
func (s *StreamStatus) add(o *StreamStatus) {
	if s.Stall == "" {
		s.StallCode, s.Stall = o.StallCode, o.Stall
	}
	s.Compressing = s.Compressing || o.Compressing
	s.HeldBytes += o.HeldBytes
	s.HeldPacks += o.HeldPacks
	s.UnfinalPacks += o.UnfinalPacks
	for i, n := range s.counters() {
		*n += *o.counters()[i]
	}
	s.QueueTime.add(&o.QueueTime, 1)
	s.WireTime.add(&o.WireTime, 1)
	s.TotalTime.add(&o.TotalTime, 1)
}

// since takes an earlier state of the same counters away.
func (s *StreamStatus) since(before *StreamStatus) {
	for i, n := range s.counters() {
		*n -= *before.counters()[i]
	}
	s.QueueTime.add(&before.QueueTime, -1)
	s.WireTime.add(&before.WireTime, -1)
	s.TotalTime.add(&before.TotalTime, -1)
}

func (s *StreamStatus) counters() [streamCounters]*uint64 {
	return [streamCounters]*uint64{
		&s.Records, &s.RecordBytes, &s.BufferFull, &s.TooLarge, &s.Packs, &s.PackedBytes, &s.WireBytes,
		&s.PacksPlain, &s.PacksBetter, &s.PacksAcked, &s.PacksFinal, &s.PacksLost, &s.PacksResent, &s.PacksDuplicated,
		&s.PacksRefused, &s.PacksCut, &s.RecordsFinal, &s.RecordsLost, &s.RecordsRefused, &s.PacksTrailFull,
	}
}

const streamCounters = 20

func (g *GroupStatus) add(o *GroupStatus) {
	g.Failures += o.Failures
	g.Stale = g.Stale || o.Stale
}
