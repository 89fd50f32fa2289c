package fill

import (
	"testing"
	"time"
)

// sealed drives streams through a Budget in steps of virtual time. Whoever hands over records always has some.
type sealed struct {
	b   *Budget
	now time.Duration
}

const (
	pack = 256 << 10
	step = 10 * time.Millisecond
)

func waiting(wait time.Duration) *sealed {
	k := &sealed{b: new(Budget), now: time.Hour}
	k.b.Init(1<<40, 0, 0, wait)
	return k
}

// fill seals packs of a stream until it has to wait, most of them in all, and says how it was told to.
func (k *sealed) fill(f *Flow, most int) (held, all bool) {
	for range most {
		if held, all = k.b.Held(f, pack, k.now); held {
			break
		}
		k.b.GoAhead(f, pack)
	}
	return held, all
}

// run sends rate bytes a second of each stream for d, as far as there is anything, and returns how much was sent and the most
// that was ahead.
func (k *sealed) run(d time.Duration, rate int64, flows ...*Flow) (sent, most int64) {
	for end := k.now + d; k.now < end; k.now += step {
		for _, f := range flows {
			k.fill(f, 1<<20)
			most = max(most, k.b.Ahead())
			n := min(int64(float64(rate)*step.Seconds()), f.Bytes())
			k.b.Sent(f, n, k.now)
			sent += n
		}
	}
	return sent, most
}

func TestStreamThatIsHeldBackKeepsAFewSecondsOfWhatItSends(t *testing.T) {
	const slow, fast = int64(100e6), int64(2e9)
	k := waiting(2 * time.Second)
	f := new(Flow)
	if held, _ := k.fill(f, FreeAhead/pack); held {
		t.Errorf("held with %d bytes ahead, before anything was sent", f.Bytes())
	}
	for _, tt := range []struct {
		name string
		rate int64
		for_ time.Duration
	}{
		{"a slow sink", slow, 10 * time.Second},
		{"it becomes faster", fast, 10 * time.Second},
		{"and slow again: what is ahead goes first", slow, time.Minute},
		{"a very slow one", slow / 100, 5 * time.Minute},
		{"and fast at once", fast, 10 * time.Second},
	} {
		sent, _ := k.run(tt.for_, tt.rate, f)
		if want := int64(float64(tt.rate) * tt.for_.Seconds()); sent < want/100*98 {
			t.Errorf("%s: %d bytes were sent of the %d that it takes", tt.name, sent, want)
		}
		if _, most := k.run(time.Second, tt.rate, f); most > 2*tt.rate*11/10+FreeAhead+pack {
			t.Errorf("%s: %d bytes are ahead of %d a second", tt.name, most, tt.rate)
		}
	}
	k.run(10*time.Second, slow, f)
	before := f.Bytes()
	k.now += time.Minute
	if held, all := k.fill(f, 1<<20); !held || !all || f.Bytes() > before {
		t.Errorf("a sink that stands still: held %v, all %v, %d bytes ahead instead of %d", held, all, f.Bytes(), before)
	}
	if sent, _ := k.run(10*time.Second, fast, f); sent < 10*fast/100*98 {
		t.Errorf("a sink that goes on got %d bytes of %d", sent, 10*fast)
	}
	k.b.Ended(f, f.Bytes(), k.now)
	if f.Bytes() != 0 || k.b.Ahead() != 0 {
		t.Errorf("%d and %d bytes are ahead at the end", f.Bytes(), k.b.Ahead())
	}
}

func TestStreamThatStandsStillIsInNobodysWay(t *testing.T) {
	const rate = int64(100e6)
	k := waiting(2 * time.Second)
	still, moving := new(Flow), new(Flow)
	k.run(10*time.Second, rate, still, moving)
	if held, all := k.fill(still, 1<<20); !held || !all {
		t.Errorf("both are held back by the connections: held %v, all %v", held, all)
	}
	// The fast one takes everything now, and keeps nothing ahead.
	for range 100 {
		k.now += step
		k.b.Sent(moving, moving.Bytes(), k.now)
		k.b.GoAhead(moving, rate/100)
	}
	if held, all := k.fill(still, 1<<20); !held || all {
		t.Errorf("a stream that stands still among others: held %v, all %v, want it to wait alone", held, all)
	}
	for i := range 1000 {
		if held, _ := k.b.Held(moving, pack, k.now); held {
			t.Fatalf("pack %d of the other stream waits", i)
		}
		k.b.GoAhead(moving, pack)
		k.now += step
		k.b.Sent(moving, pack, k.now)
	}
	// However long it stands still, and however little the other sends: a pack of that always goes.
	k.now += time.Hour
	k.b.Sent(moving, moving.Bytes(), k.now)
	if held, _ := k.b.Held(moving, pack, k.now); held {
		t.Error("a stream with nothing ahead is held")
	}
}

func TestThoseHeldBackAreWokenWhenHalfIsLeft(t *testing.T) {
	k := waiting(2 * time.Second)
	f := new(Flow)
	k.run(10*time.Second, 100e6, f)
	if held, _ := k.fill(f, 1<<20); !held || len(k.b.Room()) != 0 {
		t.Fatalf("held %v, woken %v", held, len(k.b.Room()) != 0)
	}
	for f.Bytes() > k.b.worth(f, k.now)/2 {
		if len(k.b.Room()) != 0 {
			t.Fatalf("woken with %d bytes ahead", f.Bytes())
		}
		k.b.Sent(f, pack, k.now)
	}
	if len(k.b.Room()) != 1 {
		t.Error("nobody was woken")
	}
}
