package choice

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/internal/names"
)

// choice is what a sender with this seed uses of the proxies that are not away.
func choice(seed uint64, proxies, n int, away ...string) map[string]bool {
	var all []candidate
	for i := range proxies {
		label := fmt.Sprintf("dp%d:46801", i)
		c := candidate{target: names.Target{Label: label, Addr: label}, rank: rankOf(seed, "", label)}
		if slices.Contains(away, label) {
			c.Standing = Standing{out: true, until: time.Hour}
		}
		all = append(all, c)
	}
	use, _ := chosen(all, n)
	set := make(map[string]bool)
	for _, t := range use {
		set[t.Label] = true
	}
	return set
}

// 500 senders to 200 proxies, 8 each: 20 senders a proxy, where all 200 would be 500. One proxy goes, and its senders go to as
// many others, and no other sender moves.
func TestSendersSpreadOverTheProxiesAndMoveNoMoreThanTheyMust(t *testing.T) {
	const senders, proxies, n = 500, 200, 8
	load := make(map[string]int)
	moved := make(map[string]int)
	gone := "dp17:46801"
	for s := range uint64(senders) {
		before, after := choice(s, proxies, n), choice(s, proxies, n, gone)
		if len(before) != n || len(after) != n || after[gone] {
			t.Fatalf("sender %d uses %v, then %v", s, before, after)
		}
		for label := range before {
			load[label]++
		}
		came := 0
		for label := range after {
			if !before[label] {
				came++
				moved[label]++
			}
		}
		if want := len(before) - len(maps.Collect(both(before, after))); came != want || came > 1 || (came == 1) != before[gone] {
			t.Fatalf("sender %d changes %d of its proxies", s, came)
		}
		if !maps.Equal(before, choice(s, proxies, n)) {
			t.Fatalf("sender %d does not go back", s)
		}
	}
	least, most := senders, 0
	for _, senders := range load {
		least, most = min(least, senders), max(most, senders)
	}
	if len(load) != proxies || least < 5 || most > 45 {
		t.Errorf("%d proxies have %d to %d senders, want all of them around 20", len(load), least, most)
	}
	for label, n := range moved {
		if n > 4 {
			t.Errorf("%d senders of the proxy that went came to %s", n, label)
		}
	}
	if len(moved) < 10 {
		t.Errorf("the senders of the proxy that went came to %d others", len(moved))
	}
}

func both(a, b map[string]bool) func(func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		for k := range a {
			if b[k] && !yield(k, true) {
				return
			}
		}
	}
}

func TestProxyThatWasPassedOverIsUsedBesideTheOthersUntilItProvesItself(t *testing.T) {
	use := func(all []candidate, n int) string {
		used, reserve := chosen(slices.Clone(all), n)
		text := ""
		for _, t := range used {
			text += t.Label
		}
		return fmt.Sprintf("%s+%d", text, reserve)
	}
	all := make([]candidate, 5)
	for i := range all {
		all[i] = candidate{target: names.Target{Label: string(rune('a' + i))}, rank: uint64(i)}
	}
	want := func(what, text string) {
		t.Helper()
		if got := use(all, 2); got != text {
			t.Errorf("%s: %s, want %s", what, got, text)
		}
	}
	want("at first", "ab+3")
	a := &all[0].Standing
	a.seen(false, 0)
	a.passOver(time.Minute, 0)
	want("a is passed over", "bc+2")
	if a.Back(time.Minute + 4*time.Minute) {
		t.Error("a is back before its time")
	}
	if !a.Back(time.Minute + 5*time.Minute) {
		t.Error("a is not back in its time")
	}
	want("a has to prove itself", "abc+2")
	if !a.seen(true, 7*time.Minute) {
		t.Error("that a can be used changes nothing")
	}
	want("a is as it was", "ab+3")

	for i := range all { // everything fails: the choice goes on with those that have waited longest
		all[i].passOver(time.Duration(5-i)*time.Minute, 0)
	}
	want("all are passed over", "ed+0")
	if first, second := passOverFor(0), passOverFor(1); second <= first {
		t.Errorf("passed over for %v, then %v", first, second)
	}
}

func passOverFor(times int) time.Duration {
	a := Standing{times: times}
	a.passOver(0, 0)
	return a.until
}

// seedOf is a seed with which a proxy fails for at least least, of the time that is this sender's own, before it is
// passed over.
func seedOf(label string, least float64) uint64 {
	for seed := uint64(0); ; seed++ {
		if float64(rankOf(seed, "", label))/(1<<64) >= least {
			return seed
		}
	}
}

func TestProxyIsPassedOverWhenItFailedForLongAndThereIsAReserve(t *testing.T) {
	half := func() float64 { return 0.5 }
	for _, tt := range []struct {
		name           string
		others         bool // another one can be used
		reserve        int
		least, longest time.Duration
	}{
		{"another one takes the packs", true, 1, 45 * time.Second, time.Minute},
		{"no other one can be used", false, 1, 4500 * time.Millisecond, 6 * time.Second},
		{"nothing is left to take its place", true, 0, 0, 0},
	} {
		c := New(2, seedOf("a", 0.5))
		var a, b Standing
		passed := time.Duration(0)
		for now := time.Duration(0); now < 2*time.Minute && passed == 0; now += 500 * time.Millisecond {
			members := []Member{{Label: "b", Standing: &b, Usable: tt.others}, {Label: "a", Standing: &a}}
			if !tt.others {
				members = members[1:]
			}
			r := c.Review(members, tt.reserve, now, half)
			if r.Passed < 0 {
				if r.Changed {
					t.Errorf("%s: the choice changes at %v", tt.name, now)
				}
				continue
			}
			if passed = now; members[r.Passed].Label != "a" || !r.Changed || r.Failed != now || r.Again < 5*time.Minute*3/4 || !a.out {
				t.Errorf("%s: %+v at %v", tt.name, r, now)
			}
		}
		if passed < tt.least || passed > tt.longest {
			t.Errorf("%s: passed over after %v, want %v to %v", tt.name, passed, tt.least, tt.longest)
		}
	}
}

func TestOneProxyOfAListIsPassedOverAtATime(t *testing.T) {
	c := New(2, 1)
	var a, b Standing
	members := []Member{{Label: "a", Standing: &a}, {Label: "b", Standing: &b}}
	zero := func() float64 { return 0 }
	c.Review(members[1:], 3, 0, zero) // b fails first
	c.Review(members, 3, time.Second, zero)
	if r := c.Review(members, 3, time.Minute, zero); r.Passed != 1 || a.out || !b.out {
		t.Errorf("%+v, want the one that failed first", r)
	}
}

func TestReviewsAreASecondApartAndNoneWhereAllAreUsed(t *testing.T) {
	c, all := New(2, 1), New(All, 1)
	reviews := 0
	for now := time.Duration(0); now < 10*time.Second; now += 100 * time.Millisecond {
		if c.Due(now) {
			reviews++
		}
		if all.Due(now) {
			t.Fatal("a review where all proxies are used")
		}
	}
	if reviews != 10 {
		t.Errorf("%d reviews in 10 s", reviews)
	}
}

func TestListThatIsShortEnoughIsUsedAsItIs(t *testing.T) {
	c := New(2, 1)
	targets := names.AsGiven([]string{"b", "a"})
	use, reserve := c.Choose("", targets, func(string) *Standing { t.Error("a standing is asked for"); return nil })
	if !slices.Equal(use, targets) || reserve != 0 {
		t.Errorf("%v with a reserve of %d", use, reserve)
	}
	out := Standing{out: true, until: time.Hour}
	use, reserve = c.Choose("", names.AsGiven([]string{"a", "b", "c", "d"}), func(label string) *Standing {
		if label == "b" {
			return &out
		}
		return nil
	})
	if len(use) != 2 || reserve != 1 || slices.Contains(use, names.Target{Label: "b", Addr: "b"}) {
		t.Errorf("%v with a reserve of %d, want two without b, and one", use, reserve)
	}
}
