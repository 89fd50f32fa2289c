package main

import (
	"context"
	"errors"
	"log"
	"math"
	"slices"
	"strings"
	"testing"
)

// rounds makes pairs of which the old side is the same in each round and the new side's rate, CPU and allocations are
// multiples of it.
func rounds(rate, cpu []float64, perRecord, perPack float64) []pair {
	var out []pair
	for i := range rate {
		of := measured{Rate: 1000, CPU: 2, PerRecord: 0.010, PerPack: 2.5}
		with := measured{Rate: 1000 * rate[i], CPU: 2 * cpu[i], PerRecord: 0.010 + perRecord, PerPack: 2.5 + perPack}
		out = append(out, pair{of, with})
	}
	return out
}

func repeat(v float64) []float64 { return slices.Repeat([]float64{v}, 10) }

func TestJudgeFollowsTheRule(t *testing.T) {
	// Ten rounds each. low has its median at 0.96 and both quartiles below 1, astride has the median at 0.96 and its upper
	// quartile above 1; high and astrideUp are the same above 1.
	low := []float64{0.94, 0.94, 0.95, 0.95, 0.96, 0.96, 0.97, 0.97, 0.98, 1.10}
	astride := []float64{0.90, 0.92, 0.93, 0.94, 0.95, 0.97, 1.00, 1.02, 1.03, 1.05}
	high := []float64{1.02, 1.03, 1.03, 1.04, 1.04, 1.04, 1.05, 1.05, 1.06, 0.90}
	astrideUp := []float64{0.95, 0.97, 0.98, 1.00, 1.03, 1.05, 1.06, 1.07, 1.08, 1.10}
	for _, tt := range []struct {
		name               string
		rate, cpu          []float64
		perRecord, perPack float64
		want               verdict
		because            string
	}{
		{"nothing changed", repeat(1), repeat(1), 0, 0, same, ""},
		{"a rate at the bound is allowed", repeat(0.97), repeat(1), 0, 0, same, ""},
		{"a rate just below the bound is not", repeat(0.9699), repeat(1), 0, 0, worse, "rate"},
		{"one disturbed round does not hide a slower row", low, repeat(1), 0, 0, worse, "rate"},
		{"a slower median with quartiles on both sides of 1 decides nothing", astride, repeat(1), 0, 0, undecided, "rate"},
		{"one disturbed round does not make a row slower", append(repeat(1)[:9:9], 0.2), repeat(1), 0, 0, same, ""},
		{"CPU at the bound is allowed", repeat(1), repeat(1.03), 0, 0, same, ""},
		{"CPU above the bound is not", repeat(1), repeat(1.031), 0, 0, worse, "CPU"},
		{"more CPU with quartiles on one side of 1", repeat(1), high, 0, 0, worse, "CPU"},
		{"more CPU with quartiles on both sides of 1 decides nothing", repeat(1), astrideUp, 0, 0, undecided, "CPU"},
		{"a better rate does not pay for CPU", repeat(1.2), repeat(1.1), 0, 0, worse, "CPU"},
		{"a better CPU does not pay for the rate", repeat(0.9), repeat(0.8), 0, 0, worse, "rate"},
		{"less CPU at the same rate", repeat(1), repeat(0.9), 0, 0, better, "CPU"},
		{"a higher rate", high, repeat(1), 0, 0, better, "rate"},
		{"a higher rate that some rounds do not show", astrideUp, repeat(1), 0, 0, same, ""},
		{"one more allocation for each record", repeat(1), repeat(1), 1, 250, worse, "allocs/record, allocs/pack"},
		{"one more allocation for each pack of 2,500 records", repeat(1), repeat(1), 0.0004, 1, worse, "allocs/pack"},
		{"smaller packs: more for each record, as many for each pack", repeat(1), repeat(1), 0.005, 0, worse, "allocs/record"},
		{"an allocation too many is not paid for by a better rate", repeat(1.2), repeat(0.8), 0.004, 1, worse, "allocs/record, allocs/pack"},
		{"fewer allocations", repeat(1), repeat(1), -0.004, -1, better, "allocs/record, allocs/pack"},
		{"allocations below what a run resolves", repeat(1), repeat(1), 0.0004, 0.04, same, ""},
		{"worse in one thing and undecided in another", repeat(0.9), astrideUp, 0, 0, worse, "rate"},
		{"undecided in one thing and better in another", astride, repeat(0.8), 0, 0, undecided, "rate"},
	} {
		got := judge(rounds(tt.rate, tt.cpu, tt.perRecord, tt.perPack))
		if got.verdict != tt.want || strings.Join(got.because, ", ") != tt.because {
			t.Errorf("%s: %s because of %q, want %s because of %q", tt.name, got.verdict, got.because, tt.want, tt.because)
		}
	}
}

// Allocations that scatter between rounds: a rise counts if nine rounds of ten show it, and is undecided if three of four do.
func TestJudgeAllocationsThatScatter(t *testing.T) {
	old := []float64{0.070, 0.072, 0.074, 0.071, 0.087, 0.070, 0.073, 0.075, 0.070, 0.072}
	for _, tt := range []struct {
		name string
		rise []float64 // in each round
		want verdict
	}{
		{"as many up as down", []float64{0.004, -0.004, 0.004, -0.004, 0.004, -0.004, 0.017, -0.017, 0.003, -0.003}, same},
		{"up in six of ten", []float64{0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.01, 0.01}, same},
		{"up in eight of ten", []float64{0.01, 0.01, 0.01, -0.01, 0.01, 0.01, 0.01, -0.01, 0.01, 0.01}, undecided},
		{"up in all", repeat(0.01), worse},
		{"up in all but one, where another program was in the way", append(repeat(0.01)[:9:9], -0.002), worse},
		{"down in eight of ten", []float64{-0.01, -0.01, -0.01, 0.01, -0.01, -0.01, -0.01, 0.01, -0.01, -0.01}, same},
		{"down in all", repeat(-0.01), better},
	} {
		record, pack := make([]pair, len(old)), make([]pair, len(old))
		for i := range old {
			of, with := measured{Rate: 1, CPU: 1, PerRecord: old[i], PerPack: 2}, measured{Rate: 1, CPU: 1, PerRecord: old[i] + tt.rise[i], PerPack: 2}
			record[i] = pair{of, with}
			of, with = measured{Rate: 1, CPU: 1, PerRecord: 2, PerPack: 100 * old[i]}, measured{Rate: 1, CPU: 1, PerRecord: 2, PerPack: 100 * (old[i] + tt.rise[i])}
			pack[i] = pair{of, with}
		}
		for what, pairs := range map[string][]pair{"allocs/record": record, "allocs/pack": pack} {
			got := judge(pairs)
			if got.verdict != tt.want || tt.want != same && !slices.Equal(got.because, []string{what}) {
				t.Errorf("%s, %s: %s, want %s", tt.name, what, got.String(), tt.want)
			}
		}
	}
}

func TestRatiosPairTheSidesOfARound(t *testing.T) {
	// The machine is ten times slower in the second half; new is 0.9 of old in each round.
	var pairs []pair
	for i := range 10 {
		speed := 1000.0
		if i >= 5 {
			speed = 100
		}
		pairs = append(pairs, pair{measured{Rate: speed, CPU: 1, PerRecord: 1, PerPack: 1}, measured{Rate: 0.9 * speed, CPU: 1, PerRecord: 1, PerPack: 1}})
	}
	got := judge(pairs)
	if got.verdict != worse || math.Abs(got.rate.Median-0.9) > 1e-9 || math.Abs(got.rate.Q3-0.9) > 1e-9 {
		t.Errorf("%s with rates %+v, want worse with 0.9 in each round", got.verdict, got.rate)
	}
}

func TestOnlyRowsThatMayBeWorseAreRunAgain(t *testing.T) {
	steady, slow := measured{Rate: 100, CPU: 1, PerRecord: 1, PerPack: 1}, measured{Rate: 50, CPU: 1, PerRecord: 1, PerPack: 1}
	runs := map[string]int{}
	alternate := func(name string, of ...measured) job {
		return job{name, func(_ context.Context, program string) (measured, error) {
			if program == "base" {
				return steady, nil
			}
			runs[name]++
			return of[min(runs[name]-1, len(of)-1)], nil
		}}
	}
	// unlucky is slow in the first three rounds and never again.
	jobs := []job{alternate("steady", steady), alternate("unlucky", slow, slow, slow, steady), alternate("slow", slow)}
	rows, err := runPairs(t.Context(), jobs, "base", "new", 3, 2, log.New(t.Output(), "", 0))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		rounds  int
		verdict verdict
	}{{3, same}, {9, same}, {9, worse}} {
		if got := judge(rows[i].pairs); len(rows[i].pairs) != want.rounds || got.verdict != want.verdict {
			t.Errorf("%s: %s after %d rounds, want %s after %d", rows[i].name, got.String(), len(rows[i].pairs), want.verdict, want.rounds)
		}
	}
}

func TestOldAndNewTakeTurns(t *testing.T) {
	var order []string
	one := func(name string) job {
		return job{name, func(_ context.Context, program string) (measured, error) {
			side := "new"
			if program == "base" {
				side = "old"
			}
			order = append(order, name+" "+side)
			return measured{Rate: 1, CPU: 1, PerRecord: 1, PerPack: 1}, nil
		}}
	}
	if _, err := runPairs(t.Context(), []job{one("a"), one("b")}, "base", "new", 2, 0, log.New(t.Output(), "", 0)); err != nil {
		t.Fatal(err)
	}
	want := []string{"a old", "a new", "b new", "b old", "b old", "b new", "a new", "a old"}
	if !slices.Equal(order, want) {
		t.Errorf("the order is %q, want %q", order, want)
	}
}

// A long comparison does not end because one run of many was disturbed, or one row cannot be measured: that row is named
// with the reason, and the others count.
func TestARowThatFailsDoesNotEndTheComparison(t *testing.T) {
	good := measured{Rate: 1, CPU: 1, PerRecord: 1, PerPack: 1}
	runs := map[string]int{}
	failing := func(name string, fails func(run int) bool, err error) job {
		return job{name, func(context.Context, string) (measured, error) {
			if runs[name]++; !fails(runs[name]) {
				return good, nil
			}
			if err == nil {
				return measured{Rate: 1}, nil // nothing else was measured
			}
			return measured{}, err
		}}
	}
	jobs := []job{
		failing("flaky", func(run int) bool { return run == 2 }, errors.New("disturbed")),
		failing("broken", func(run int) bool { return run > 2 }, errors.New("no broker")),
		failing("empty", func(int) bool { return true }, nil),
		failing("steady", func(int) bool { return false }, nil),
	}
	rows, err := runPairs(t.Context(), jobs, "base", "new", 3, 1, log.New(t.Output(), "", 0))
	if err != nil || len(rows) != 4 {
		t.Fatalf("%+v, %v; want all four rows", rows, err)
	}
	for i, want := range []struct {
		rounds, runs int
		err          string
	}{{3, 8, ""}, {1, 2 + roundTries, "no broker"}, {0, roundTries, "CPU is 0"}, {3, 6, ""}} {
		r := rows[i]
		if len(r.pairs) != want.rounds || runs[r.name] != want.runs || (r.err == nil) != (want.err == "") || r.err != nil && !strings.Contains(r.err.Error(), want.err) {
			t.Errorf("%s: %d rounds from %d runs, error %v; want %d from %d, %q", r.name, len(r.pairs), runs[r.name], r.err, want.rounds, want.runs, want.err)
		}
	}
	text, err := report(rows)
	if err == nil || !strings.Contains(err.Error(), "2 of 4 rows were not measured: broken, empty") {
		t.Errorf("error %v, want one that names the two rows", err)
	}
	if !strings.Contains(text, "| steady | 3 |") || !strings.Contains(text, "| empty | failed: ") || !strings.Contains(text, "| broken | failed: ") {
		t.Errorf("the report is\n%s", text)
	}

	ctx, cancel := context.WithCancel(t.Context())
	rows, err = runPairs(ctx, []job{jobs[3], {"interrupted", func(context.Context, string) (measured, error) {
		cancel()
		return measured{}, ctx.Err()
	}}}, "base", "new", 3, 1, log.New(t.Output(), "", 0))
	if !errors.Is(err, context.Canceled) || len(rows) != 2 || len(rows[0].pairs) != 1 {
		t.Errorf("interrupted: %+v, %v; want the one complete round and that it was interrupted", rows, err)
	}
}

func TestQuartiles(t *testing.T) {
	for _, tt := range []struct {
		values         []float64
		q1, median, q3 float64
	}{
		{[]float64{7}, 7, 7, 7},
		{[]float64{4, 1, 3, 2, 5}, 2, 3, 4},
		{[]float64{4, 1, 3, 2}, 1.75, 2.5, 3.25},
	} {
		if got := quartilesOf(tt.values); got != (quartiles{tt.median, tt.q1, tt.q3}) {
			t.Errorf("%v: %+v, want %v, %v, %v", tt.values, got, tt.q1, tt.median, tt.q3)
		}
	}
}

func TestMeasuredNothingIsAnError(t *testing.T) {
	good := measured{Rate: 1, CPU: 1, PerRecord: 1, PerPack: 1}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*measured){
		"rate":               func(m *measured) { m.Rate = 0 },
		"CPU":                func(m *measured) { m.CPU = math.NaN() },
		"allocs/record":      func(m *measured) { m.PerRecord = 0 },
		"allocs/pack":        func(m *measured) { m.PerPack = math.Inf(1) },
		"a rate without end": func(m *measured) { m.Rate = math.Inf(1) },
	} {
		m := good
		change(&m)
		if err := m.check(); err == nil {
			t.Errorf("%s: %+v gives no error", name, m)
		}
	}
}

func TestComparisonNamesWhatIsWorseAndWhatIsUndecided(t *testing.T) {
	astride := []float64{0.90, 0.92, 0.93, 0.94, 0.95, 0.97, 1.00, 1.02, 1.03, 1.05}
	rows := []compared{
		{name: "steady", pairs: rounds(repeat(1), repeat(1), 0, 0)},
		{name: "slow", pairs: rounds(repeat(0.5), repeat(1), 0, 0)},
		{name: "noisy", pairs: rounds(astride, repeat(1), 0, 0)},
	}
	text, err := report(rows)
	if err == nil || !strings.Contains(err.Error(), "slow (rate)") || strings.Contains(err.Error(), "noisy") || strings.Contains(err.Error(), "steady") {
		t.Errorf("error %v, want one that names the row slow alone", err)
	}
	for _, want := range []string{"| slow | 10 | 0.500 (0.500 to 0.500) |", "worse (rate)", "Undecided: noisy (rate)", "0.010 -> 0.010", "2.5 -> 2.5"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report has no %q:\n%s", want, text)
		}
	}
	if text, err := report([]compared{{name: "short", pairs: rows[0].pairs[:9]}}); err != nil || !strings.Contains(text, "Fewer than 10 rounds") {
		t.Errorf("nine rounds: %v and\n%s", err, text)
	}
	if text, err := report(rows[:1]); err != nil || strings.Contains(text, "Fewer than") || strings.Contains(text, "Undecided") {
		t.Errorf("a row that is the same: %v and\n%s", err, text)
	}
	if _, err := report(rows[2:]); err != nil {
		t.Errorf("a row that is undecided is no error, got %v", err)
	}
}
