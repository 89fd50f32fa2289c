package faults

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultIsLoggedWhenItBeginsAndOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		logged := 0
		for range 150 { // a second each
			if s.Begin("manager") {
				logged++
			}
			time.Sleep(time.Second)
		}
		if logged != 3 {
			t.Errorf("logged %d times in 150 s, want 3", logged)
		}
		if !s.Begin("other") {
			t.Error("a fault of another class was not logged")
		}
		s.Forget("other")
		over := s.End()
		if len(over) != 1 || over[0].Class != "manager" || over[0].Times != 150 || over[0].Lasted != 150*time.Second {
			t.Errorf("End = %+v, want one fault that was found 150 times in 150 s", over)
		}
		if over = s.End(); len(over) != 0 || !s.Begin("manager") {
			t.Errorf("End = %+v, and the fault does not begin again", over)
		}
	})
}
