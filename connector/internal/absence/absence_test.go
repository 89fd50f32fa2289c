package absence

import (
	"math/rand/v2"
	"testing"
	"time"
)

type said struct {
	after  time.Duration // since the answer before
	broker int32
	answer Answer
}

func TestDeletionIsBelieved(t *testing.T) {
	half := 30 * time.Second
	for _, c := range []struct {
		name    string
		brokers int
		said    []said
		want    bool
	}{
		{"nothing said", 2, nil, false},
		{"one answer", 1, []said{{0, 1, Missing}}, false},
		{"one answer, and a long silence after it", 1, []said{{0, 1, Missing}, {time.Hour, 1, Missing}}, false},
		{"three answers at once", 2, []said{{0, 1, Missing}, {0, 2, Missing}, {time.Second, 1, Missing}}, false},
		{"three answers over a minute, less a moment", 2, []said{{0, 1, Missing}, {half, 2, Missing}, {half - 1, 1, Missing}}, false},
		{"three answers over a minute from two brokers", 2, []said{{0, 1, Missing}, {half, 2, Missing}, {half, 1, Missing}}, true},
		{"three answers over a minute from one broker of three", 3, []said{{0, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}}, false},
		{"ten answers from one broker of three", 3, []said{{0, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}, {half, 1, Missing},
			{half, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}}, false},
		{"the only broker", 1, []said{{0, 1, Missing}, {half, 1, Missing}, {half, 1, Missing}}, true},
		{"one disagrees in between", 2, []said{{0, 1, Missing}, {half, 2, Present}, {half, 1, Missing}, {half, 1, Missing}}, false},
		{"one disagrees in the end", 2, []said{{0, 1, Missing}, {half, 2, Missing}, {half, 1, Missing}, {0, 2, Present}}, false},
		{"a right is missing in between", 2, []said{{0, 1, Missing}, {half, 2, Denied}, {half, 1, Missing}, {half, 1, Missing}}, false},
		{"rights are missing", 2, []said{{0, 1, Denied}, {half, 2, Denied}, {half, 1, Denied}}, false},
		{"said again after one disagreed", 2, []said{{0, 2, Present}, {0, 1, Missing}, {half, 2, Missing}, {half, 1, Missing}}, true},
	} {
		var tr Tracker
		now := time.Unix(1_700_000_000, 0)
		for _, s := range c.said {
			now = now.Add(s.after)
			tr.Saw(s.broker, s.answer, now)
		}
		if got := tr.Believed(Default(), c.brokers); got != c.want {
			t.Errorf("%s: believed = %v, want %v", c.name, got, c.want)
		}
	}
}

// Whatever is said in whatever order: a deletion that is believed was said by the last three answers at least, over a
// minute at least, and by two brokers where there are several.
func TestBelievedDeletionsAreProved(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 12))
	believed := 0
	for range 2000 {
		brokers := 1 + rng.IntN(4)
		now := time.Unix(1_700_000_000, 0)
		var tr Tracker
		type one struct {
			broker int32
			at     time.Time
		}
		var run []one // answers since the last that disagreed
		for range 30 {
			now = now.Add(time.Duration(rng.IntN(30_000)) * time.Millisecond)
			broker, answer := int32(1+rng.IntN(brokers)), Missing
			if rng.IntN(8) == 0 {
				answer = []Answer{Present, Denied}[rng.IntN(2)]
			}
			tr.Saw(broker, answer, now)
			if answer != Missing {
				run = nil
			} else {
				run = append(run, one{broker, now})
			}
			from := make(map[int32]bool)
			for _, r := range run {
				from[r.broker] = true
			}
			want := len(run) >= 3 && now.Sub(run[0].at) >= time.Minute && (brokers == 1 || len(from) >= 2)
			if got := tr.Believed(Default(), brokers); got != want {
				t.Fatalf("believed = %v after %d answers from %d of %d brokers over %s", got, len(run), len(from), brokers, now.Sub(run[0].at))
			}
			if want {
				believed++
			}
		}
	}
	if believed == 0 {
		t.Error("nothing was ever believed: this shows nothing")
	}
}

func TestAllBrokersAreAskedInTurn(t *testing.T) {
	if _, ok := Next(nil, 3); ok {
		t.Error("a broker of none")
	}
	last := int32(-1)
	var got []int32
	for range 5 {
		last, _ = Next([]int32{0, 4, 9}, last)
		got = append(got, last)
	}
	for i, want := range []int32{0, 4, 9, 0, 4} {
		if got[i] != want {
			t.Fatalf("asked %v, want each in turn", got)
		}
	}
	if b, _ := Next([]int32{0, 9}, 4); b != 9 { // a broker left
		t.Errorf("asked %d after 4 left, want 9", b)
	}
}

func TestPausesGrowToTheirLimit(t *testing.T) {
	r := Default()
	for asked, want := range map[int]time.Duration{0: r.First, 1: 2 * r.First, 1000: r.Last} {
		if got := r.Pause(asked); got != want {
			t.Errorf("pause after %d questions = %s, want %s", asked, got, want)
		}
	}
}
