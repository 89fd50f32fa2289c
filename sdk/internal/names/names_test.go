package names_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/internal/names"
)

func addrs(texts ...string) (addrs []netip.Addr) {
	for _, t := range texts {
		addrs = append(addrs, netip.MustParseAddr(t))
	}
	return addrs
}

func unconnected(string) bool { return false }

// answer asks for the name of dp:1 and takes over an answer.
func answer(t *testing.T, table *names.Table, connected func(string) bool, err error, as ...string) (changed bool) {
	t.Helper()
	qs := table.Questions(func(string) bool { return true }, true)
	if len(qs) != 1 || qs[0].Addr != "dp:1" || qs[0].Host != "dp" {
		t.Fatalf("%d questions, want one about dp", len(qs))
	}
	qs[0].Addrs, qs[0].Err = addrs(as...), err
	return table.Answered(qs[0], connected)
}

func wantTargets(t *testing.T, table *names.Table, want ...string) {
	t.Helper()
	targets, _ := table.Targets([]string{"dp:1"})
	var got []string
	for _, tg := range targets {
		got = append(got, tg.Label+" -> "+tg.Addr)
	}
	if !slices.Equal(got, want) {
		t.Errorf("dp:1 stands for %q, want %q", got, want)
	}
}

func TestAddressesAndWhatIsNoneAreLeftToTheDial(t *testing.T) {
	table := names.New(slog.New(slog.DiscardHandler))
	given := []string{"10.0.0.1:1", "[::1]:1", "no port"}
	targets, fresh := table.Targets(given)
	if fresh || !slices.Equal(targets, names.AsGiven(given)) || len(targets) != 3 {
		t.Errorf("%v stand for %v, fresh %v", given, targets, fresh)
	}
	if qs := table.Questions(func(string) bool { return true }, true); len(qs) != 0 {
		t.Errorf("%d questions about addresses", len(qs))
	}
}

func TestNameStandsForNothingUntilItWasAskedFor(t *testing.T) {
	table := names.New(slog.New(slog.DiscardHandler))
	if targets, fresh := table.Targets([]string{"dp:1"}); !fresh || len(targets) != 0 {
		t.Errorf("a new name stands for %v, fresh %v", targets, fresh)
	}
	if _, fresh := table.Targets([]string{"dp:1"}); fresh {
		t.Error("the same name is new twice")
	}
	if !answer(t, table, unconnected, errors.New("no such host")) {
		t.Error("the first answer changes nothing")
	}
	wantTargets(t, table, "dp:1 -> dp:1") // left to the dial
	if answer(t, table, unconnected, nil, "10.0.0.1") {
		t.Error("one address changes what is dialled")
	}
	if qs := table.Questions(func(string) bool { return true }, false); len(qs) != 0 {
		t.Errorf("%d questions about names that have an answer", len(qs))
	}
}

func TestNameThatHadSeveralAddressesStaysSeveralTargets(t *testing.T) {
	table := names.New(slog.New(slog.DiscardHandler))
	table.Targets([]string{"dp:1"})
	answer(t, table, unconnected, nil, "10.0.0.2", "::ffff:10.0.0.1", "10.0.0.2")
	wantTargets(t, table, "dp:1 (10.0.0.1) -> 10.0.0.1:1", "dp:1 (10.0.0.2) -> 10.0.0.2:1")
	if answer(t, table, unconnected, errors.New("time-out")) {
		t.Error("no answer changes the addresses")
	}
	if !answer(t, table, unconnected, nil, "10.0.0.1") {
		t.Error("an address that went changes nothing")
	}
	wantTargets(t, table, "dp:1 (10.0.0.1) -> 10.0.0.1:1")
}

func TestConnectedAddressMayBeAbsentFromTwoAnswers(t *testing.T) {
	table := names.New(slog.New(slog.DiscardHandler))
	table.Targets([]string{"dp:1"})
	answer(t, table, unconnected, nil, "10.0.0.1", "10.0.0.2")
	connected := func(label string) bool { return label == "dp:1 (10.0.0.2)" }
	both := []string{"dp:1 (10.0.0.1) -> 10.0.0.1:1", "dp:1 (10.0.0.2) -> 10.0.0.2:1"}
	for range 2 { // being named between counts from the start
		answer(t, table, connected, nil, "10.0.0.1")
		answer(t, table, connected, nil, "10.0.0.1")
		wantTargets(t, table, both...)
		answer(t, table, connected, nil, "10.0.0.1", "10.0.0.2")
	}
	for range 3 {
		wantTargets(t, table, both...)
		answer(t, table, connected, nil, "10.0.0.1")
	}
	wantTargets(t, table, both[0])
}

func TestNameThatNoListUsesIsForgotten(t *testing.T) {
	table := names.New(slog.New(slog.DiscardHandler))
	table.Targets([]string{"dp:1"})
	answer(t, table, unconnected, nil, "10.0.0.1")
	table.Questions(func(string) bool { return false }, true)
	if _, fresh := table.Targets([]string{"dp:1"}); !fresh {
		t.Error("a name that no list used is still known")
	}
}

func TestNoMoreThan64AddressesAreUsedAndTheLogSaysSo(t *testing.T) {
	var log bytes.Buffer
	table := names.New(slog.New(slog.NewTextHandler(&log, nil)))
	table.Targets([]string{"dp:1"})
	var many []string
	for i := range 70 {
		many = append(many, fmt.Sprintf("10.0.0.%d", i+1))
	}
	answer(t, table, unconnected, nil, many...)
	if targets, _ := table.Targets([]string{"dp:1"}); len(targets) != 64 || !strings.Contains(log.String(), "addresses=70 used=64") {
		t.Errorf("%d of 70 addresses are used; the log says %q", len(targets), log.String())
	}
}

func TestFailureIsLoggedOnceAndItsEndToo(t *testing.T) {
	var log bytes.Buffer
	table := names.New(slog.New(slog.NewTextHandler(&log, nil)))
	table.Targets([]string{"dp:1"})
	for range 2 {
		for range 3 {
			answer(t, table, unconnected, errors.New("time-out"))
		}
		answer(t, table, unconnected, nil, "10.0.0.1")
	}
	if fails, ends := strings.Count(log.String(), "resolving the name of a proxy fails"), strings.Count(log.String(), "is resolved again"); fails != 2 || ends != 2 {
		t.Errorf("%d failures and %d ends are logged, want 2 and 2:\n%s", fails, ends, log.String())
	}
}

func TestQuestionsAreAskedAtOnceAndEndWithTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		qs := []*names.Question{{Host: "good"}, {Host: "empty"}, {Host: "slow"}, {Host: "slow"}}
		start := time.Now()
		names.Ask(t.Context(), qs, func(ctx context.Context, host string) ([]netip.Addr, error) {
			switch host {
			case "good":
				return addrs("10.0.0.1"), nil
			case "slow":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, nil
		}, 3*time.Second)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("asking took %v, want the time-out of one question", took)
		}
		if qs[0].Err != nil || !slices.Equal(qs[0].Addrs, addrs("10.0.0.1")) {
			t.Errorf("good: %v, %v", qs[0].Addrs, qs[0].Err)
		}
		if qs[1].Err == nil || !errors.Is(qs[2].Err, context.DeadlineExceeded) || !errors.Is(qs[3].Err, context.DeadlineExceeded) {
			t.Errorf("empty: %v, slow: %v and %v", qs[1].Err, qs[2].Err, qs[3].Err)
		}
	})
}

func TestLoopRoundsForNewNamesAtOnceAndForAllAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		wake, ended := make(chan struct{}, 1), make(chan struct{})
		var rounds []string
		start := time.Now()
		go func() {
			defer close(ended)
			names.Loop(ctx, wake, func() time.Duration { return time.Minute }, func(all bool) {
				rounds = append(rounds, fmt.Sprint(time.Since(start), all))
			})
		}()
		wake <- struct{}{}
		time.Sleep(2*time.Minute + time.Second)
		cancel()
		<-ended
		if want := []string{"0s false", "1m0s true", "2m0s true"}; !slices.Equal(rounds, want) {
			t.Errorf("rounds %q, want %q", rounds, want)
		}
	})
}
