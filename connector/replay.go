package connector

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
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

// logExtents asks the source where logs begin and end.
type logExtents struct {
	cl    *kgo.Client
	admin *kadm.Client
}

// Extent implements replay.Log.
func (l logExtents) Extent(ctx context.Context, id part.ID) (x replay.Extent, err error) {
	found, err := identify(ctx, l.cl, []string{id.Topic})
	if err != nil {
		return x, err
	}
	t := found.topics[id.Topic]
	if t.err != nil {
		return x, t.err
	}
	starts, err := l.admin.ListStartOffsets(ctx, id.Topic)
	if err != nil {
		return x, err
	}
	ends, err := l.admin.ListEndOffsets(ctx, id.Topic)
	if err != nil {
		return x, err
	}
	x.Topic = t.id
	x.Start, x.End, err = within(starts, ends, id)
	return x, err
}
