package confirm_test

import (
	"testing"

	"inlong-bridge/connector/confirm"
)

// A barrier is asked for on behalf of packs that are overdue. None of those is of a stream that was unwatched, and
// streams are unwatched all the time: were each one the end of a barrier, nothing would ever be called lost.
func TestBarrierDoesNotWaitForATopicThatWasDropped(t *testing.T) {
	b := newBook(t, "a")
	fix := func(name string, id byte) {
		b.take(b.p.Fix("a", name, says(b.p.Ask(), name, id, ends(0))))
	}
	fix("kept", 1)
	fix("idle", 2)
	began := func() *confirm.Barrier {
		since := b.p.Ask()
		l := says(since, "kept", 1, ends(5))
		l.Topics["idle"] = confirm.TopicListing{Exists: true, ID: [16]byte{2}, Partitions: ends(7)}
		return b.begin(since, map[string]confirm.Listing{"a": l})
	}
	x := began()
	if got := b.p.Drop("a", "idle"); len(got) != 1 || got[0].Topic != "idle" || got[0].Why != confirm.Unwatched {
		t.Errorf("Drop = %v, want the end of partition 0", got)
	}
	if b.p.Drop("a", "idle") != nil {
		t.Error("a topic was dropped twice")
	}
	if b.passed(x) {
		t.Error("a barrier passed although the other topic was not read to its end")
	}
	b.read("a", "kept", 0, 5)
	if !b.passed(x) {
		t.Error("a barrier waits for a topic that nobody watches")
	}

	// Dropped and watched again while a barrier is under way: it begins at the end, and nothing in it is waited for.
	fix("idle", 2)
	x = began()
	b.p.Drop("a", "idle")
	fix("idle", 2)
	if !b.passed(x) {
		t.Error("a barrier waits for a topic that was dropped meanwhile")
	}
}
