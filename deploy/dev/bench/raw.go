package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2" //nolint:depguard // the limit may not depend on what is measured against it

	"inlong-bridge/sdk/frame"
)

const (
	rawPack     = 256 << 10 // the sdk's default
	rawEncoders = 2
	rawHeader   = 25
)

// raw is the limit: two goroutines pack and compress, one writes, one counts acks. It has no streams,
// no time-outs, no second try, and forgets a pack once it was written.
type raw struct {
	w       *work
	records [][]byte
	nc      net.Conn
	frames  chan []byte
	free    chan []byte
	acks    *tally // packs
	packs   int64
	uniq    atomic.Uint32
	ends    sync.WaitGroup
	closing atomic.Bool
}

func newRaw(ctx context.Context, addr string, w *work) (*raw, error) {
	records, err := newCorpus(w.Corpus, w.Seed)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dialing sink: %w", err)
	}
	r := &raw{w: w, records: records, nc: nc, frames: make(chan []byte, 4), free: make(chan []byte, 8), acks: newTally()}
	r.ends.Go(r.write)
	r.ends.Go(r.read)
	return r, nil
}

func (r *raw) close() error {
	close(r.frames)
	r.closing.Store(true)
	err := r.nc.Close()
	r.ends.Wait()
	return err
}

func (r *raw) send(q *quota) (records int64, err error) {
	var encoders sync.WaitGroup
	var sent, packs atomic.Int64
	for i := range rawEncoders {
		encoders.Go(func() {
			from := ring{records: r.records, at: i * len(r.records) / rawEncoders}
			n, p := r.encode(q, &from)
			sent.Add(n)
			packs.Add(p)
		})
	}
	encoders.Wait()
	r.packs += packs.Load()
	return sent.Load(), r.acks.wait(r.packs)
}

// encode fills packs and turns them into frames while the quota lasts.
func (r *raw) encode(q *quota, from *ring) (records, packs int64) {
	size := len(r.records[0]) + frame.ItemOverhead
	perPack := min(rawPack/size, frame.MaxCount)
	attr := fmt.Appendf(nil, "groupId=group&streamId=stream&rtms=%d", time.Now().UnixMilli())
	items := make([]byte, 0, perPack*size)
	for {
		n := q.take(perPack)
		if n == 0 {
			return records, packs
		}
		var f []byte
		select {
		case f = <-r.free:
		default:
			f = make([]byte, rawHeader+s2.MaxEncodedLen(cap(items))+len(attr)+4)
		}
		f = f[:cap(f)]
		var flags byte
		var body int
		if r.w.Plain {
			body = len(fillItems(f[rawHeader:rawHeader], from, n))
		} else {
			items = fillItems(items[:0], from, n)
			body = len(s2.EncodeSnappy(f[rawHeader:], items))
			flags = frame.FlagSnappy
		}
		r.frames <- rawFrame(f, flags, body, n, r.uniq.Add(1), attr)
		records += int64(n)
		packs++
	}
}

func fillItems(b []byte, from *ring, n int) []byte {
	for n > 0 {
		part := from.next(n)
		n -= len(part)
		for _, rec := range part {
			b = binary.BigEndian.AppendUint32(b, uint32(len(rec)))
			b = append(b, rec...)
		}
	}
	return b
}

// rawFrame writes what is around the body, which is in place already.
func rawFrame(f []byte, flags byte, body, count int, uniq uint32, attr []byte) []byte {
	b := binary.BigEndian
	h := b.AppendUint32(f[:0], uint32(frame.PackOverhead-4+body+len(attr)))
	h = append(h, frame.TypePack|flags, 0, 0, 0, 0)
	h = b.AppendUint16(h, frame.ExtStringIDs)
	h = b.AppendUint32(h, uint32(time.Now().Unix()))
	h = b.AppendUint16(h, uint16(count))
	h = b.AppendUint32(h, uniq)
	b.AppendUint32(h, uint32(body))
	f = b.AppendUint16(f[:rawHeader+body], uint16(len(attr)))
	f = append(f, attr...)
	return append(f, 0xee, 0x01)
}

func (r *raw) write() {
	for f := range r.frames {
		if _, err := r.nc.Write(f); err != nil {
			r.acks.fail(fmt.Errorf("writing: %w", err))
		}
		select {
		case r.free <- f:
		default:
		}
	}
}

func (r *raw) read() {
	answers := frame.NewReader(r.nc, 64<<10)
	for {
		f, err := answers.Next()
		if err != nil {
			if !r.closing.Load() {
				r.acks.fail(fmt.Errorf("reading acks: %w", err))
			}
			return
		}
		if a, err := frame.DecodeAck(f); err != nil || a.Code != 0 {
			r.acks.fail(errors.Join(fmt.Errorf("reading acks: code %d", a.Code), err))
			return
		}
		r.acks.add(1)
	}
}
