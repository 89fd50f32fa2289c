package verify_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"inlong-bridge/connector/verify"
)

// Sets agree with a map, at the edges of bitmaps and in full ones too.
func TestSetIsASetOfOffsets(t *testing.T) {
	const million = 1 << 20
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		s, oracle := verify.NewSet(verify.NewMemory(1<<30)), map[int64]bool{}
		base := []int64{0, million - 40, 5*million - 100, 1 << 40}[r.IntN(4)]
		for range r.IntN(200) {
			o := base + r.Int64N(200)
			had, err := s.Add(o)
			if err != nil || had != oracle[o] {
				t.Fatalf("seed %d: Add(%d) = %v, %v, want %v", seed, o, had, err, oracle[o])
			}
			oracle[o] = true
		}
		if s.Len() != int64(len(oracle)) {
			t.Fatalf("seed %d: Len = %d, want %d", seed, s.Len(), len(oracle))
		}
		from := base + r.Int64N(200)
		end := from + r.Int64N(200)
		for _, has := range []bool{true, false} {
			var want []verify.Interval
			for o := from; o < end; o++ {
				if oracle[o] != has {
					continue
				}
				if n := len(want); n > 0 && want[n-1].Last == o-1 {
					want[n-1].Last = o
				} else {
					want = append(want, verify.Interval{First: o, Last: o})
				}
			}
			if got := slices.Collect(s.Intervals(from, end, has)); !slices.Equal(got, want) {
				t.Fatalf("seed %d: Intervals(%d, %d, %v) = %v, want %v", seed, from, end, has, got, want)
			}
		}
		var all []verify.Interval
		for v := range s.Intervals(base, base+200, true) {
			all = append(all, v)
		}
		if got := slices.Collect(s.All()); !slices.Equal(got, all) {
			t.Fatalf("seed %d: All = %v, want %v", seed, got, all)
		}
		for o := base - 1; o < base+201; o++ {
			if o >= 0 && s.Has(o) != oracle[o] {
				t.Fatalf("seed %d: Has(%d) = %v", seed, o, s.Has(o))
			}
		}
	}
}

func TestFullBitmapsTakeNoMemory(t *testing.T) {
	s := verify.NewSet(verify.NewMemory(1)) // one bitmap
	const n = 3 << 20
	for o := range int64(n) {
		if had, err := s.Add(o); had || err != nil {
			t.Fatal(o, had, err)
		}
	}
	if had, err := s.Add(n + 5); had || err != nil {
		t.Fatal("a bitmap beside full ones:", err)
	}
	if _, err := s.Add(9 << 20); !errors.Is(err, verify.ErrMemory) {
		t.Errorf("a second bitmap: %v, want ErrMemory", err)
	}
	if had, err := s.Add(17); !had || err != nil {
		t.Errorf("an offset of a full bitmap: %v, %v", had, err)
	}
	if got := slices.Collect(s.All()); !slices.Equal(got, []verify.Interval{{First: 0, Last: n - 1}, {First: n + 5, Last: n + 5}}) {
		t.Errorf("All = %v", got)
	}
	if at := s.Next(100, n+10, false); at != n {
		t.Errorf("the first offset that is not in it: %d, want %d", at, n)
	}
}

func TestSetThatIsClearedGivesItsMemoryBack(t *testing.T) {
	m := verify.NewMemory(2 << 17)
	s := verify.NewSet(m)
	for round := range 3 {
		for _, o := range []int64{5, 1 << 20, 1<<20 + 1} {
			if had, err := s.Add(o); had || err != nil {
				t.Fatalf("round %d: Add(%d) = %v, %v", round, o, had, err)
			}
		}
		if _, err := s.Add(1 << 30); !errors.Is(err, verify.ErrMemory) {
			t.Fatalf("round %d: a third bitmap: %v, want ErrMemory", round, err)
		}
		if s.Clear(); s.Len() != 0 || s.Has(5) {
			t.Fatalf("round %d: %d offsets are left", round, s.Len())
		}
	}
}
