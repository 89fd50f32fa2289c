package sdk

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/internal/encode"
)

// A pack that was filled in small buffers becomes the same frame as one of a single buffer, whatever is taken back on the way, and
// all its buffers return to the pool.
func TestPackOfSmallBuffersIsTheSameFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := paced(t)
		for i := range manyOpen {
			other, err := s.Stream("g", strconv.Itoa(i))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.TrySend(Message{Stream: other, Time: time.Now(), Payload: []byte("x")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		lent := s.bufs.Lent()
		var w encode.Workspace
		segments := 0
		for seed := range uint64(300) {
			rng := rand.New(rand.NewPCG(seed, 1))
			compress, noise := seed%3 > 0, seed%3 == 2
			open := func(room int) *pack {
				return &pack{filling: filling{st: st, limit: 200 << 10, compress: compress, buf: s.packBuffer(room)}}
			}
			got, want := open(600), open(256<<10)
			var sizes []int
			for got.fits(20 << 10) {
				record := bytes.Repeat([]byte("record "), 3000)[:1+rng.IntN(1<<(4+rng.IntN(11)))]
				if noise { // does not shrink
					for i := range record {
						record[i] = byte(rng.Uint32())
					}
				}
				got.add(record, &s.bufs)
				want.add(record, &s.bufs)
				for sizes = append(sizes, 4+len(record)); len(sizes) > 1 && rng.IntN(3) == 0; sizes = sizes[:len(sizes)-1] {
					last := sizes[len(sizes)-1]
					for _, p := range []*pack{got, want} {
						p.takeBack(last, &s.bufs)
						p.count--
					}
				}
				if got.size() != want.size() {
					t.Fatalf("seed %d: %d bytes in small buffers, %d in one", seed, got.size(), want.size())
				}
			}
			segments += len(got.before.all())
			a, err := s.encode(got, &w)
			if err != nil {
				t.Fatal(err)
			}
			b, err := s.encode(want, &w)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Fatalf("seed %d: %d records are another frame when they lie in small buffers", seed, got.count)
			}
			s.bufs.Put(a)
			s.bufs.Put(b)
		}
		if segments == 0 {
			t.Error("no pack had more than one buffer")
		}
		if n := s.bufs.Lent(); n != lent {
			t.Errorf("%d buffers were not given back", n-lent)
		}
	})
}

// What open packs of many streams hold beyond their records is at most one buffer's end each.
func TestOpenPacksOfManyStreamsHoldLittleMoreThanTheirRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := paced(t)
		var all []*Stream
		for i := range 500 {
			st, err := s.Stream("g", strconv.Itoa(i))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, st)
		}
		payload := make([]byte, 1000)
		for range 36 { // in no time: no pack is sealed by its linger
			for _, st := range all {
				if err := s.SendAsync(t.Context(), Message{Stream: st, Time: time.Now(), Payload: payload}, nil); err != nil { // may wait for encoders
					t.Fatal(err)
				}
			}
		}
		holds, records := 0, 0
		for _, st := range all[manyOpen:] {
			st.mu.Lock()
			st.open.all(func(p *pack) {
				holds += p.before.room() + cap(p.buf)
				records += p.size()
			})
			st.mu.Unlock()
		}
		if most := records/8*9 + segmentBytes*(len(all)-manyOpen); holds > most {
			t.Errorf("open packs of %d bytes hold buffers of %d, want at most %d", records, holds, most)
		}
	})
}
