package sdk

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
			c.standing = standing{out: true, until: time.Hour}
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
	a := &all[0].standing
	a.seen(false, 0)
	a.passOver(time.Minute, 0)
	want("a is passed over", "bc+2")
	if a.back(time.Minute + 4*time.Minute) {
		t.Error("a is back before its time")
	}
	if !a.back(time.Minute + 5*time.Minute) {
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
	a := standing{times: times}
	a.passOver(0, 0)
	return a.until
}
