package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// batchRecords is how many records one call hands over: what a Kafka consumer's poll returns by default.
const batchRecords = 500

// ours is the sdk with the settings of somebody who names a proxy and nothing else.
type ours struct {
	w       *work
	records ring
	s       *sdk.Sender
	streams []*sdk.Stream
	turn    int
	sent    int64
	acks    *tally // records
	done    func(sdk.Result)
}

func newOurs(ctx context.Context, addr string, w *work) (*ours, error) {
	records, err := newCorpus(w.Corpus, w.Seed)
	if err != nil {
		return nil, err
	}
	opts := []sdk.Option{sdk.WithProxies(addr)}
	if w.Plain {
		opts = append(opts, sdk.WithCompression(sdk.None))
	}
	if w.Snappy {
		opts = append(opts, sdk.WithCompression(sdk.Snappy))
	}
	cfg := finality.DefaultConfig(finality.Ack)
	if w.Settle > 0 {
		cfg = finality.DefaultConfig(finality.Settle)
		cfg.Settle = w.Settle
	}
	cfg.Rate = w.Rate
	opts = append(opts, sdk.WithFinality(cfg))
	s, err := sdk.New(ctx, opts...)
	if err != nil {
		return nil, err
	}
	acks := newTally()
	o := &ours{w: w, records: ring{records: records}, s: s, acks: acks, done: callback(acks)}
	for i := range w.Streams {
		st, err := s.Stream("group", "stream-"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		o.streams = append(o.streams, st)
	}
	return o, nil
}

func (o *ours) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), ackTimeout)
	defer cancel()
	return o.s.Close(ctx)
}

func (o *ours) send(q *quota) (records int64, err error) {
	ctx := context.Background()
	o.acks.ending.Store(false)
	next := q.take(batchRecords)
	for next > 0 && err == nil {
		n := next
		if next = q.take(batchRecords); next == 0 {
			o.acks.ending.Store(true) // before the last one, whose answer is the last to be counted or is followed by that
		}
		for n > 0 && err == nil {
			part := o.records.next(n)
			if o.w.Async {
				err = o.sendEach(ctx, part)
			} else {
				err = o.sendBatch(ctx, part)
			}
			n -= len(part)
			records += int64(len(part))
		}
	}
	if err != nil {
		return records, err
	}
	o.sent += records
	o.s.Seal()
	return records, o.acks.wait(o.sent)
}

func (o *ours) sendBatch(ctx context.Context, part [][]byte) error {
	b := sdk.Batch{
		Stream: o.next(), Time: time.Now(), Payloads: part, Token: o,
		Packed: func(from, to int) uint64 { return uint64(to - from) }, // a piece is named by its records
	}
	if _, err := o.s.SendBatch(ctx, &b); err != nil {
		return fmt.Errorf("sending batch: %w", err)
	}
	return nil
}

func (o *ours) sendEach(ctx context.Context, part [][]byte) error {
	now := time.Now()
	turn := o.turn
	for _, p := range part {
		if turn++; turn >= len(o.streams) {
			turn = 0
		}
		if err := o.s.SendAsync(ctx, sdk.Message{Stream: o.streams[turn], Time: now, Payload: p}, o.done); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
	}
	o.turn = turn
	return nil
}

func (o *ours) next() *sdk.Stream {
	if o.turn++; o.turn >= len(o.streams) {
		o.turn = 0
	}
	return o.streams[o.turn]
}

// callback counts single messages. It runs on another core than the loop that sends, so it shares no
// memory with it that is written: what is measured is the sdk.
func callback(acks *tally) func(sdk.Result) {
	return func(r sdk.Result) {
		if r.Outcome != sdk.Final {
			acks.fail(fmt.Errorf("a record is %v: %w", r.Outcome, r.Err))
			return
		}
		acks.one()
	}
}

// Settled counts what was acked, in all modes: what comes after costs, but it is not waited for.
func (o *ours) Settled(piece uint64, r sdk.Result) {
	switch r.Outcome {
	case sdk.Acked:
		o.acks.add(int64(piece))
	case sdk.Final:
	default:
		o.acks.fail(fmt.Errorf("%d records are %v: %w", piece, r.Outcome, r.Err))
	}
}

// Forgotten is asked of what was lost, which fails the run anyway.
func (o *ours) Forgotten(uint64) bool { return true }
