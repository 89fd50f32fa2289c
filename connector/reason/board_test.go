package reason

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

func stream(name string) Key { return Key{Code: StreamStalled, Scope: Stream, Object: name} }

func made(k Key, seconds int, text string) Reason { return New(k, at(seconds), text) }

func TestReasonThatIsSetAgainKeepsItsTime(t *testing.T) {
	var b Board
	k := stream("g/s")
	if _, ok := b.Get(k); ok {
		t.Error("an empty board has a reason")
	}
	if !b.Set(made(k, 1, "first")) {
		t.Error("the first is not new")
	}
	if b.Set(made(k, 5, "second")) {
		t.Error("the second is new")
	}
	r, ok := b.Get(k)
	if !ok || !r.Since.Equal(at(1)) || r.Sentence != "second" {
		t.Errorf("reason = %+v, %v, want the last sentence since the first time", r, ok)
	}
	if was, ok := b.Clear(k); !ok || !was.Since.Equal(at(1)) {
		t.Errorf("cleared %+v, %v, want the reason with its time", was, ok)
	}
	if _, ok := b.Clear(k); ok {
		t.Error("cleared twice")
	}
	if !b.Set(made(k, 9, "third")) {
		t.Error("one that ended and comes back is not new")
	}
}

func TestReplaceEndsOnlyTheReasonsOfItsSource(t *testing.T) {
	var b Board
	lone, a1, a2, b1, both := stream("lone"), stream("a1"), stream("a2"), stream("b1"), stream("both")
	b.Set(made(lone, 1, "set by itself"))
	b.Replace("a", []Reason{made(a1, 2, "a"), made(a2, 2, "a"), made(both, 2, "a"), made(lone, 2, "a")})
	b.Replace("b", []Reason{made(b1, 3, "b"), made(both, 3, "b")})
	want := func(when string, keys ...Key) {
		t.Helper()
		var got []Key
		for _, r := range b.Snapshot() {
			got = append(got, r.Key)
		}
		slices.SortFunc(keys, func(x, y Key) int { return Compare(Reason{Key: x}, Reason{Key: y}) })
		if !slices.Equal(got, keys) {
			t.Errorf("%s: %v, want %v", when, got, keys)
		}
	}
	want("at first", lone, a1, a2, b1, both)
	b.Replace("a", []Reason{made(a2, 9, "again")})
	want("a has one left", lone, a2, b1, both)
	if r, _ := b.Get(a2); !r.Since.Equal(at(2)) || r.Sentence != "again" {
		t.Errorf("%+v, want the new sentence since the first time", r)
	}
	if r, _ := b.Get(both); !r.Since.Equal(at(2)) {
		t.Errorf("%+v, want it since the first source had it", r)
	}
	b.Replace("a", nil)
	b.Replace("b", nil)
	want("no source has any", lone)
	b.Replace("a", []Reason{made(a1, 10, "a")})
	b.Clear(a1)
	b.Replace("a", nil)
	b.Clear(lone)
	want("cleared")
}

func TestSnapshotIsInOrderWidestScopeFirst(t *testing.T) {
	want := []Key{
		{Code: Budget, Scope: Process}, {Code: Hung, Scope: Process, Object: "commit"}, {Code: Hung, Scope: Process, Object: "watch"},
		{Code: Rebalance, Scope: Group}, {Code: Queue, Scope: QueueCluster, Object: "a"}, {Code: Endpoint, Scope: Proxy, Object: "p"},
		{Code: StreamStalled, Scope: Stream, Object: "g/s"}, {Code: Gap, Scope: Partition, Object: "t/0"},
	}
	for range 20 {
		var b Board
		for _, i := range rand.Perm(len(want)) {
			b.Set(New(want[i], at(i), "x"))
		}
		var got []Key
		for _, r := range b.Snapshot() {
			got = append(got, r.Key)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("snapshot = %v, want %v", got, want)
		}
	}
}

func TestBoardMayBeUsedByAll(t *testing.T) {
	var b Board
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				switch k := stream(string(rune('a' + i%5))); (i + w) % 4 {
				case 0:
					b.Set(made(k, i, "x"))
				case 1:
					b.Clear(k)
				case 2:
					b.Replace("s", []Reason{made(k, i, "y")})
				default:
					if s := b.Snapshot(); !slices.IsSortedFunc(s, Compare) {
						t.Error("a snapshot is out of order")
					}
				}
			}
		})
	}
	wg.Wait()
	b.Replace("s", nil)
	for _, r := range b.Snapshot() {
		b.Clear(r.Key)
	}
	if len(b.now) != 0 {
		t.Errorf("%d reasons are left", len(b.now))
	}
}

func TestTextIsTheSentenceWithItsHint(t *testing.T) {
	k := Key{Code: Gap, Scope: Partition, Object: "t/0"}
	for _, text := range []string{"it is gone; hint: look for it", "it is gone", "a; hint: b; hint: c"} {
		r := New(k, at(1), text)
		if r.Text() != text || !r.Terminal || r.Offset != -1 {
			t.Errorf("New(%q) = %+v with the text %q", text, r, r.Text())
		}
	}
	if r := New(k, at(1), "it is gone; hint: look for it"); r.Sentence != "it is gone" || r.Hint != "look for it" {
		t.Errorf("%+v, want the sentence and the hint apart", r)
	}
}
