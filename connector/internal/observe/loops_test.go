package observe

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/reason"
)

func TestLoopHangsWhenItIsAtOneThingTooLongOrHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Loops
		hung := func(name string) string {
			for _, x := range l.Snapshot() {
				if x.Name == name {
					return x.hung(time.Now())
				}
			}
			t.Fatalf("no loop %s in %+v", name, l.Snapshot())
			return ""
		}
		ended := l.Started("watch")
		time.Sleep(time.Hour) // it waits for something to do
		if why := hung("watch"); why != "" {
			t.Errorf("a loop that waits hangs: %s", why)
		}
		done := l.Works("watch")
		if time.Sleep(hungAfter); hung("watch") != "" {
			t.Error("hangs before its time")
		}
		time.Sleep(time.Second)
		if why := hung("watch"); !strings.Contains(why, "watch loop") || !strings.Contains(why, "1m1s") {
			t.Errorf("why = %q, want the loop and how long", why)
		}
		done()
		if why := hung("watch"); why != "" {
			t.Errorf("it is done, and hangs: %s", why)
		}
		ended()
		if why := hung("watch"); !strings.Contains(why, "ended") {
			t.Errorf("why = %q of a loop that ended", why)
		}
		l.Started("watch")
		l.Works("commit")()
		if s := l.Snapshot(); hung("watch") != "" || len(s) != 2 || s[0].Name != "commit" || s[1].Name != "watch" {
			t.Errorf("snapshot = %+v, want commit and watch, both well", s)
		}
	})
}

// The loop that hangs, and not the first, is named; the bridge is ready again when it goes on.
func TestHungLoopIsNamedAndTakesReadinessAway(t *testing.T) {
	s := Status{State: "running", Loops: []Loop{{Name: "commit"}, {Name: "reread", Since: time.Now().Add(-2 * hungAfter)}}}
	src := &live{s: s}
	o, _ := logging(src, Config{})
	r := o.Status()
	if r.Ready.Ready || r.Ready.Strict || len(r.Ready.Reasons) != 1 || !strings.Contains(r.Ready.Reasons[0], "reread loop") || r.Conditions[0].Code != reason.Hung {
		t.Errorf("ready = %+v for %+v, want the reread loop named", r.Ready, r.Conditions)
	}
	src.set(func(s *Status) { s.Loops[1].Since = time.Time{} })
	if r := o.Status().Ready; !r.Ready || !r.Strict {
		t.Errorf("ready = %+v after the loop went on", r)
	}
}
