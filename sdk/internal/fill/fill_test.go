package fill

import (
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/sdk/internal/list"
)

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

func budgetOf(general, repairs, ahead int64) *Budget {
	b := new(Budget)
	b.Init(general, repairs, ahead, 0)
	return b
}

func records(n, cost int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, cost-int(Cost(nil)))
	}
	return all
}

func TestStreamTakesHalfOfWhatIsFreeAndRepairsTheirReserve(t *testing.T) {
	b := budgetOf(1000, 300, 0)
	var one, other atomic.Int64
	for _, tt := range []struct {
		name   string
		held   *atomic.Int64
		repair bool
		want   int
	}{
		{"half", &one, false, 5},
		{"its half is used", &one, false, 0},
		{"half of the rest", &other, false, 2},
		{"the reserve", &one, true, 3},
		{"the reserve is used", &one, true, 0},
	} {
		if n := b.Take(records(20, 100), tt.repair, tt.held); n != tt.want {
			t.Errorf("%s: %d records are taken, want %d", tt.name, n, tt.want)
		}
	}
	if one.Load() != 500 || other.Load() != 200 || b.Used() != 1000 || b.Limit() != 1300 {
		t.Errorf("held %d and %d, used %d of %d", one.Load(), other.Load(), b.Used(), b.Limit())
	}
	if !b.Fits(make([]byte, 300-Cost(nil))) || b.Fits(make([]byte, 301-Cost(nil))) {
		t.Error("300 bytes are free without the reserve")
	}
	b.Refund(500, false, &one)
	b.Refund(200, false, &other)
	b.Refund(300, true, &one)
	if one.Load() != 0 || other.Load() != 0 || b.Used() != 0 {
		t.Errorf("after all refunds: held %d and %d, used %d", one.Load(), other.Load(), b.Used())
	}
}

func TestStreamsAreChargedBeyondWhatIsFree(t *testing.T) {
	b := budgetOf(100<<10, 0, 0)
	b.Fix(10 << 10)
	if got := b.Most(6 << 10); got != 100<<10 {
		t.Errorf("16 KiB of streams leave %d bytes", got)
	}
	if got := b.Most(7 << 10); got != 99<<10 {
		t.Errorf("17 KiB of streams leave %d bytes", got)
	}
	b.WantRoom()
	if b.Fix(-10 << 10); b.Fixed() != 0 || len(b.Room()) != 1 {
		t.Error("a stream that goes makes no room")
	}
}

func TestNothingIsPaidInAdvanceWhenThereIsLittle(t *testing.T) {
	b := budgetOf(1600, 0, 0)
	var held atomic.Int64
	if !b.Prepay(100, &held) || held.Load() != 100 || b.Used() != 100 {
		t.Errorf("a share of 800 is too little for 100 in advance: held %d, used %d", held.Load(), b.Used())
	}
	if b.Prepay(100, &held) || held.Load() != 100 || b.Used() != 100 {
		t.Errorf("a share of 700 is used in advance: held %d, used %d", held.Load(), b.Used())
	}
}

func TestThoseWhoWaitForRoomAreWokenOnce(t *testing.T) {
	b := budgetOf(100, 0, 0)
	if b.MadeRoom(); len(b.Room()) != 0 {
		t.Error("woken though nobody waits")
	}
	wait := b.Wait()
	b.WantRoom()
	b.MadeRoom()
	select {
	case <-wait:
	default:
		t.Error("a call that waits is not woken")
	}
	if len(b.Room()) != 1 {
		t.Error("whoever polls is not woken")
	}
	<-b.Room()
	if b.MadeRoom(); len(b.Room()) != 0 {
		t.Error("woken twice")
	}
}

func TestPaceIsKeptUntilHalfOfTheBoundIsLeft(t *testing.T) {
	b := budgetOf(100, 0, 0)
	var f Flow
	const limit = int64(minAhead)
	if f.Add(limit); b.Beyond(&f) {
		t.Error("the bound itself is beyond the bound")
	}
	if f.Add(1); !b.Beyond(&f) || !b.WantPace(&f) {
		t.Error("one more byte is not")
	}
	if b.Went(&f, limit/2); len(b.Room()) != 0 {
		t.Error("woken before half is left")
	}
	if b.Went(&f, 1); len(b.Room()) != 1 || f.Bytes() != limit/2 {
		t.Errorf("nobody is woken with %d of %d left", f.Bytes(), limit)
	}
	<-b.Room()
	b.WantPace(&f)
	if b.Went(&f, 1); len(b.Room()) != 0 {
		t.Error("woken by less of what was below the half")
	}
	if b.CaughtUp(); len(b.Room()) != 1 {
		t.Error("a tick wakes nobody")
	}
	if f.Move(0, time.Second); f.Moved() != time.Second {
		t.Errorf("moved at %v", f.Moved())
	}
}

func TestOpenListIsInTheOrderOfOpening(t *testing.T) {
	type pack struct {
		place list.Node[pack]
	}
	var l OpenList[pack]
	packs := make([]pack, 3)
	for i := range packs {
		if first := l.Add(&packs[i].place, &packs[i]); first != (i == 0) {
			t.Errorf("pack %d: first is %v", i, first)
		}
	}
	l.Remove(&packs[0].place)
	l.Remove(&packs[2].place)
	if l.Oldest() != &packs[1] || l.Len() != 1 {
		t.Errorf("%d packs are open, the oldest is not the second", l.Len())
	}
	l.Remove(&packs[1].place)
	if l.Oldest() != nil || l.Len() != 0 {
		t.Errorf("%d packs are open", l.Len())
	}
	if !l.Add(&packs[1].place, &packs[1]) {
		t.Error("the list is empty again, and a pack is not the first")
	}
}
