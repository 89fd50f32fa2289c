package source

import (
	"context"
	"encoding/binary"
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
	for at < w.End {
		if at < w.Start {
			w.Gone(at, min(w.Start, w.End)-1)
			at = w.Next(w.Start)
			continue
		}
		next, err := src.walkStep(ctx, &w, at)
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
func (src *Source) walkStep(ctx context.Context, w *Walk, at int64) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, walkTime)
	defer cancel()
	details, err := src.admin.ListTopics(ctx, w.ID.Topic)
	if err != nil {
		return at, err
	}
	raw, err := src.fetchRaw(ctx, details[w.ID.Topic], w.ID, w.Topic, at, src.isolation())
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
	b, ok := headerAt(raw.RecordBatches, at)
	if !ok {
		return at, fmt.Errorf("the batch at offset %d cannot be read: %w", at, fp.Err)
	}
	for o := max(b.first, at); o <= b.last && o < w.End; o++ {
		if err := w.Record(o, b.time); err != nil {
			return at, toldError{err}
		}
	}
	return b.last + 1, nil
}

// batchHead is what the header of a batch tells without its records being decoded.
type batchHead struct {
	first, last int64
	time        time.Time
}

// Positions in a record batch of Kafka's format 2.
const (
	headLength    = 8
	headMagic     = 16
	headLastDelta = 23
	headTime      = 27
	headSize      = 61
)

// headerAt finds the batch that an offset lies in.
func headerAt(raw []byte, at int64) (b batchHead, ok bool) {
	be := binary.BigEndian
	for len(raw) >= headSize && raw[headMagic] == 2 {
		length := int64(headLength) + 4 + int64(int32(be.Uint32(raw[headLength:])))
		b.first = int64(be.Uint64(raw))
		b.last = b.first + int64(int32(be.Uint32(raw[headLastDelta:])))
		b.time = time.UnixMilli(int64(be.Uint64(raw[headTime:])))
		if b.last >= at {
			return b, b.first >= 0
		}
		if length < headSize || length > int64(len(raw)) {
			break
		}
		raw = raw[length:]
	}
	return batchHead{}, false
}
