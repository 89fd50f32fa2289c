package connector

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// replayOutlet hands records that are sent once more to the sender, from the share of the budget that is kept for them.
type replayOutlet struct{ s sender }

// Send implements replay.Outlet.
func (o replayOutlet) Send(b *replay.Batch) (taken int, tooLarge error) {
	p := b.Assignment.(*partition)
	n, err := o.s.TrySendBatch(&sdk.Batch{
		Stream: p.router.At(b.Route).Stream, Time: b.Time, Payloads: b.Payloads, Token: p, Repair: true, Packed: b.Packed,
	})
	if errors.Is(err, sdk.ErrTooLarge) {
		return n, err
	}
	return n, nil
}

// ID, TopicID, Checkpoint, Gate, Known and Stop implement replay.Assignment.
func (p *partition) ID() part.ID                       { return p.id }
func (p *partition) TopicID() [16]byte                 { return p.topic.id }
func (p *partition) Checkpoint() *checkpoint.Partition { return p.wm }
func (p *partition) Gate() *gate.Gate                  { return p.gate }
func (p *partition) Stop(r *reason.Reason)             { p.stop(r) }

func (p *partition) Known(rec *kgo.Record) (index int32, ok bool) {
	r := p.router.Known(rec)
	if r == nil {
		return 0, false
	}
	return r.Index, true
}
