package connector

import (
	"sync/atomic"
	"time"

	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// logExtent is what is known of the partition's log.
type logExtent struct {
	high    atomic.Int64 // high watermark as of the last fetch or question, -1 if unknown
	start   atomic.Int64 // -1 if unknown
	openTxn atomic.Bool  // what comes next belongs to an open transaction
}

// saw notes where the log begins and ends.
func (l *logExtent) saw(start, high int64) {
	l.high.Store(high)
	l.start.Store(start)
}

// grew notes where the log ends, unless it is known to end later.
func (l *logExtent) grew(end int64) {
	for high := l.high.Load(); high < end && !l.high.CompareAndSwap(high, end); {
		high = l.high.Load()
	}
}

// lag is how far the log's end is from the checkpoint, -1 if the end is not known. It is never negative otherwise, and never counts what
// retention removed.
func (l *logExtent) lag(checkpoint int64) int64 {
	high := l.high.Load()
	if high < 0 {
		return -1
	}
	return max(0, high-max(checkpoint, l.start.Load()))
}

// commits is what the group's coordinator took from an assignment.
type commits struct {
	startTaken atomic.Bool // the start was committed, with its line
	at         atomic.Int64
	last       atomic.Pointer[bookedCommit]
}

// bookedCommit is an offset that the broker took from this assignment, with the books up to it.
type bookedCommit struct {
	offset int64
	books  resume.Books
}

// took notes a commit.
func (c *commits) took(offset int64, books resume.Books, now time.Time) {
	c.at.Store(now.UnixNano())
	c.last.Store(&bookedCommit{offset: offset, books: books})
}

// beginning reports whether the assignment's start still has to be committed before it is fetched.
func (p *partition) beginning() bool { return p.from.CommitFirst && !p.commits.startTaken.Load() }

// mustRestate reports whether the offset where the assignment began still has to be committed with its line.
func (p *partition) mustRestate() bool {
	return (p.from.CommitFirst || p.from.Restate) && !p.commits.startTaken.Load() && !p.wm.Revoked() && p.wm.Committed() < 0
}

// lag is the log's lag behind a checkpoint; see logExtent.
func (p *partition) lag(checkpoint int64) int64 { return p.log.lag(checkpoint) }

// behind is the lag by which a stall is found: none of what a migration does not want, and none of a partition that has stopped and
// said so.
func (p *partition) behind() int64 {
	if p.stopped() != nil {
		return 0
	}
	end, done := p.log.high.Load(), p.wm.Checkpoint()
	if p.limit >= 0 {
		end = min(end, p.limit)
	}
	return max(0, end-max(done, p.log.start.Load()))
}

// oldest returns how long the oldest span has waited to become final, 0 if none does.
func (p *partition) oldest(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened.drop(p.wm.Checkpoint())
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
func (p *partition) lagSeconds(now time.Time) float64 {
	at, lag := p.oldestRecord(now)
	if lag <= 0 {
		return float64(lag)
	}
	return max(0, now.Sub(at).Seconds()) // the producer's clock may be ahead
}

// oldestRecord returns the lag and, where it is above 0, the time of the oldest record that is not final.
func (p *partition) oldestRecord(now time.Time) (at time.Time, lag int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	checkpoint := p.wm.Checkpoint()
	if lag = p.log.lag(checkpoint); lag <= 0 {
		p.times.none(checkpoint)
		return time.Time{}, lag
	}
	return p.times.oldest(checkpoint, now), lag
}

// waitsForRecord returns the offset of the first record that is not final, and its time if that is known.
func (p *partition) waitsForRecord() (offset int64, at time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offset = p.wm.Checkpoint()
	at, known = p.times.known(offset)
	return offset, at, known
}

// guessTime notes about when a record was written that was not fetched.
func (p *partition) guessTime(offset int64, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times.guess = recordRun{offset, at}
}

// status is a snapshot of the assignment for /status and the metrics.
func (p *partition) status(now time.Time) observe.PartitionStatus {
	ledger := p.wm.Ledger()
	ps := observe.PartitionStatus{
		Topic: p.id.Topic, Partition: p.id.Num, Start: p.start, Position: p.expects(), Final: ledger.Checkpoint,
		Committed: p.wm.Committed(), Lag: p.log.lag(ledger.Checkpoint), Unfinal: p.wm.Unfinal(), OldestUnfinal: p.oldest(now), Lost: p.losses.Load(),
		LagSeconds: p.lagSeconds(now), Assignment: p.number, Condition: p.gate.Condition(), Behind: p.behind(), OpenTransaction: p.log.openTxn.Load(),
	}
	if p.topic.id != ([16]byte{}) {
		ps.TopicID = resume.TopicID(p.topic.id).String()
	}
	if r := p.from.Refused; r != nil {
		ps.RefusedOffset, ps.RefusedTopicID = &r.Offset, r.Topic.String()
	}
	ps.Books = p.from.Books
	if c := p.commits.last.Load(); c != nil {
		ps.Books = c.books
	}
	if ps.Committed < 0 && p.commits.startTaken.Load() {
		ps.Committed = p.start
	}
	if at := p.commits.at.Load(); at > 0 {
		ps.LastCommit = time.Unix(0, at)
	}
	return ps
}
