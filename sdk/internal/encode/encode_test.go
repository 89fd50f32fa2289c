package encode

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/bufpool"
)

func TestAutoCompressionStopsAndProbes(t *testing.T) {
	var a Auto
	tried := 0
	for range 1000 {
		if a.Next(1000) {
			tried++
			a.Result(1000, 990)
		}
	}
	if tried < 8 || tried > 12 {
		t.Errorf("%d of 1000 packs that do not shrink were compressed, want a few", tried)
	}
	a.Result(1000, 400)
	for range 100 {
		if !a.Next(1000) {
			t.Fatal("a stream that shrinks again is left alone")
		}
		a.Result(1000, 400)
	}
	if a.Next(autoFrom - 1) {
		t.Error("a tiny pack was compressed")
	}
}

func TestQueueHandsOutInOrderAndCountsWhatNobodyTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q Queue[int]
		q.Init()
		got, ended := make(chan int, 10), make(chan struct{})
		go func() {
			defer close(ended)
			for p, size := q.Next(); p != nil; p, size = q.Next() {
				q.Backlog().Add(-int64(size))
				got <- *p
			}
		}()
		all := []int{0, 1, 2, 3}
		for i := range 2 {
			q.Push(&all[i], 10)
		}
		synctest.Wait()
		if len(got) != 2 || <-got != 0 || <-got != 1 || q.Backlog().Bytes() != 0 {
			t.Errorf("two packs are not handed out in order, or %d bytes are left", q.Backlog().Bytes())
		}
		q.Close()
		<-ended
		q.Push(&all[2], 10)
		q.Push(&all[3], 10)
		if p, _ := q.Next(); p != nil || q.Backlog().Bytes() != 20 {
			t.Errorf("a closed queue hands out %v; %d bytes are left, want 20", p, q.Backlog().Bytes())
		}
		var rest []int
		q.Drain(func(p *int) { rest = append(rest, *p) })
		q.Drain(func(*int) { t.Error("a pack is left twice") })
		if !slices.Equal(rest, []int{2, 3}) || q.Backlog().Bytes() != 0 {
			t.Errorf("%v and %d bytes are left, want 2 and 3 and none", rest, q.Backlog().Bytes())
		}
	})
}

// Every type's frame gives its records back, whatever became of the pack's buffer, and every buffer is accounted for.
func TestFramesGiveTheirRecordsBack(t *testing.T) {
	records := []string{"first", "second record", string(bytes.Repeat([]byte("long "), 200))}
	for _, typ := range []uint8{frame.TypePack, frame.TypeMultiBody, frame.TypeAckService} {
		for _, how := range []struct{ compress, better bool }{{}, {compress: true}, {compress: true, better: true}} {
			compress := how.compress
			var pool bufpool.Pool
			e := Frames{Type: typ, Max: 64 << 10, Pool: &pool}
			in := Pack{Attr: []byte("groupId=g&streamId=s&dt=1&cnt=3"), Buf: pool.Get(2 << 10)[:frame.PackHeader], Count: len(records), Uniq: 1, Compress: compress, Better: how.better}
			for _, r := range records {
				in.Buf = frame.AppendItem(in.Buf, []byte(r))
			}
			var w Workspace
			out, err := e.Frame(&in, &w)
			if err != nil {
				t.Fatalf("type %d, compressed %v: %v", typ, compress, err)
			}
			items, err := e.Items(out)
			if err != nil || len(items) != len(records) {
				t.Fatalf("type %d, compressed %v: %d records: %v", typ, compress, len(items), err)
			}
			for i, it := range items {
				if string(it.Data) != records[i] {
					t.Errorf("type %d, compressed %v: record %d is %q", typ, compress, i, it.Data)
				}
			}
			if taken := in.Buf == nil; taken != (typ == frame.TypePack && !compress) {
				t.Errorf("type %d, compressed %v: the buffer became the frame: %v", typ, compress, taken)
			}
			pool.Put(out)
			if in.Buf != nil {
				pool.Put(in.Buf)
			}
			if n := pool.Lent(); n != 0 {
				t.Errorf("type %d, compressed %v: %d buffers are not accounted for", typ, compress, n)
			}
		}
	}
}

func TestFrameBeyondTheLimitIsRefused(t *testing.T) {
	var pool bufpool.Pool
	e := Frames{Type: frame.TypePack, Max: 100, Pool: &pool}
	in := Pack{Attr: []byte("a=b"), Buf: frame.AppendItem(pool.Get(2 << 10)[:frame.PackHeader], make([]byte, 200)), Count: 1, Uniq: 1}
	if out, err := e.Frame(&in, new(Workspace)); err == nil || out != nil || in.Buf != nil || pool.Lent() != 0 {
		t.Errorf("a frame of %d bytes, limit 100: %v; %d buffers lent", len(out), err, pool.Lent())
	}
}
