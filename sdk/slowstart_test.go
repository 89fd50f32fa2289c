package sdk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// TestOneRecordOnAnIdleTopicIsFinalAfterTheQueueDelay: a slow start costs a stream with one record nothing.
func TestOneRecordOnAnIdleTopicIsFinalAfterTheQueueDelay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 3, nil)
		e.send(e.stream("s"), 1)
		settle(6 * time.Second) // a proxy that was idle takes its time
		e.log.want(sdk.Final, 1)
		settle(time.Hour)
		e.log.want(sdk.Final, 1)
		if st := e.sender.Status().Streams[0]; st.Stall != "" || st.Unseen != 0 || st.UnfinalPacks != 0 || st.PacksResent != 0 || st.PacksLost != 0 {
			t.Errorf("status %+v, want nothing open, unseen or sent again", st)
		}
		e.close(time.Second)
	})
}

func TestThousandsOfStreamsWithOneRecordEachAreFinalAfterTheQueueDelay(t *testing.T) {
	const streams = 5000
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 3, nil)
		for i := range streams {
			e.batch(e.stream(fmt.Sprint("s", i)), 1)
		}
		e.sender.Seal()
		settle(6 * time.Second)
		e.log.want(sdk.Final, streams)
		e.close(time.Second)
	})
}

// TestStreamAtFullRateLagsOneQueueDelayBehindAtItsStart compares with a stream that was seen before.
func TestStreamAtFullRateLagsOneQueueDelayBehindAtItsStart(t *testing.T) {
	const delay = 2 * time.Second
	took := func(change func(*finality.Config)) (all time.Duration) {
		bubble(t, func(t *testing.T) {
			e, _ := setupQueue(t, 2, change)
			for _, p := range e.proxies {
				p.StallQueue(true)
				time.AfterFunc(delay, func() { p.StallQueue(false) })
			}
			begun := time.Now()
			e.send(e.stream("s"), 500)
			for e.sender.Status().Streams[0].PacksFinal < 500 {
				settle(50 * time.Millisecond)
				if time.Since(begun) > time.Minute {
					t.Fatalf("not all is final after a minute: %+v", e.sender.Status().Streams[0])
				}
			}
			all = time.Since(begun)
			e.close(time.Second)
		})
		return all
	}
	slow, at := took(nil), took(noSlowStart)
	if lag := slow - at; lag > delay+200*time.Millisecond {
		t.Errorf("final after %v, without a slow start after %v: %v more, want one queue delay of %v at most", slow, at, lag, delay)
	}
}

// TestWrongTopicCostsAFewPacksAndHoldsUpNobodyElse: what the bridge looks at is not what the proxies write to.
// Before, everything was sent, and sent once more when patience was over.
func TestWrongTopicCostsAFewPacksAndHoldsUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 2, nil)
		for _, p := range e.proxies {
			p.DropStream("g", "elsewhere", true)
		}
		e.send(e.stream("elsewhere"), 100)
		settle(time.Second)
		e.send(e.stream("s"), 50)
		settle(7 * time.Second) // a proxy that was idle takes its time
		if got := len(e.arrived("s")); got != 50 {
			t.Errorf("%d of 50 records of another stream arrived", got)
		}
		got := 0
		for _, p := range e.proxies {
			n := int(p.Stats().Packs)
			got += n
			if n == 0 {
				t.Error("a proxy got none of the packs, want them on different proxies")
			}
		}
		if got -= 50; got != 4 {
			t.Errorf("%d packs of the stream went out, want 4", got)
		}
		if st := e.sender.Status().Streams[0]; st.Stall != "" {
			t.Errorf("stall %q after 8 s, want none yet", st.Stall)
		}
		settle(10 * time.Second)
		if st := e.sender.Status().Streams[0]; !strings.HasPrefix(st.Stall, "0 of 4 packs were seen in the queue") || st.UnfinalPacks != 4 {
			t.Errorf("stall %q, %d packs open, want that none of 4 was seen", st.Stall, st.UnfinalPacks)
		}
		settle(10 * time.Minute)
		e.log.forget()
		if st := e.sender.Status().Streams[0]; st.PacksLost == 0 || st.PacksLost > 12 || st.UnfinalPacks != 4 {
			t.Errorf("%d packs given up in 10 min, %d open, want one per growing pause and 4", st.PacksLost, st.UnfinalPacks)
		}
		// It is found: all goes out at once.
		for _, p := range e.proxies {
			p.DropStream("g", "elsewhere", false)
		}
		settle(6 * time.Minute)
		if n := e.sender.Status().Streams[0].UnfinalPacks; n > 3 {
			t.Errorf("%d packs are open, want the slow start to be over", n)
		}
		settle(10 * time.Minute)
		e.close(time.Minute)
	})
}

func TestPacksOfAMissingTopicAreNotSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 2, nil)
		st := e.stream("s")
		for _, p := range e.proxies {
			p.StallQueue(true) // it keeps what it cannot write
		}
		e.sender.TopicMissing("g", "s", true)
		e.sender.TopicMissing("g", "unknown", true)
		e.send(st, 20)
		settle(2 * time.Hour)
		if s := e.sender.Status().Streams[0]; s.PacksLost != 0 || !s.TopicMissing || !strings.Contains(s.Stall, "its topic exists in no queue cluster") {
			t.Errorf("status %+v, want nothing lost, and that the topic is missing", s)
		}
		for _, p := range e.proxies {
			p.StallQueue(false)
		}
		e.sender.TopicMissing("g", "s", false)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 20)
		if s := e.sender.Status().Streams[0]; s.TopicMissing || s.Stall != "" || s.PacksLost+s.PacksResent != 0 {
			t.Errorf("status %+v, want nothing missing or sent again", s)
		}
		e.close(time.Second)
	})
}
