package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/manager"
)

// forgets wants ForgetStream to answer so.
func (e *env) forgets(st *sdk.Stream, want bool, when string) {
	e.t.Helper()
	if got := e.sender.ForgetStream(st); got != want {
		e.t.Errorf("%s: ForgetStream = %v, want %v; status %+v", when, got, want, e.sender.Status().Streams)
	}
}

// A stream with a pack in any state is not forgotten: whatever becomes of the pack would be news of nothing.
func TestStreamIsForgottenOnlyWhenNothingOfItIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry(), config(finality.Settle, func(c *finality.Config) { c.Settle = 5 * time.Second }))
		st := e.stream("s")
		e.forgets(st, true, "a stream that was never used")
		st = e.stream("s")
		synctest.Wait()
		if _, err := e.sender.TrySendBatch(e.log.batch(st, [][]byte{[]byte("x")})); err != nil {
			t.Fatal(err)
		}
		e.forgets(st, false, "a pack is open")
		for _, p := range e.proxies {
			p.AckDelay(time.Second)
		}
		e.sender.Seal()
		e.forgets(st, false, "a pack waits, or is encoded")
		settle(500 * time.Millisecond)
		e.forgets(st, false, "a pack is in flight")
		settle(time.Second)
		e.forgets(st, false, "a pack is acked")
		settle(time.Minute)
		e.log.want(sdk.Final, 1)
		e.forgets(st, true, "the pack is final")

		st = e.stream("s")
		for _, p := range e.proxies {
			p.AckDelay(0)
		}
		e.send(st, 1)
		settle(time.Second)
		for _, p := range e.proxies {
			p.Kill()
		}
		settle(time.Second)
		e.log.want(sdk.Lost, 1)
		e.forgets(st, false, "a pack is lost, and may be seen after all")
		e.log.forget()
		settle(3 * time.Second)
		e.forgets(st, true, "nobody wants news of the lost pack")

		st = e.stream("s")
		e.send(st, 1)
		settle(time.Second)
		e.forgets(st, false, "a pack waits for a proxy")
		r.code("1", 112)
		r.code("2", 112)
		e.log.mu.Lock()
		e.log.forgot = false
		e.log.mu.Unlock()
		for _, p := range e.proxies {
			if err := p.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		settle(5 * time.Second)
		e.log.want(sdk.Held, 1)
		e.forgets(st, false, "a pack is held")
		r.code("1", 0)
		settle(time.Minute)
		e.log.want(sdk.Final, 2)
		e.forgets(st, true, "the held pack was taken")
		e.close(time.Second)
	})
}

func TestForgottenStreamTakesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		st := e.stream("s")
		e.send(st, 1)
		settle(time.Second)
		e.forgets(st, true, "idle")
		e.forgets(st, true, "a second time")
		n, err := e.sender.TrySendBatch(e.log.batch(st, [][]byte{[]byte("x")}))
		if n != 0 || !errors.Is(err, sdk.ErrForgotten) || !strings.Contains(err.Error(), "g.s") || !strings.Contains(err.Error(), "Sender.Stream") {
			t.Errorf("TrySendBatch = %d, %v; want ErrForgotten, the stream, and what to do", n, err)
		}
		if err := e.sender.Send(t.Context(), sdk.Message{Stream: st, Payload: []byte("x")}); !errors.Is(err, sdk.ErrForgotten) {
			t.Errorf("Send = %v, want ErrForgotten", err)
		}
		if _, err := e.sender.SendBatch(t.Context(), e.log.batch(st, [][]byte{[]byte("x")})); !errors.Is(err, sdk.ErrForgotten) {
			t.Errorf("SendBatch = %v, want ErrForgotten", err)
		}
		if e.sender.ForgetStream(nil) {
			t.Error("no stream was forgotten")
		}
		again := e.stream("s")
		if again == st {
			t.Fatal("the forgotten stream was given again")
		}
		e.send(again, 2)
		settle(time.Second)
		if got := e.streamStatus("s"); got.PacksFinal != 2 || got.Records != 2 {
			t.Errorf("status %+v, want that of a stream that started anew", got)
		}
		e.close(time.Second)
	})
}

// Streams come and go while others send: nothing is lost, and in the end nothing is left.
func TestStreamsThatComeAndGoLeaveNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				for i := range 200 {
					st, err := e.sender.Stream("g", fmt.Sprint("s", (i+w)%7))
					if err != nil {
						t.Errorf("Stream: %v", err)
						return
					}
					payload := e.log.fresh()
					n, err := e.sender.SendBatch(t.Context(), e.log.batch(st, [][]byte{payload}))
					for errors.Is(err, sdk.ErrForgotten) { // another one forgot it between the two
						if st, err = e.sender.Stream("g", st.Name()); err == nil {
							n, err = e.sender.SendBatch(t.Context(), e.log.batch(st, [][]byte{payload}))
						}
					}
					if n != 1 || err != nil {
						t.Errorf("SendBatch = %d, %v", n, err)
					}
					time.Sleep(time.Duration(i%50) * time.Millisecond)
					e.sender.ForgetStream(st)
				}
			})
		}
		all.Wait()
		settle(time.Second)
		e.log.want(sdk.Final, 800)
		for _, st := range e.sender.Status().Streams {
			e.forgets(e.stream(st.Stream), true, "all is final")
		}
		s := e.sender.Status()
		if len(s.Streams) != 0 || s.UsedBytes != 0 || s.StreamBytes != 0 || s.Forgotten < 7 {
			t.Errorf("status %+v after all streams were forgotten", s)
		}
		if n := sdk.MachineStreams(e.sender); n != 0 {
			t.Errorf("the state machine knows %d streams", n)
		}
		e.close(time.Second)
	})
}

// watcher is a queue whose reader is told what is not needed any more.
type watcher struct {
	reader
	mu      sync.Mutex
	calls   []string
	unwatch chan struct{} // if it is not nil, Unwatch waits for it
}

func (w *watcher) Watch(_ context.Context, group, stream string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, "watch "+group+"."+stream)
	return nil
}

func (w *watcher) Unwatch(group, stream string) {
	if w.unwatch != nil {
		<-w.unwatch
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, "unwatch "+group+"."+stream)
}

// 1. a stream is forgotten  2. it is opened again and sends  3. the reader is told that the first one is not needed: were
// the second one watched before that, its packs would never be seen.
func TestQueueOfAStreamThatComesAgainIsWatchedAfterItWasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &watcher{reader: reader{stopped: true}, unwatch: make(chan struct{})}
		e := setup(t, 1, config(finality.Queue, nil), sdk.WithConfirmer(w))
		e.sender.QueueAnswers(true)
		st := e.stream("s")
		e.send(st, 1)
		settle(time.Second)
		e.forgets(st, false, "its pack was not seen")
		e.sender.Seen([]uint64{sdk.Seq(e.sender)})
		settle(time.Second)
		go e.sender.ForgetStream(st)
		settle(time.Second)
		again := e.stream("s")
		if again == st {
			t.Fatal("the stream is not forgotten")
		}
		e.sender.TopicMissing("g", "s", true) // said of the one that was forgotten
		e.send(again, 1)
		settle(10 * time.Second)
		if got := e.proxies[0].Stats().Packs; got != 1 {
			t.Errorf("%d packs arrived, want 1: the queue of the second is not watched yet", got)
		}
		close(w.unwatch)
		settle(10 * time.Second)
		if got := e.proxies[0].Stats().Packs; got != 2 {
			t.Errorf("%d packs arrived, want 2", got)
		}
		if want := []string{"watch g.s", "unwatch g.s", "watch g.s"}; !slices.Equal(w.calls, want) {
			t.Errorf("the reader was asked %q, want %q", w.calls, want)
		}
		if got := e.streamStatus("s"); got.TopicMissing {
			t.Error("what was said of the topic of the forgotten stream counts for the new one")
		}
		e.sender.Seen([]uint64{sdk.Seq(e.sender)})
		settle(time.Second)
		e.close(time.Second)
	})
}

// The last stream of a group takes the group's proxies and the questions to the Manager with it.
func TestGroupWithoutStreamsIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		e.addProxy("dp1:46801")
		e.addProxy("dp2:46801")
		var mu sync.Mutex
		asked := make(map[string]int)
		count := func(group string) int {
			mu.Lock()
			defer mu.Unlock()
			return asked[group]
		}
		e.sender = e.newSender(sdk.WithRefresh(time.Second), sdk.WithLister(func(_ context.Context, group string) (manager.Nodes, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[group]++
			addr := e.proxies[0].Addr()
			if group == "other-cluster" {
				addr = e.proxies[1].Addr()
			}
			return manager.Nodes{Addresses: []string{addr}}, nil
		}))
		open := func(group, stream string) *sdk.Stream {
			st, err := e.sender.Stream(group, stream)
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		if err := e.sender.AddGroup(t.Context(), "prepared"); err != nil {
			t.Fatal(err)
		}
		one, two, far, kept := open("g", "one"), open("g", "two"), open("other-cluster", "s"), open("prepared", "s")
		for _, st := range []*sdk.Stream{one, two, far, kept} {
			e.send(st, 1)
		}
		settle(10 * time.Second)
		e.log.want(sdk.Final, 4)
		groups := func(want ...string) {
			t.Helper()
			var got []string
			for _, g := range e.sender.Status().Discovery.Groups {
				got = append(got, g.Group)
			}
			if !slices.Equal(got, want) {
				t.Errorf("groups %q, want %q", got, want)
			}
		}
		groups("prepared", "g", "other-cluster")
		e.forgets(one, true, "idle")
		groups("prepared", "g", "other-cluster")
		e.forgets(two, true, "idle")
		e.forgets(far, true, "idle")
		e.forgets(kept, true, "idle")
		groups("prepared")
		before := count("g")
		settle(time.Minute)
		if got := count("g") - before; got > 0 {
			t.Errorf("the Manager was asked %d times about a group without streams", got)
		}
		if eps := e.sender.Status().Endpoints; len(eps) != 1 || eps[0].Address != e.proxies[0].Addr() {
			t.Errorf("endpoints %+v, want that of the group that was prepared", eps)
		}
		if n := e.proxies[1].Stats().Connections; n != 0 {
			t.Errorf("%d connections to a proxy that no group has", n)
		}
		e.send(open("other-cluster", "s"), 1)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 5)
		e.close(time.Second)
	})
}

// A stream counts in the budget, so that thousands of them cannot take what was given for everything.
func TestStreamsCountInTheBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMaxFrame(16<<10), sdk.WithPack(4<<10, 100, time.Millisecond), sdk.WithBudget(256<<10, 64<<10))
		var streams []*sdk.Stream
		for {
			st, err := e.sender.Stream("g", fmt.Sprint("s", len(streams)))
			if errors.Is(err, sdk.ErrTooManyStreams) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if streams = append(streams, st); len(streams) > 1000 {
				t.Fatal("1000 streams fit into 192 KiB")
			}
		}
		if n := len(streams); n < 140 || n > 190 {
			t.Errorf("%d streams fit into 192 KiB less two frames of 16 KiB", n)
		}
		s := e.sender.Status()
		if got := s.StreamBytes / int64(len(streams)); got < 1000 || got > 1500 {
			t.Errorf("%d bytes are counted for each stream", got)
		}
		// The largest record still fits.
		if err := e.sender.Send(t.Context(), sdk.Message{Stream: streams[0], Payload: make([]byte, streams[0].MaxRecord())}); err != nil {
			t.Errorf("Send: %v", err)
		}
		e.forgets(streams[1], true, "idle")
		if _, err := e.sender.Stream("g", "one more"); err != nil {
			t.Errorf("Stream: %v, want room again", err)
		}
		e.close(time.Second)
	})
}

// Counters of what is added up never fall, and a stream that is forgotten leaves its place to another.
func TestMetricsOfForgottenStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMetricStreams(2))
		series := func() map[string]uint64 {
			status := e.sender.Status()
			got := make(map[string]uint64)
			for _, st := range status.StreamSeries() {
				got[st.Stream] = st.RecordsFinal
			}
			return got
		}
		want := func(want map[string]uint64) {
			t.Helper()
			if got := series(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("records by series %v, want %v", got, want)
			}
		}
		for i, name := range []string{"a", "b", "c", "d"} {
			e.send(e.stream(name), i+1)
		}
		settle(time.Second)
		want(map[string]uint64{"a": 1, "b": 2, "other": 7})
		e.forgets(e.stream("c"), true, "idle")
		want(map[string]uint64{"a": 1, "b": 2, "other": 7})
		e.forgets(e.stream("d"), true, "idle")
		want(map[string]uint64{"a": 1, "b": 2, "other": 7})
		e.forgets(e.stream("a"), true, "idle")
		want(map[string]uint64{"b": 2, "other": 7})
		e.send(e.stream("c"), 5) // has numbers of its own now
		settle(time.Second)
		want(map[string]uint64{"b": 2, "c": 5, "other": 7})
		e.send(e.stream("a"), 1)
		settle(time.Second)
		want(map[string]uint64{"b": 2, "c": 5, "other": 8})
		e.close(time.Second)
	})
}

// What a stream counted before it was forgotten is not taken from what it counts when it comes again.
func TestMetricsLogOfAStreamThatComesAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var out logbook
		e := setup(t, 1, sdk.WithMetricsLog(time.Minute), sdk.WithLogger(out.logger()))
		e.send(e.stream("s"), 5)
		settle(70 * time.Second)
		e.forgets(e.stream("s"), true, "idle")
		e.send(e.stream("s"), 2)
		settle(time.Minute)
		var records []string
		_, lines := out.take()
		for _, line := range lines {
			_, rest, _ := strings.Cut(line, " records=")
			records = append(records, strings.Fields(rest)[0])
		}
		if !slices.Equal(records, []string{"5", "2"}) {
			t.Errorf("lines with %q records, want 5 and 2", records)
		}
		e.close(time.Second)
	})
}

func TestLongestRecordFollowsTheManager(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		e.addProxy("dp1:46801")
		var mu sync.Mutex
		most := 8 << 10
		e.sender = e.newSender(sdk.WithRefresh(time.Second), sdk.WithLister(func(context.Context, string) (manager.Nodes, error) {
			mu.Lock()
			defer mu.Unlock()
			return manager.Nodes{Addresses: e.addrs(), MaxPacketLength: most}, nil
		}))
		st := e.stream("s")
		settle(2 * time.Second)
		small := st.MaxRecord()
		record := make([]byte, small+1)
		var tooLarge *sdk.TooLargeError
		if err := e.sender.Send(t.Context(), sdk.Message{Stream: st, Payload: record}); !errors.As(err, &tooLarge) || tooLarge.Limit != small || small < 7<<10 {
			t.Errorf("Send = %v, want ErrTooLarge with the limit %d", err, small)
		}
		mu.Lock()
		most = 64 << 10
		mu.Unlock()
		settle(3 * time.Second)
		if got := st.MaxRecord(); got < 63<<10 {
			t.Errorf("the longest record has %d bytes after the Manager's limit was raised", got)
		}
		if err := e.sender.Send(t.Context(), sdk.Message{Stream: st, Payload: record}); err != nil {
			t.Errorf("Send: %v", err)
		}
		e.close(time.Second)
	})
}
