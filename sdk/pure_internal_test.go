package sdk

import (
	"testing"
	"time"
)

func TestVerdictTable(t *testing.T) {
	want := map[class][]int{
		accepted:       {0},
		elsewhere:      {1, 2, 3, 10, 114, 117, 118, 119},
		later:          {108, 120, 2147483647, -1, 4711, 152},
		unknownStream:  {113, 115, 116, 121},
		onceMore:       {94, 95},
		refusedForGood: {31, 32, 33, 34, 35, 36, 96, 100, 101, 102, 103, 104, 105, 106, 107, 109, 110, 111, 112, 122, 123, 150, 151},
	}
	for class, codes := range want {
		for _, code := range codes {
			if got := verdictOf(code).class; got != class {
				t.Errorf("code %d has class %d, want %d", code, got, class)
			}
			if code != 0 && verdictOf(code).hint == "" {
				t.Errorf("code %d has no hint", code)
			}
		}
	}
	seen := make(map[int]bool)
	for _, v := range verdicts {
		if seen[v.code] {
			t.Errorf("code %d stands in the table twice", v.code)
		}
		seen[v.code] = true
	}
	if !(&AckError{Code: 115}).Retryable() || (&AckError{Code: 109}).Retryable() {
		t.Error("115 can be tried again, 109 cannot")
	}
}

func TestBudgetRule(t *testing.T) {
	for _, tt := range []struct {
		name              string
		limit, used, held int64
		want              int64
	}{
		{"empty: one stream takes half at once", 100, 0, 0, 50},
		{"half is one stream's", 100, 50, 50, 0},
		{"the other gets half of the rest", 100, 50, 0, 25},
		{"others hold much, this one nothing", 100, 90, 0, 5},
		{"never negative", 100, 100, 60, 0},
	} {
		if got := share(tt.limit, tt.used, tt.held); got != tt.want {
			t.Errorf("%s: share(%d, %d, %d) = %d, want %d", tt.name, tt.limit, tt.used, tt.held, got, tt.want)
		}
	}
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	for _, tt := range []struct {
		before int
		random float64
		want   time.Duration
	}{
		{0, 0, time.Second}, {1, 0, 2 * time.Second}, {3, 0, 8 * time.Second}, {4, 0, 10 * time.Second}, {1000, 0, 10 * time.Second},
		{0, 1, 750 * time.Millisecond}, {1000, 1, 7500 * time.Millisecond},
	} {
		b := backoff{min: time.Second, max: 10 * time.Second, random: func() float64 { return tt.random }}
		if got := b.pause(tt.before); got != tt.want {
			t.Errorf("pause(%d) with random %v = %v, want %v", tt.before, tt.random, got, tt.want)
		}
	}
}

func TestHoldGrowsOncePerRoundAndAdmitsOneTrial(t *testing.T) {
	b := backoff{min: time.Second, max: time.Minute, random: func() float64 { return 0 }}
	var h hold
	if h.blocks(0) {
		t.Fatal("blocks before any refusal")
	}
	for pack := range uint64(100) { // all in flight when the first is refused
		h.refuse(pack+1, 0, 10*time.Second, "full", b)
	}
	if h.pauses != 1 || !h.blocks(10*time.Second) || h.blocks(11*time.Second) {
		t.Errorf("after a hundred refusals of one round: %+v, want one pause of a second", h)
	}
	h.trial = 200
	if !h.blocks(12 * time.Second) {
		t.Error("a second pack may go while the trial is in flight")
	}
	h.refuse(200, 11*time.Second, 12*time.Second, "full", b)
	if h.pauses != 2 || h.blocks(14*time.Second) || !h.blocks(13*time.Second) {
		t.Errorf("after a refused trial: %+v, want a pause of two seconds", h)
	}
}

func TestAutoCompressionStopsAndProbes(t *testing.T) {
	var a autoCompression
	tried := 0
	for range 1000 {
		if a.next(1000) {
			tried++
			a.result(1000, 990)
		}
	}
	if tried < 8 || tried > 12 {
		t.Errorf("%d of 1000 packs that do not shrink were compressed, want a few", tried)
	}
	a.result(1000, 400)
	for range 100 {
		if !a.next(1000) {
			t.Fatal("a stream that shrinks again is left alone")
		}
		a.result(1000, 400)
	}
	if a.next(autoFrom - 1) {
		t.Error("a tiny pack was compressed")
	}
}

func TestPackQueueKeepsTheOrderOfSeq(t *testing.T) {
	var q packQueue
	for _, seq := range []uint64{5, 6, 9, 7, 3, 8, 4} {
		q.push(&pack{seq: seq})
	}
	for want := uint64(3); want < 10; want++ {
		if got := q.front().seq; got != want {
			t.Fatalf("front is %d, want %d", got, want)
		}
		q.pop()
	}
	if q.len() != 0 {
		t.Errorf("%d left", q.len())
	}
}

func TestMinuteAndDataTime(t *testing.T) {
	for _, tt := range []struct {
		sec    int64
		minute int64
		field  uint32
	}{{0, 0, 0}, {59, 0, 59}, {60, 1, 60}, {-1, -1, 0}, {-60, -1, 0}, {-61, -2, 0}, {1 << 40, 1 << 40 / 60, 1<<31 - 1}} {
		tm := time.Unix(tt.sec, 999)
		if got := minuteOf(tm); got != tt.minute {
			t.Errorf("minuteOf(%d s) = %d, want %d", tt.sec, got, tt.minute)
		}
		if got := dataTime(tm); got != tt.field {
			t.Errorf("dataTime(%d s) = %d, want %d", tt.sec, got, tt.field)
		}
	}
}
