package await

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitEndsAtOnceAndGivesUpWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Condition
		var done atomic.Bool
		begun := time.Now()
		go func() {
			time.Sleep(30 * time.Millisecond)
			done.Store(true)
			b.Changed()
		}()
		if !b.Wait(done.Load) || time.Since(begun) > 50*time.Millisecond {
			t.Errorf("waited %v, want hardly more than 30ms", time.Since(begun))
		}
		stop := make(chan struct{})
		go func() { time.Sleep(250 * time.Millisecond); close(stop) }()
		if b.Wait(func() bool { return false }, stop) {
			t.Error("wait said that the condition holds")
		}
	})
}
