package assign

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
)

// facts is what does not change of an assignment, or has a lock of its own: it is told without the assignment's.
type facts struct {
	Spec
	content    *route.Content // what travels of its records; nil for their values
	checkpoint *checkpoint.Partition
	gate       *gate.Gate // owns why the partition does not go on

	Log      Log
	Commits  Commits
	Refused  Refusals
	Retry    atomic.Pointer[Retry] // set while an error of the broker is to be tried again
	losses   atomic.Int64          // pieces that were lost
	waits    atomic.Bool           // something is pending, or a stream was full; see noteWaitsLocked
	freed    atomic.Bool           // Events.Freed was called, and OfferFreed was not yet
	leftOpen atomic.Int64          // pieces that were not final when the assignment ended
}

// ID names the partition.
func (f *facts) ID() part.ID { return f.Partition }

// TopicID is the id of its topic, all zeros if the brokers do not tell.
func (f *facts) TopicID() [16]byte { return f.Topic.ID }

// Checkpoint is the assignment's checkpoint.
func (f *facts) Checkpoint() *checkpoint.Partition { return f.checkpoint }

// Gate owns why the partition does not go on.
func (f *facts) Gate() *gate.Gate { return f.gate }

// Known returns the index of a record's route; ok is false for a record that no piece can hold.
func (f *facts) Known(rec *kgo.Record) (index int32, ok bool) {
	r := f.Router.Known(rec)
	if r == nil {
		return 0, false
	}
	return r.Index, true
}

// Lane returns the lane of a record.
func (f *facts) Lane(rec *kgo.Record) uint8 { return route.Lane(rec.Key, f.Lanes) }

// Content is what travels of a record, nil for its value.
func (f *facts) Content() *route.Content { return f.content }

// Stopped returns the reason that stops the partition, nil if there is none.
func (f *facts) Stopped() *gate.Entry { return f.gate.Condition().Stop() }

// LeftUnfinal is how many pieces were not final when the assignment ended.
func (f *facts) LeftUnfinal() int { return int(f.leftOpen.Load()) }

// Unfinished is the number of pieces that may still become final.
func (f *facts) Unfinished() int {
	return max(0, f.checkpoint.Unfinal()-f.gate.Stranded())
}

// Forgotten reports whether no news of a piece is wanted, as sdk.Token.
func (f *facts) Forgotten(piece uint64) bool {
	pc := checkpoint.Piece(piece)
	if !f.checkpoint.Forgotten(pc) {
		return false
	}
	f.refusalEnded(pc) // the sender may drop its pack without a word
	return true
}

// End ends the assignment: nothing of it is committed or read again from here on.
func (f *facts) End() {
	f.leftOpen.Store(int64(f.checkpoint.Unfinal()))
	f.checkpoint.Revoke()
}

// Beginning reports whether the assignment's start still has to be committed before it is fetched.
func (f *facts) Beginning() bool { return f.From.CommitFirst && !f.Commits.startTaken.Load() }

// MustRestate reports whether the offset where the assignment began still has to be committed with its line.
func (f *facts) MustRestate() bool {
	return (f.From.CommitFirst || f.From.Restate) && !f.Commits.startTaken.Load() && !f.checkpoint.Revoked() && f.checkpoint.Committed() < 0
}

// Lag is the log's lag behind a checkpoint; see logExtent.
func (f *facts) Lag(checkpoint int64) int64 { return f.Log.lag(checkpoint) }

// Behind is the lag by which a stall is found: none of what a migration does not want, and none of a partition that has stopped and
// said so.
func (f *facts) Behind() int64 {
	if f.Stopped() != nil {
		return 0
	}
	end, done := f.Log.high.Load(), f.checkpoint.Checkpoint()
	if f.Limit >= 0 {
		end = min(end, f.Limit)
	}
	return checkpoint.Lag(done, f.Log.start.Load(), end)
}

// WaitsForRoom reports whether something is pending, or the partition is closed for want of room.
func (f *facts) WaitsForRoom() bool { return f.waits.Load() }
