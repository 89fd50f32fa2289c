package bufpool

import (
	"bytes"
	"testing"
)

func TestClassIsTheSmallestPowerOfTwo(t *testing.T) {
	for _, tt := range []struct{ n, want int }{
		{0, 512}, {1, 512}, {512, 512}, {513, 1024}, {4096, 4096}, {4097, 8192}, {256 << 10, 256 << 10}, {32 << 20, 32 << 20},
		{32<<20 + 1, 32<<20 + 1},
	} {
		var p Pool
		b := p.Get(tt.n)
		if len(b) != 0 || cap(b) != tt.want {
			t.Errorf("Get(%d) has len %d, cap %d, want 0, %d", tt.n, len(b), cap(b), tt.want)
		}
		p.Put(b)
		if p.Lent() != 0 {
			t.Errorf("Lent() = %d after Put, want 0", p.Lent())
		}
	}
}

func TestForeignSizesAreDropped(t *testing.T) {
	var p Pool
	p.Get(512)
	p.Put(make([]byte, 0, 700))
	for range 4 {
		if b := p.Get(600); cap(b) != 1024 {
			t.Fatalf("Get(600) has cap %d, want 1024", cap(b))
		}
	}
}

func TestGrowKeepsTheContentsAndTheCount(t *testing.T) {
	var p Pool
	var b, want []byte
	for i := range 20000 {
		b = p.Grow(b, 1)
		b = append(b, byte(i))
		want = append(want, byte(i))
	}
	if !bytes.Equal(b, want) {
		t.Error("contents changed while growing")
	}
	if p.Lent() != 1 {
		t.Errorf("Lent() = %d, want 1", p.Lent())
	}
	p.Put(b)
}
