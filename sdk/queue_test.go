package sdk_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// reader is a Confirmer over a MemoryQueue: it reads all partitions and tells the sender what it saw.
type reader struct {
	queue *dptest.MemoryQueue
	seen  func([]uint64)

	mu       sync.Mutex
	at       map[[2]int]int64
	instance string
	watchErr error
	watched  []string
	barriers int
	stopped  bool // does not read, and no barrier passes
}

func (r *reader) Watch(_ context.Context, group, stream string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchErr != nil {
		return r.watchErr
	}
	r.watched = append(r.watched, group+"."+stream)
	return nil
}

func (r *reader) Barrier(ctx context.Context) error {
	r.mu.Lock()
	r.barriers++
	stopped := r.stopped
	r.mu.Unlock()
	if stopped {
		<-ctx.Done()
		return ctx.Err()
	}
	r.read()
	return nil
}

func (r *reader) read() {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return
	}
	var seqs []uint64
	for c := range r.queue.Clusters() {
		for p := range r.queue.Partitions(c) {
			for _, m := range r.queue.Read(c, p, r.at[[2]int{c, p}]) {
				r.at[[2]int{c, p}]++
				attr, err := frame.InLongMsgAttr(m.Value)
				if err != nil {
					panic(err)
				}
				mid, _ := frame.Attribute(attr, frame.AttrMid)
				instance, seq, ok := frame.ParseMid(mid)
				if ok && string(instance) == r.instance {
					seqs = append(seqs, seq)
				}
			}
		}
	}
	r.mu.Unlock()
	if len(seqs) > 0 {
		r.seen(seqs)
	}
}

func (r *reader) set(f func(*reader)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// setupQueue is setup in mode queue, with a reader that looks every 100 ms.
func setupQueue(t *testing.T, n int, change func(*finality.Config), opts ...sdk.Option) (*env, *reader) {
	t.Helper()
	r := &reader{at: make(map[[2]int]int64), instance: "me"}
	e := setup(t, n, append([]sdk.Option{config(finality.Queue, change), sdk.WithConfirmer(r), sdk.WithInstance("me")}, opts...)...)
	r.queue, r.seen = e.queue, e.sender.Seen
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				r.read()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	e.sender.QueueAnswers(true)
	return e, r
}

// noSlowStart is for tests that begin with a whole window of one stream.
func noSlowStart(c *finality.Config) { c.StartPacks, c.StartBytes = c.WindowPacks, c.WindowBytes }

func TestQueueFinalOnlyWhenSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 2, noSlowStart)
		e.proxies[0].StallQueue(true)
		e.proxies[1].StallQueue(true)
		e.send(e.stream("s"), 20)
		settle(30 * time.Second)
		e.log.want(sdk.Acked, 20)
		if used := e.sender.Status().UsedBytes; used != 0 {
			t.Errorf("%d bytes are held after the ack", used)
		}
		e.proxies[0].StallQueue(false)
		e.proxies[1].StallQueue(false)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 20)
		e.close(time.Second)
	})
}

func TestQueueSendsNothingOfAStreamThatIsNotWatched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupQueue(t, 1, nil)
		r.set(func(r *reader) { r.watchErr = errors.New("no rights on topic t") })
		e.send(e.stream("s"), 3)
		settle(time.Minute)
		s := e.sender.Status()
		if e.proxies[0].Stats().Packs != 0 || !strings.Contains(s.Streams[0].Stall, "no rights on topic t") {
			t.Errorf("%d packs sent, stall %q", e.proxies[0].Stats().Packs, s.Streams[0].Stall)
		}
		r.set(func(r *reader) { r.watchErr = nil })
		settle(time.Minute)
		e.log.want(sdk.Final, 3)
		if len(r.watched) != 1 {
			t.Errorf("watched %v, want the stream once", r.watched)
		}
		e.close(time.Second)
	})
}

func TestQueueLosesAfterABarrierWhatAKilledProxyHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupQueue(t, 2, nil)
		e.steady(e.stream("s"), 4500*time.Millisecond)
		_, lost := e.proxies[0].Kill()
		if lost == 0 {
			t.Fatal("nothing was in memory; the story tells nothing")
		}
		r.set(func(r *reader) { r.stopped = true })
		settle(30 * time.Second)
		e.log.want(sdk.Lost, 0) // no barrier passed
		r.set(func(r *reader) { r.stopped = false })
		settle(2 * time.Minute)
		e.log.want(sdk.Lost, lost)
		e.log.want(sdk.Final, 450-lost)
		if r.barriers == 0 {
			t.Error("lost without a barrier")
		}
		e.log.forget()
		e.close(time.Second)
	})
}

func TestQueueSeenAfterLostIsFinalAndADuplicate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupQueue(t, 1, nil)
		e.proxies[0].StallQueue(true)
		e.send(e.stream("s"), 4)
		synctest.Wait()
		// The connections end, the process lives on; the queue has room again after the loss was declared.
		e.proxies[0].ResetConnections()
		settle(20 * time.Second)
		e.log.want(sdk.Lost, 4)
		e.proxies[0].StallQueue(false)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 4)
		s := e.sender.Status()
		if s.Streams[0].PacksDuplicated != 4 || s.LostPacks != 0 {
			t.Errorf("%d packs duplicated, %d lost packs known, want 4 and 0", s.Streams[0].PacksDuplicated, s.LostPacks)
		}
		if r.barriers == 0 {
			t.Error("lost without a barrier")
		}
		e.close(time.Second)
	})
}

func TestQueueSeenBeforeTheAckReleasesTheBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, config(finality.Queue, noSlowStart), sdk.WithConfirmer(&reader{}), sdk.WithInstance("me"))
		e.proxies[0].AckDelay(10 * time.Second)
		e.send(e.stream("s"), 5)
		settle(time.Second)
		if s := e.sender.Status(); s.UsedBytes == 0 || s.UnfinalPacks != 5 {
			t.Fatalf("status %+v, want 5 packs in flight", s)
		}
		e.sender.Seen([]uint64{1, 2, 3, 4, 5, 99})
		synctest.Wait()
		e.log.want(sdk.Final, 5)
		if s := e.sender.Status(); s.UsedBytes != 0 || s.Endpoints[0].InFlightPacks != 0 {
			t.Errorf("status %+v, want no bytes and nothing in flight", s)
		}
		settle(time.Minute) // the acks come late and harm nobody
		e.close(time.Second)
	})
}

func TestQueueSeenWhileWaitingIsNotSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, config(finality.Queue, noSlowStart), sdk.WithConfirmer(&reader{}), sdk.WithInstance("me"))
		e.proxies[0].AckDelay(10 * time.Second)
		e.send(e.stream("s"), 5)
		settle(time.Second)
		e.proxies[0].Kill()
		synctest.Wait()
		if n := e.sender.Status().WaitingPacks; n != 5 {
			t.Fatalf("%d packs waiting, want 5", n)
		}
		e.sender.Seen([]uint64{1, 3, 5})
		synctest.Wait()
		e.log.want(sdk.Final, 3)
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		e.proxies[0].AckDelay(0)
		settle(5 * time.Second)
		e.log.want(sdk.Acked, 2)
		if n := e.proxies[0].Stats().Packs; n != 5+2 {
			t.Errorf("the proxy got %d packs, want 7", n)
		}
		e.sender.Seen([]uint64{2, 4})
		e.close(time.Second)
		e.log.want(sdk.Final, 5)
	})
}

func TestQueueWindowHoldsBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 2, func(c *finality.Config) { c.WindowPacks, c.StartPacks = 10, 100 })
		for _, p := range e.proxies {
			p.StallQueue(true)
		}
		e.send(e.stream("s"), 50)
		settle(20 * time.Second)
		e.log.want(sdk.Acked, 20)
		for _, p := range e.proxies {
			p.StallQueue(false)
		}
		settle(time.Minute)
		e.log.want(sdk.Final, 50)
		e.close(time.Second)
	})
}

// Whoever reads the queue asks how much of what was sent again is still to be seen.
func TestRepairsAreCountedUntilTheyAreSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 1, noSlowStart)
		e.proxies[0].StallQueue(true)
		st := e.stream("s")
		for range 3 {
			b := &sdk.Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{[]byte("again")}, Repair: true}
			if n, err := e.sender.TrySendBatch(b); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			settle(5 * time.Second) // a pack each
		}
		e.send(st, 1) // none that is sent again
		settle(5 * time.Second)
		if n := e.sender.RepairsUnseen(); n != 3 {
			t.Errorf("%d packs that were sent again are unseen, want 3", n)
		}
		e.proxies[0].StallQueue(false)
		settle(10 * time.Second)
		if n := e.sender.RepairsUnseen(); n != 0 {
			t.Errorf("%d packs that were sent again are unseen, want none", n)
		}
		e.close(time.Second)
	})
}
