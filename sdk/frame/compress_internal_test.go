package frame

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/golang/snappy"
)

// DataProxy and whoever reads the queue decode with the original library: both encoders write what it reads.
func FuzzSnappyOfBothEncoders(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 70<<10)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	words := make([]byte, 0, 300<<10) // repeats from farther away than the original encoder looks
	for len(words) < 299<<10 {
		from := rng.IntN(len(random) - 40)
		words = append(words, random[from:from+40]...)
	}
	for _, src := range [][]byte{nil, []byte("a"), bytes.Repeat([]byte("ab"), 20<<10), random, words} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, better := range []bool{false, true} {
			block := appendSnappy([]byte("before"), src, better)
			if !bytes.HasPrefix(block, []byte("before")) {
				t.Fatalf("better %v: the slice begins with %q", better, block[:6])
			}
			got, err := snappy.Decode(nil, block[len("before"):])
			if err != nil || !bytes.Equal(got, src) {
				t.Errorf("better %v: %d bytes came back of %d: %v", better, len(got), len(src), err)
			}
		}
	})
}

func TestBetterEncoderIsBetter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var src []byte
	for len(src) < 256<<10 {
		word := "abcdefghijklmnopqrstuvwxyz"[rng.IntN(20):]
		src = append(append(src, word...), byte(rng.Uint32()))
	}
	fast, better := len(appendSnappy(nil, src, false)), len(appendSnappy(nil, src, true))
	if better >= fast {
		t.Errorf("the better encoder makes %d bytes of %d, the fast one %d", better, len(src), fast)
	}
}
