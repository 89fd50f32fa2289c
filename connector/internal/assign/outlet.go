package assign

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/sdk"
)

// Outlet is a replay.Outlet that hands records of lost pieces to the sender, which keeps a share of its budget for them.
type Outlet struct{ Sender Sender }

// Send hands over a batch.
func (o Outlet) Send(b *replay.Batch) (taken int, tooLarge error) {
	p := b.Assignment.(*Assignment)
	batch := &sdk.Batch{
		Stream: p.Router.At(b.Route).Stream, Time: b.Time, Payloads: b.Payloads, Attrs: b.Attrs, PackAttrs: p.packAttrs(b.From),
		Token: p, Repair: true, Alone: b.Alone, Packed: b.Packed,
	}
	if origins := p.origins(); origins != nil {
		if b.From != nil {
			tellRequeued(origins, b.From, b.Told)
		} else {
			p.tellOrigins(origins, b.Offsets)
		}
		batch.Trail = origins
	}
	if p.Lanes > 0 {
		batch.OnePack = new(uint64) // what does not fit follows when that pack is final
	}
	n, err := o.Sender.TrySendBatch(batch)
	if errors.Is(err, sdk.ErrTooLarge) {
		return n, err
	}
	return n, nil
}

// Letter hands over the record of a lost piece that is to become a dead letter.
func (Outlet) Letter(a replay.Assignment, pc checkpoint.Piece, rec *kgo.Record) (taken bool) {
	p := a.(*Assignment)
	if !p.Aside.Room() {
		return false
	}
	if w, ok := p.letters.get(pc); ok {
		p.write(pc, rec, w)
	}
	return true
}
