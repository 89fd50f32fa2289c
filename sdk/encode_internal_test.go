package sdk

import (
	"bytes"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/encode"
)

func TestUncompressedPackBecomesItsFrameInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := paced(t)
		p := &pack{filling: filling{st: st, rtms: 2, buf: s.packBuffer(4000)}}
		s.mu.Lock()
		s.e.Sealed(s.enterLocked(p), &st.life)
		s.mu.Unlock()
		for range 100 {
			p.add(bytes.Repeat([]byte("x"), 30), &s.bufs)
		}
		first := &p.buf[0]
		items := bytes.Clone(p.buf[frame.PackHeader:])
		var w encode.Workspace
		out, err := s.encode(p, &w)
		if err != nil {
			t.Fatal(err)
		}
		if &out[0] != first || p.buf != nil {
			t.Error("the frame is not the pack's buffer, or the pack did not let go of it")
		}
		if f, err := frame.DecodePack(out); err != nil || !bytes.Equal(f.Body, items) || f.Count != 100 || f.Uniq != 1 {
			t.Errorf("the frame is %d records, uniq %d, %d bytes: %v", f.Count, f.Uniq, len(f.Body), err)
		}
		s.bufs.Put(out)

		// A frame of little in a buffer for much would hold all of it until its ack.
		p = &pack{filling: filling{st: st, buf: s.packBuffer(256 << 10)}}
		p.add([]byte("x"), &s.bufs)
		if out, err = s.encode(p, &w); err != nil || cap(out) > minPackBuffer || p.buf != nil {
			t.Errorf("a frame of %d bytes takes a buffer of %d: %v", len(out), cap(out), err)
		}
		s.bufs.Put(out)

		// Nor is there a copy that compressing made longer.
		p = &pack{filling: filling{st: st, compress: true, buf: s.packBuffer(4000)}}
		p.add([]byte("abc"), &s.bufs)
		first = &p.buf[0]
		if out, err = s.encode(p, &w); err != nil || &out[0] != first {
			t.Errorf("a pack that does not shrink is not sent as it is: %v", err)
		}
		s.bufs.Put(out)

		p = &pack{filling: filling{st: st, buf: s.packBuffer(4000)}} // no records: refused
		if out, err = s.encode(p, &w); err == nil || out != nil || p.buf != nil {
			t.Errorf("an empty pack became %d bytes, or kept its buffer", len(out))
		}
		if n := s.bufs.Lent(); n != 0 {
			t.Errorf("%d buffers were not given back", n)
		}
	})
}

func TestFullPackFitsIntoTheBufferOfItsSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := paced(t)
		st.mu.Lock()
		defer st.mu.Unlock()
		for _, key := range []openKey{{}, {attrs: "a=b&c=d"}} {
			p := st.packForLocked(key, time.Now(), 1)
			record := make([]byte, 96)
			for p.fits(len(record)) {
				p.add(record, &s.bufs)
			}
			need := p.size() + int(st.overhead) + len("&") + len(key.attrs)
			if need+frame.ItemOverhead+len(record) <= 256<<10 || need > 256<<10 || cap(p.buf) > 256<<10 {
				t.Errorf("a full pack of %d records has %d bytes as a frame in a buffer of %d, want 256 KiB", p.count, need, cap(p.buf))
			}
		}
	})
}

func TestBuffersOfManyOpenPacksShareTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := paced(t)
		const streams = 500
		var all []*Stream
		for i := range streams {
			st, err := s.Stream("g", strconv.Itoa(i))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, st)
		}
		payload := make([]byte, 1000)
		var peak int64
		for range 200 { // in no time: no pack is sealed by its linger
			for _, st := range all {
				if err := s.TrySend(Message{Stream: st, Time: time.Now(), Payload: payload}, nil); err != nil {
					synctest.Wait() // for the encoders: while they are behind, packs do not fill
				}
			}
			var holds int64
			for _, st := range all {
				st.mu.Lock()
				st.open.all(func(p *pack) { holds += int64(p.before.room() + cap(p.buf)) })
				st.mu.Unlock()
			}
			peak = max(peak, holds)
		}
		if most := s.budget.Most(0); peak > most || peak < most/4 {
			t.Errorf("open packs hold buffers of up to %d bytes, want at most %d, and a quarter of that at least", peak, most)
		}
	})
}
