package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/kafkaclient"
)

// Walk says which offsets of a partition are asked about.
type Walk struct {
	ID         part.ID
	Topic      [16]byte
	Start, End int64                  // of the log, and of what is asked
	Next       func(from int64) int64 // the first offset from one on that is asked about, or End
	// Record is told each offset that is a record, and its time. Others than those that are asked about are among them.
	Record func(offset int64, at time.Time) error
	// Gone is told the offsets from first to last that the log does not have any more.
	Gone func(first, last int64)
}

const (
	walkPause    = 200 * time.Millisecond
	walkPatience = 30 * time.Second // without progress
	walkTime     = 10 * time.Second // for one fetch
)

// WalkRecords asks which offsets are records: control records, aborted transactions if the group reads without them, and holes that
// compaction left are none. Bodies are dropped at once. It reads only where something is asked about. Beside an error, at is the first
// offset that nothing was told of.
func (src *Source) WalkRecords(ctx context.Context, w Walk) (at int64, err error) {
	at, moved := w.Next(0), time.Now()
	round := src.NewRound()
	for at < w.End {
		if at < w.Start {
			w.Gone(at, min(w.Start, w.End)-1)
			at = w.Next(w.Start)
			continue
		}
		next, err := src.walkStep(ctx, round, &w, at)
		var told toldError
		switch {
		case ctx.Err() != nil:
			return at, context.Cause(ctx)
		case errors.As(err, &told):
			return at, told.error
		case errors.Is(err, kerr.OffsetOutOfRange):
			var x part.Extent
			if x, err = src.Extent(ctx, w.ID); err == nil && x.Start > w.Start {
				w.Start, moved = x.Start, time.Now()
				continue
			}
		case err == nil && next > at:
			at, moved = w.Next(next), time.Now()
			continue
		}
		if time.Since(moved) > walkPatience || errors.Is(err, ErrOtherTopic) || IsAbsent(err) {
			if err == nil {
				err = errors.New("the broker returns nothing, and the log does not end there")
			}
			return at, kafkaclient.Explain(err, fmt.Sprintf("asking which offsets of %s from %d on are records", w.ID, at))
		}
		round = src.NewRound() // another broker may lead the partition by now, or the topic be another one
		select {
		case <-time.After(walkPause):
		case <-ctx.Done():
		}
	}
	return at, nil
}

// toldError is an error of whoever was told.
type toldError struct{ error }

// walkStep fetches once, and returns where to go on.
func (src *Source) walkStep(ctx context.Context, round *Round, w *Walk, at int64) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTime)
	defer cancel()
	d, err := round.topic(ctx, w.ID.Topic)
	if err != nil {
		return at, err
	}
	raw, err := src.ask(ctx, d, w.ID, w.Topic, at, src.isolation(), maxBytes)
	if err != nil {
		return at, err
	}
	if err := kerr.ErrorForCode(raw.ErrorCode); err != nil {
		return at, err
	}
	fp, next := src.open(w.ID, at, src.isolation(), raw)
	for _, r := range fp.Records {
		if r.Offset >= w.End {
			return w.End, nil
		}
		if next = max(next, r.Offset+1); r.Attrs.IsControl() {
			continue
		}
		if err := w.Record(r.Offset, r.Timestamp); err != nil {
			return at, toldError{err}
		}
	}
	if fp.Err == nil || next > at {
		return next, nil
	}
	h, ok := headerAt(raw.RecordBatches, at)
	if !ok {
		return at, fmt.Errorf("the batch at offset %d cannot be read: %w", at, fp.Err)
	}
	for o := max(h.base, at); o < min(h.next, w.End); o++ {
		if err := w.Record(o, time.UnixMilli(h.oldest)); err != nil {
			return at, toldError{err}
		}
	}
	return h.next, nil
}

// headerAt finds the batch that an offset lies in. ok is false where a header on the way there cannot be believed.
func headerAt(raw []byte, at int64) (h header, ok bool) {
	for {
		h, ok := headerOf(raw)
		switch {
		case !ok || h.magic != 2 || h.next < 0:
			return header{}, false
		case h.next > at:
			return h, true
		case h.size > len(raw):
			return header{}, false
		}
		raw = raw[h.size:]
	}
}
