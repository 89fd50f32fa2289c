package frame_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/frame"
)

func TestFinishPackMakesTheFrameOfAppendPackInPlace(t *testing.T) {
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 6))
		items, count := jsonItems(1 + rng.IntN(5000))
		p := plainPack(count)
		if rng.IntN(2) == 0 {
			p.Ext, p.Flags, p.Attr = p.Ext|frame.ExtLF, frame.FlagSnappy, nil // FlagSnappy is taken back
		}
		q := p
		want, err := frame.AppendPack(nil, &p, items, false)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, frame.PackHeader, frame.MaxPackSize(len(items), len(q.Attr)))
		for i := range buf {
			buf[i] = 0xDB
		}
		got, err := frame.FinishPack(append(buf, items...), &q)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || !bytes.Equal(q.Body, p.Body) || q.Flags != p.Flags {
			t.Fatalf("FinishPack made %d bytes other than the %d of AppendPack", len(got), len(want))
		}
		if &got[0] != &buf[0] {
			t.Fatal("the frame is not where the records were")
		}
	})
}

func TestFinishPackRefusesWhatAppendPackRefuses(t *testing.T) {
	item := frame.AppendItem(nil, []byte("x"))
	for _, change := range []func(*frame.Pack) []byte{
		func(*frame.Pack) []byte { return nil },
		func(p *frame.Pack) []byte { p.Count = 0; return item },
		func(p *frame.Pack) []byte { p.Count = frame.MaxCount + 1; return item },
		func(p *frame.Pack) []byte { p.Attr = []byte("a=\n"); return item },
		func(p *frame.Pack) []byte { p.Attr = make([]byte, frame.MaxAttr+1); return item },
		func(p *frame.Pack) []byte { p.Flags = 1; return item },
	} {
		p := plainPack(1)
		items := change(&p)
		_, want := frame.AppendPack(nil, &p, items, false)
		buf := append(make([]byte, frame.PackHeader), items...)
		out, err := frame.FinishPack(buf, &p)
		if err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("FinishPack: %v, AppendPack: %v, want the same error", err, want)
		}
		if !bytes.Equal(out, append(make([]byte, frame.PackHeader), items...)) {
			t.Errorf("after %v the buffer was changed", err)
		}
	}
	if _, err := frame.FinishPack(make([]byte, frame.PackHeader-1), &frame.Pack{Count: 1}); err == nil {
		t.Error("a buffer without room for the header became a frame")
	}
}
