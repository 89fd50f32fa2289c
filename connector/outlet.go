package connector

import (
	"errors"

	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/sdk"
)

// replayOutlet hands records that are sent once more to the sender, which keeps a share of its budget for them.
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
