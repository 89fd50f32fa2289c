package assign

import (
	"sync/atomic"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// Log is what is known of the partition's log.
type Log struct {
	high    atomic.Int64 // high watermark as of the last fetch or question, -1 if unknown
	start   atomic.Int64 // -1 if unknown
	openTxn atomic.Bool  // what comes next belongs to an open transaction
}

// Saw notes where the log begins and ends.
func (l *Log) Saw(start, high int64) {
	l.high.Store(high)
	l.start.Store(start)
}

// Grew notes where the log ends, unless it is known to end later.
func (l *Log) Grew(end int64) {
	for high := l.high.Load(); high < end && !l.high.CompareAndSwap(high, end); {
		high = l.high.Load()
	}
}

// Begins returns where the log begins, -1 if unknown.
func (l *Log) Begins() int64 { return l.start.Load() }

// SetOpenTxn notes whether what comes next belongs to an open transaction.
func (l *Log) SetOpenTxn(open bool) { l.openTxn.Store(open) }

// lag is how far the log's end is from done, -1 if the end is not known.
func (l *Log) lag(done int64) int64 {
	high := l.high.Load()
	if high < 0 {
		return -1
	}
	return checkpoint.Lag(done, l.start.Load(), high)
}

// Commits is what the group's coordinator took from an assignment.
type Commits struct {
	startTaken atomic.Bool // the start was committed, with its line
	at         atomic.Int64
	last       atomic.Pointer[BookedCommit]
}

// BookedCommit is an offset that the broker took from this assignment, with the books up to it.
type BookedCommit struct {
	Offset int64
	Books  resume.Books
}

// Booked returns the newest commit that was taken, nil for none.
func (c *Commits) Booked() *BookedCommit { return c.last.Load() }

// TookStart notes whether the assignment's start was committed.
func (c *Commits) TookStart(ok bool) { c.startTaken.Store(ok) }

// Took notes a commit.
func (c *Commits) Took(offset int64, books resume.Books, now time.Time) {
	c.at.Store(now.UnixNano())
	c.last.Store(&BookedCommit{Offset: offset, Books: books})
}

// Oldest returns how long the oldest span has waited to become final, 0 if none does.
func (p *Assignment) Oldest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened.drop(p.checkpoint.Checkpoint())
	if at, ok := p.opened.oldest(); ok {
		return now.Sub(at)
	}
	if len(p.pending.chunks) > 0 {
		c := p.gate.Condition()
		for _, code := range []reason.Code{reason.Budget, reason.StreamFull} {
			if e := c.Find(code); e != nil {
				return now.Sub(e.Since)
			}
		}
	}
	return 0
}

// lagSeconds returns the age of the oldest record that is not final, 0 where there is none, and -1 where the end of the log is not
// known yet.
func (p *Assignment) lagSeconds(now time.Time) float64 {
	at, lag := p.oldestRecord(now)
	if lag <= 0 {
		return float64(lag)
	}
	return max(0, now.Sub(at).Seconds()) // the producer's clock may be ahead
}

// oldestRecord returns the lag and, where it is above 0, the time of the oldest record that is not final.
func (p *Assignment) oldestRecord(now time.Time) (at time.Time, lag int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	checkpoint := p.checkpoint.Checkpoint()
	if lag = p.Log.lag(checkpoint); lag <= 0 {
		p.times.none(checkpoint)
		return time.Time{}, lag
	}
	return p.times.oldest(checkpoint, now), lag
}

// WaitsForRecord returns the offset of the first record that is not final, and its time if that is known.
func (p *Assignment) WaitsForRecord() (offset int64, at time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offset = p.checkpoint.Checkpoint()
	at, known = p.times.known(offset)
	return offset, at, known
}

// GuessTime notes about when a record was written that was not fetched.
func (p *Assignment) GuessTime(offset int64, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times.guess = runAt(offset, at)
}

// Status is a snapshot of the assignment for /status and the metrics.
func (p *Assignment) Status(now time.Time) observe.PartitionStatus {
	ledger := p.checkpoint.Ledger()
	ps := observe.PartitionStatus{
		Topic: p.Partition.Topic, Partition: p.Partition.Num, Start: p.Start, Position: p.Expects(), Final: ledger.Checkpoint,
		Committed: p.checkpoint.Committed(), Lag: p.Log.lag(ledger.Checkpoint), Unfinal: p.checkpoint.Unfinal(), OldestUnfinal: p.Oldest(now), Lost: p.losses.Load(),
		LagSeconds: p.lagSeconds(now), Assignment: p.Number, Condition: p.gate.Condition(), Behind: p.Behind(), OpenTransaction: p.Log.openTxn.Load(),
	}
	if p.Topic.ID != ([16]byte{}) {
		ps.TopicID = resume.TopicID(p.Topic.ID).String()
	}
	if r := p.From.Refused; r != nil {
		ps.RefusedOffset, ps.RefusedTopicID = &r.Offset, r.Topic.String()
	}
	ps.Books = p.From.Books
	if c := p.Commits.last.Load(); c != nil {
		ps.Books = c.Books
	}
	if ps.Committed < 0 && p.Commits.startTaken.Load() {
		ps.Committed = p.Start
	}
	if at := p.Commits.at.Load(); at > 0 {
		ps.LastCommit = time.Unix(0, at)
	}
	return ps
}
