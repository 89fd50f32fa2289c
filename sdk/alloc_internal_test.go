package sdk

import (
	"bytes"
	"slices"
	"testing"
	"time"
	"unsafe"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/encode"
)

// What the stages allocate once the pools are warm. A pack is one object with its place in the tables, and
// nothing is allocated per record, per piece, per event.

func allocates(t *testing.T, name string, want float64, step func()) {
	t.Helper()
	for range 500 {
		step()
	}
	if n := testing.AllocsPerRun(2000, step); n > want {
		t.Errorf("%s: %v allocations, want %v", name, n, want)
	}
}

func TestHandingOverAllocatesNothing(t *testing.T) {
	if raceInside {
		t.Skip("sync.Pool drops at random under -race")
	}
	for _, size := range []int{0, 100, 1024} {
		s := stagedSender(t)
		st := streamsOf(t, s, 1)[0]
		batch, taken, held := batchOf(st, 20, size), 0, 0
		allocates(t, "a batch of 20", 0, func() { // and a pack in hundreds of records, which is one object or three
			n, err := s.TrySendBatch(batch)
			if n != 20 || err != nil {
				t.Fatal(n, err)
			}
			_, r := dropSealed(s)
			taken, held = taken+n, held+r
		})
		m := Message{Stream: st, Time: batch.Time, Payload: batch.Payloads[0]}
		done := func(Result) {}
		allocates(t, "a message with a callback", 0, func() {
			if err := s.TrySend(m, done); err != nil {
				t.Fatal(err)
			}
			_, r := dropSealed(s)
			taken, held = taken+1, held+r
		})
		s.Seal()
		if _, r := dropSealed(s); held+r != taken {
			t.Errorf("%d records in packs, want %d", held+r, taken)
		}
	}
}

func TestSealAllocatesThePackAlone(t *testing.T) {
	if raceInside {
		t.Skip("sync.Pool drops at random under -race")
	}
	s := stagedSender(t)
	st := streamsOf(t, s, 1)[0]
	record := make([]byte, 100)
	allocates(t, "opening and sealing a pack", 3, func() {
		st.mu.Lock()
		p := st.packForLocked(openKey{}, time.Unix(0, 0), len(record))
		p.add(record, &s.bufs)
		s.sealLocked(p)
		st.mu.Unlock()
		if n, _ := dropSealed(s); n != 1 {
			t.Fatal(n)
		}
	})
}

func TestEncodeAllocatesNothing(t *testing.T) {
	if raceInside {
		t.Skip("sync.Pool drops at random under -race")
	}
	s := stagedSender(t)
	st := streamsOf(t, s, 1)[0]
	for _, compress := range []bool{true, false} {
		p := &pack{filling: filling{st: st, compress: compress, buf: s.packBuffer(64 << 10)}}
		for i := range 60 {
			p.add(bytes.Repeat([]byte{byte(i), 'a', byte(i * 7), 'b'}, 200), &s.bufs)
		}
		kept := slices.Clone(p.buf)
		var w encode.Workspace
		allocates(t, "encoding a pack", 0, func() {
			f, err := s.encode(p, &w)
			if err != nil || len(f) < 500 {
				t.Fatal(len(f), err)
			}
			s.bufs.Put(f)
			if p.buf == nil { // it is the frame now
				p.buf = append(s.bufs.Get(64<<10), kept...)
			}
		})
	}
}

func TestDispatchWriteAndAckAllocateNothing(t *testing.T) {
	if raceInside {
		t.Skip("sync.Pool drops at random under -race")
	}
	for _, streams := range []int{1, 1000} {
		s := stagedSender(t)
		d := &dispatching{s: s, c: connect(t, s), streams: streamsOf(t, s, streams)}
		// The step itself makes the pack and the ack.
		allocates(t, "a pack from its queue to its ack", 2, func() { d.step(t) })
		if got := s.Status().Endpoints[0].PacksAcked; got != uint64(d.turn) {
			t.Errorf("%d packs acked, want %d", got, d.turn)
		}
	}
}

func TestAnswerAllocatesNothing(t *testing.T) {
	wire := frame.AppendAck(nil, 7, "10.0.0.1", 0, "", []byte("groupId=g&streamId=s&rtms=1&mid=x.1"))
	s := stagedSender(t)
	c := connect(t, s)
	allocates(t, "an ack of nothing that is in flight", 0, func() {
		ack, err := frame.DecodeAck(wire)
		if err != nil {
			t.Fatal(err)
		}
		c.answered(&ack)
	})
	if s.Status().Endpoints[0].UnknownAcks == 0 {
		t.Error("the ack was not counted")
	}
}

// Tens of thousands of packs wait to become final, and the garbage collector looks at all of them. An object of more
// than 512 bytes takes 576.
func TestPackFitsIntoItsClassOfMemory(t *testing.T) {
	if n := unsafe.Sizeof(pack{}); n > 512 {
		t.Errorf("a pack takes %d bytes, want at most 512", n)
	}
}
