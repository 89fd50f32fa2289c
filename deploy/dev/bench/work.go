package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/signal"
)

// work is what one sender process is to do.
type work struct {
	Corpus  string        `json:"corpus"`
	Seed    uint64        `json:"seed"`
	Plain   bool          `json:"plain,omitempty"`  // no compression
	Snappy  bool          `json:"snappy,omitempty"` // the fast encoder for all packs, instead of auto
	Rate    int64         `json:"rate,omitempty"`   // most bytes per second on the wire
	Async   bool          `json:"async,omitempty"`  // record by record with a callback each, not in batches
	Streams int           `json:"streams"`          // records go to them in turn
	Settle  time.Duration `json:"settle,omitempty"`
	Delay   time.Duration `json:"delay,omitempty"` // of the sink's acks
	Length  length        `json:"length"`
	Profile string        `json:"profile,omitempty"` // file for a CPU profile
}

// length is how much is sent: so many records, or for so long. The warm-up before it is a quarter of that.
type length struct {
	Records int           `json:"records,omitempty"`
	Time    time.Duration `json:"time,omitempty"`
}

func (l length) warmUp() length { return length{Records: l.Records / 4, Time: l.Time / 4} }

// result is what a sender process reports. Its rates are of the time after the warm-up, from the first
// record handed over to the last one acked.
type result struct {
	Records int64         `json:"records"`
	Sent    int64         `json:"sent"` // with the warm-up
	Time    time.Duration `json:"time"`
	CPU     time.Duration `json:"cpu"`
	RSS     int64         `json:"rss"`     // peak, bytes
	Mallocs uint64        `json:"mallocs"` // objects allocated

	packs  float64 // that arrived, of those that were measured
	shrunk float64 // payload bytes for a byte on the wire; with a bound on the rate, for a byte that it allows
}

func (r *result) rate() float64          { return float64(r.Records) / r.Time.Seconds() }
func (r *result) cpuPerMillion() float64 { return r.CPU.Seconds() / float64(r.Records) * 1e6 }
func (r *result) mallocsPerRec() float64 { return float64(r.Mallocs) / float64(r.Records) }
func (r *result) rssMiB() float64        { return float64(r.RSS) / (1 << 20) }

func (l length) String() string {
	if l.Records > 0 {
		return fmt.Sprint(l.Records, " records")
	}
	return l.Time.String()
}

// sender sends until the quota is used up and returns when everything was acked.
type sender interface {
	send(q *quota) (records int64, err error)
	close() error
}

// measure runs the warm-up and then the work itself.
func measure(s sender, w *work) (result, error) {
	warm, err := s.send(newQuota(w.Length.warmUp()))
	if err != nil {
		return result{}, fmt.Errorf("warming up: %w", err)
	}
	if w.Profile != "" {
		f, err := os.Create(w.Profile)
		if err != nil {
			return result{}, fmt.Errorf("profiling: %w", err)
		}
		defer f.Close() //nolint:errcheck // a profile that is cut off is seen when it is read
		if err := pprof.StartCPUProfile(f); err != nil {
			return result{}, fmt.Errorf("profiling: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, err := cpuTime()
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	n, err := s.send(newQuota(w.Length))
	r := result{Records: n, Sent: warm + n, Time: time.Since(start)}
	if err != nil {
		return result{}, err
	}
	used, err := cpuTime()
	if err != nil {
		return result{}, err
	}
	runtime.ReadMemStats(&after)
	r.CPU, r.Mallocs, r.RSS = used-cpu, after.Mallocs-before.Mallocs, peakRSS()
	if n == 0 {
		return result{}, errors.New("measuring: nothing was sent; raise RECORDS or SECONDS")
	}
	return r, nil
}

// quota is how much may still be sent; for several goroutines.
type quota struct {
	until time.Time
	left  atomic.Int64
}

func newQuota(l length) *quota {
	q := new(quota)
	if l.Records > 0 {
		q.left.Store(int64(l.Records))
	} else {
		q.left.Store(math.MaxInt64)
		q.until = time.Now().Add(l.Time)
	}
	return q
}

// take returns how many of n records may be sent, 0 when it is over.
func (q *quota) take(n int) int {
	if !q.until.IsZero() {
		if time.Now().Before(q.until) {
			return n
		}
		return 0
	}
	left := q.left.Add(-int64(n))
	return max(n+int(min(left, 0)), 0)
}

// ring hands out the records of a corpus again and again.
type ring struct {
	records [][]byte
	at      int
}

// next returns up to n records that follow each other.
func (r *ring) next(n int) [][]byte {
	if r.at >= len(r.records) {
		r.at = 0
	}
	n = min(n, len(r.records)-r.at)
	part := r.records[r.at : r.at+n]
	r.at += n
	return part
}

// ackTimeout is when a run is given up because an answer is missing.
const ackTimeout = 30 * time.Second

// tally counts answers and lets one goroutine wait for a number of them.
type tally struct {
	_         [128]byte // a cache line of its own: it is written for every record
	n, target atomic.Int64
	ending    atomic.Bool // what one counts is shown each time; see one
	alone     int64       // what one has counted
	reached   signal.Poke
	failed    chan error
}

func newTally() *tally {
	t := &tally{reached: signal.NewPoke(), failed: make(chan error, 1)}
	t.target.Store(math.MaxInt64)
	return t
}

func (t *tally) add(n int64) {
	if t.n.Add(n) >= t.target.Load() {
		t.reached.Poke()
	}
}

// one adds one, for one goroutine that alone adds. Until the last record is about to be sent nobody else can want to know, so it
// then costs no locked instruction: those of single calls took 4 % of the sender's CPU.
func (t *tally) one() {
	t.alone++
	if t.ending.Load() {
		t.n.Store(t.alone)
		t.add(0)
	}
}

func (t *tally) fail(err error) {
	select {
	case t.failed <- err:
	default:
	}
}

// wait returns when n answers have come since the beginning.
func (t *tally) wait(n int64) error {
	t.target.Store(n)
	defer t.target.Store(math.MaxInt64)
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	for t.n.Load() < n {
		select {
		case <-t.reached:
		case err := <-t.failed:
			return err
		case <-timeout.C:
			return fmt.Errorf("waiting for acks: %d of %d came in %v", t.n.Load(), n, ackTimeout)
		}
	}
	return nil
}
