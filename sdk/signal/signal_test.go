package signal_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/signal"
)

func TestPokesThatNobodyReceivedAreOne(t *testing.T) {
	p := signal.NewPoke()
	for range 3 {
		p.Poke()
	}
	<-p
	select {
	case <-p:
		t.Error("three pokes were received as two")
	default:
	}
	p.Poke()
	<-p
}

func TestPokeWakesAWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, woken := signal.NewPoke(), false
		go func() {
			<-p
			woken = true
		}()
		synctest.Wait()
		if woken {
			t.Error("woken before the poke")
		}
		p.Poke()
		synctest.Wait()
		if !woken {
			t.Error("not woken")
		}
	})
}

func TestNilPokeDropsAll(t *testing.T) {
	var p signal.Poke
	p.Poke() // must neither block nor panic
}

func TestBroadcastWakesAllWhoWaitAndNobodyLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b signal.Broadcast
		b.Wake() // nobody waits
		var woken atomic.Int32
		for range 5 {
			c := b.Next()
			go func() {
				<-c
				woken.Add(1)
			}()
		}
		synctest.Wait()
		if n := woken.Load(); n != 0 {
			t.Errorf("%d woken before Wake", n)
		}
		b.Wake()
		synctest.Wait()
		if n := woken.Load(); n != 5 {
			t.Errorf("%d woken, want 5", n)
		}
		select {
		case <-b.Next():
			t.Error("a channel that was taken after Wake is closed")
		default:
		}
	})
}

// A waiter takes the channel, looks, and waits: whatever happens after the look wakes it, however many wake at the
// same time.
func TestNoWakeIsMissed(t *testing.T) {
	var (
		b    signal.Broadcast
		done atomic.Int32
		wg   sync.WaitGroup
	)
	const events = 2000
	for range 4 {
		wg.Go(func() {
			for {
				c := b.Next()
				if done.Load() == 2*events {
					return
				}
				select {
				case <-c:
				case <-time.After(time.Minute):
					t.Error("a waiter was not woken")
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range events {
				done.Add(1)
				b.Wake()
			}
		})
	}
	wg.Wait()
}

func TestWakeWithoutWaitersDoesNotAllocate(t *testing.T) {
	var b signal.Broadcast
	p := signal.NewPoke()
	if n := testing.AllocsPerRun(100, func() { b.Wake(); p.Poke() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
