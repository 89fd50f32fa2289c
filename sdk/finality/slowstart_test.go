package finality

import (
	"testing"
	"time"
)

// admitted hands out packs from first on for as long as the connections take them, and returns how many each took.
func (r *rig) admitted(first Pack, s Stream, bytes int, epochs ...ConnEpoch) map[ConnEpoch]int {
	took := make(map[ConnEpoch]int)
	for more := true; more; {
		more = false
		for _, epoch := range epochs {
			if r.m.Admit(epoch, s, bytes, r.now) != OK {
				continue
			}
			r.m.Written(first, s, epoch, bytes, r.now)
			r.m.Acked(first, epoch, r.now)
			first++
			took[epoch]++
			more = true
		}
	}
	return took
}

func TestStreamOfWhichNothingWasSeenHasFewPacksOpen(t *testing.T) {
	for _, row := range []struct {
		name  string
		bytes int
		want  int
	}{
		{"small packs", 100, 4},
		{"packs of 300 KiB", 300 << 10, 3},
		{"a pack above the bound travels alone", 3 << 20, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := queueRig(t, nil)
			if got := r.admitted(1, 1, row.bytes, 1)[1]; got != row.want {
				t.Fatalf("%d packs open, want %d", got, row.want)
			}
			if got := r.m.Admit(1, 1, row.bytes, r.now); got != SlowStart {
				t.Fatalf("one more: %q, want %q", got, SlowStart)
			}
			if got := r.m.Admit(1, 2, row.bytes, r.now); got != OK {
				t.Fatalf("another stream: %q, want it to begin too", got)
			}
			r.m.Seen(1, r.now)
			if got := r.admitted(100, 1, row.bytes, 1)[1]; got < 10 {
				t.Fatalf("%d packs after the first one was seen, want as much as the window takes", got)
			}
		})
	}
}

func TestSlowStartIsOfModeQueueOnly(t *testing.T) {
	for _, mode := range []Mode{Ack, Settle} {
		r := newRig(t, mode, nil)
		r.m.Opened(1, 1, 0)
		for p := Pack(1); p <= 100; p++ {
			if got := r.m.Admit(1, 1, 100, r.now); got != OK {
				t.Fatalf("%v: pack %d: %q, want it to be admitted", mode, p, got)
			}
			r.write(p, 1)
		}
	}
}

func TestSlowStartSpreadsOverTheProxies(t *testing.T) {
	for _, row := range []struct {
		proxies int
		want    int // the most on one
	}{{1, 4}, {2, 2}, {4, 1}, {6, 1}} {
		r := queueRig(t, nil)
		for ep := 2; ep <= row.proxies; ep++ {
			r.m.AddEndpoint(Endpoint(ep), 0)
			r.m.Opened(ConnEpoch(ep), Endpoint(ep), 0)
		}
		if got := r.admitted(1, 1, 100, 1)[1]; got != row.want {
			t.Errorf("%d proxies: %d packs on the first one, want %d", row.proxies, got, row.want)
		}
	}
}

// TestPatienceGivesUpOneByOneWhatWasNeverSeen: the topic that is looked at is the wrong one. Before, each pack
// was given up once patience was over.
func TestPatienceGivesUpOneByOneWhatWasNeverSeen(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, 0)
	r.started(2) // other streams are seen, later ones through the same proxies too
	next := Pack(1)
	for range r.admitted(next, 1, 100, 1, 2) {
		next += 2
	}
	r.wait(59*second, 1, 2)
	r.want(Lost)
	other := Pack(1000)
	lostAt, lost := []time.Duration{}, 0
	for r.now < 30*time.Minute {
		r.wait(100*time.Millisecond, 1, 2)
		for _, epoch := range []ConnEpoch{1, 2} {
			r.m.Written(other, 2, epoch, 100, r.now)
			r.m.Acked(other, epoch, r.now)
			r.m.Seen(other, r.now)
			other++
		}
		r.collect()
		n := len(r.got(Lost))
		r.ds = r.ds[:0]
		if n > 1 {
			t.Fatalf("at %v: %d packs given up at once, want one", r.now, n)
		}
		if n > 0 {
			lost++
			lostAt = append(lostAt, r.now)
			// What was lost is read again and sent again.
			for _, k := range r.admitted(next, 1, 100, 1, 2) {
				next += Pack(k)
			}
		}
	}
	if lost < 8 || lost > 16 {
		t.Errorf("%d packs given up in half an hour, want one per pause that grows up to 5 min: %v", lost, lostAt)
	}
	if d1, d2 := lostAt[2]-lostAt[1], lostAt[3]-lostAt[2]; d2 <= d1 {
		t.Errorf("given up at %v, want growing pauses", lostAt)
	}
	for _, ep := range []Endpoint{1, 2} {
		if got := r.m.Endpoint(ep, r.now).Reason; got != OK {
			t.Errorf("proxy %d: %q, want nothing held against it", ep, got)
		}
	}
	if got := r.m.Stream(1); got.Open != 4 || got.Unseen < 29*time.Minute {
		t.Errorf("state of the stream: %+v, want four packs open and nothing seen for half an hour", got)
	}
}

func TestSlowStartEndsForGoodWhenOnePackIsSeen(t *testing.T) {
	for _, lost := range []bool{false, true} {
		r := queueRig(t, nil)
		r.m.AddEndpoint(2, 0)
		r.admitted(1, 1, 100, 1)
		if lost {
			r.wait(60500*time.Millisecond, 1)
			r.want(Lost, 1)
		}
		r.m.Seen(1, r.now)
		r.collect()
		r.want(Final, 1)
		n := len(r.got(Lost))
		for p := Pack(10); p < 40; p++ {
			if got := r.m.Admit(1, 1, 100, r.now); got != OK {
				t.Fatalf("lost %v: pack %d: %q, want no slow start any more", lost, p, got)
			}
			r.ack(p, 1)
		}
		// The rules of a living connection hold from now on: what was overtaken is given up at once.
		r.m.Seen(39, r.now)
		r.wait(61*second, 1)
		if got := len(r.got(Lost)) - n; got < 29 {
			t.Errorf("lost %v: %d packs given up, want all that were overtaken: %v", lost, got, r.got(Lost))
		}
	}
}

func TestWhatStartedKeepsItsAgeWhenAnotherPackIsSeen(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0)
	r.ack(1, 1)
	r.wait(30*second, 1)
	r.ack(2, 1)
	r.m.Seen(2, r.now)
	r.wait(29*second, 1)
	r.want(Lost)
	r.wait(2*second, 1)
	r.want(Lost, 1)
}

// TestPacksOfAMissingTopicDoNotAge: before, everything was sent twice when patience was over.
func TestPacksOfAMissingTopicDoNotAge(t *testing.T) {
	for _, seen := range []bool{false, true} {
		r := queueRig(t, nil)
		r.m.AddEndpoint(2, 0)
		if seen {
			r.started(1) // its topic was deleted later
		}
		r.ack(1, 1)
		r.wait(20*second, 1)
		r.m.Missing(1, true, r.now)
		r.ack(2, 1)
		r.m.Written(100, 2, 1, 100, r.now)
		r.m.Acked(100, 1, r.now)
		r.m.Seen(100, r.now) // overtakes both
		r.wait(time.Hour, 1)
		r.want(Lost)
		if !r.m.Stream(1).Missing {
			t.Errorf("seen %v: the state does not say that the topic is missing", seen)
		}
		r.m.Missing(1, false, r.now)
		r.wait(39*second, 1)
		r.want(Lost)
		r.wait(2*second, 1)
		r.want(Lost, 1)
		r.wait(20*second, 1)
		r.want(Lost, 1, 2)
	}
}

func TestMissingTopicOfOneStreamKeepsNoOtherStreamsPacks(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0)
	r.m.Missing(1, true, r.now)
	r.started(2)
	r.ack(1, 1) // the oldest of the connection
	for p := Pack(2); p <= 3; p++ {
		r.m.Written(p, 2, 1, 100, r.now)
		r.m.Acked(p, 1, r.now)
	}
	r.m.Seen(3, r.now)
	r.wait(61*second, 1)
	r.want(Lost, 2)
}

// TestEndedConnectionIsAsEverForAStreamThatStarts: also where the topic is missing. A proxy that was to create it
// may be gone with all it had; if that were waited for, nothing would ever create it.
func TestEndedConnectionIsAsEverForAStreamThatStarts(t *testing.T) {
	for _, missing := range []bool{false, true} {
		r := queueRig(t, nil)
		r.m.Missing(1, missing, r.now)
		r.admitted(1, 1, 100, 1)
		r.m.Ended(1, r.now)
		r.m.Opened(2, 1, r.now)
		if got := r.m.Admit(2, 1, 100, r.now); got != SlowStart {
			t.Errorf("missing %v: four packs that may still arrive are open: %q, want %q", missing, got, SlowStart)
		}
		r.wait(9*second, 2)
		r.want(Lost)
		r.wait(2*second, 2)
		r.want(Lost, 1, 2, 3, 4)
		if got := r.admitted(10, 1, 100, 2)[2]; got != 4 {
			t.Errorf("missing %v: %d packs after those were lost, want 4", missing, got)
		}
	}
}

func TestResentPacksKeepTheirPlaceInTheSlowStart(t *testing.T) {
	r := queueRig(t, nil)
	for p := Pack(1); p <= 4; p++ {
		r.write(p, 1)
	}
	r.m.Ended(1, r.now) // none was acked: all are waiting
	r.m.Opened(2, 1, r.now)
	for p := Pack(1); p <= 4; p++ {
		if got := r.m.Admit(2, 1, 100, r.now); got != OK {
			t.Fatalf("pack %d: %q, want it to be admitted again", p, got)
		}
		r.ack(p, 2)
	}
	if got := r.m.Admit(2, 1, 100, r.now); got != SlowStart {
		t.Fatalf("a fifth: %q, want %q", got, SlowStart)
	}
}

// TestManyStreamsWithOneRecordEachStartAtOnce: nobody waits for anybody's first pack to be seen.
func TestManyStreamsWithOneRecordEachStartAtOnce(t *testing.T) {
	const streams = 5000
	r := queueRig(t, func(c *Config) { c.WindowPacks = 2 * streams })
	for i := range streams {
		if got := r.m.Admit(1, Stream(i), 100, r.now); got != OK {
			t.Fatalf("stream %d: %q, want its pack to go out", i, got)
		}
		r.m.Written(Pack(i), Stream(i), 1, 100, r.now)
		r.m.Acked(Pack(i), 1, r.now)
	}
	r.wait(second, 1)
	for i := range streams {
		r.m.Seen(Pack(i), r.now)
	}
	r.collect()
	if got := len(r.got(Final)); got != streams {
		t.Fatalf("%d packs final, want %d", got, streams)
	}
	r.wait(2*time.Minute, 1)
	r.want(Lost)
}

// TestSlowStartCostsOneQueueDelay: a stream at full rate has a whole window open one queue delay after its first
// pack.
func TestSlowStartCostsOneQueueDelay(t *testing.T) {
	const delay = 1500 * time.Millisecond
	r := queueRig(t, func(c *Config) { c.WindowPacks = 500 })
	due := map[Pack]time.Duration{}
	next, open, fullAt := Pack(1), 0, time.Duration(0)
	for r.now < 10*second && fullAt == 0 {
		for p := range due {
			if r.now >= due[p] {
				r.m.Seen(p, r.now)
				delete(due, p)
				open--
			}
		}
		for r.m.Admit(1, 1, 100, r.now) == OK {
			r.ack(next, 1)
			due[next] = r.now + delay
			next++
			open++
		}
		if open >= 500 {
			fullAt = r.now
		}
		r.wait(100*time.Millisecond, 1)
	}
	if fullAt == 0 || fullAt > delay+100*time.Millisecond {
		t.Errorf("window full at %v, want one queue delay of %v after the first pack", fullAt, delay)
	}
}
