package finality

import "testing"

// A pack keeps its stream known in every state it may have, the lost and remembered one included: news of it would
// otherwise be news of nothing.
func TestStreamWithAPackInAnyStateIsNotForgotten(t *testing.T) {
	r := newRig(t, Queue, nil)
	r.m.QueueAnswers(true, r.now)
	r.m.Opened(1, 1, 0)
	forgets := func(want bool, when string) {
		t.Helper()
		if got := r.m.ForgetStream(1); got != want {
			t.Errorf("%s: ForgetStream = %v, want %v", when, got, want)
		}
	}
	forgets(true, "before any pack")
	r.write(1, 1)
	forgets(false, "a pack in flight")
	r.m.Refused(1, 1, false, r.now)
	forgets(false, "a pack waiting again")
	r.write(1, 1)
	r.m.Acked(1, 1, r.now)
	forgets(false, "a pack acked")
	r.m.Seen(1, r.now)
	forgets(true, "the pack was seen")
	if n := r.m.Streams(); n != 0 {
		t.Errorf("%d streams are known, want none", n)
	}

	r.ack(2, 1)
	r.m.Ended(1, r.now)
	r.wait(30 * second)
	r.want(Lost, 2)
	forgets(false, "a pack lost and remembered")
	r.m.Forget(2)
	forgets(true, "nobody wants news of the lost pack")
}

// A stream that comes again under another number starts anew: with the slow start, and without what was held against it.
func TestForgottenStreamStartsAnew(t *testing.T) {
	r := newRig(t, Queue, nil)
	r.m.QueueAnswers(true, r.now)
	r.m.Opened(1, 1, 0)
	r.started(1)
	if got := r.m.Stream(1); !got.Seen {
		t.Fatalf("stream 1 is %+v, want its slow start over", got)
	}
	if !r.m.ForgetStream(1) {
		t.Fatal("an idle stream was not forgotten")
	}
	if got := r.m.Stream(1); got != (StreamState{}) {
		t.Errorf("stream 1 is %+v after it was forgotten", got)
	}
	for p := Pack(10); p < 14; p++ {
		r.m.Written(p, 2, 1, 100, r.now)
	}
	if got := r.m.Admit(1, 2, 100, r.now); got != SlowStart {
		t.Errorf("Admit = %v, want %v: nothing of the new stream was seen", got, SlowStart)
	}
}

func TestStalledStreamIsNotForgotten(t *testing.T) {
	r := newRig(t, Queue, nil)
	r.m.stream(1).stalled = true
	if r.m.ForgetStream(1) {
		t.Error("a stream that stalls was forgotten: it would go on at full rate")
	}
}
