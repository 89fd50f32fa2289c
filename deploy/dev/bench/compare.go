package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A comparison runs the same row with two programs, old and new, in turn. Everything in this file is arithmetic on the
// results; see pairs.go for the runs.

// The bounds of the rule. A row is worse when the median of new/old is beyond its bound and both quartiles lie on the
// same side of 1. Allocations have no such margin: see allocsVerdict.
const (
	leastRate, mostRate = 0.97, 1.03
	leastCPU, mostCPU   = 0.97, 1.03
	recordResolution    = 0.001 // allocations per record
	packResolution      = 0.1   // allocations per pack; one allocation more in a pack is 1
)

// measured is one run of a row.
type measured struct {
	Rate      float64 `json:"rate"` // records per second
	CPU       float64 `json:"cpu"`  // CPU seconds per million records
	PerRecord float64 `json:"allocs_per_record"`
	PerPack   float64 `json:"allocs_per_pack"`
	RSS       float64 `json:"rss_mib"` // peak, which decides nothing
}

// check refuses a run of which something was not measured: no ratio with it would mean anything.
func (m *measured) check() error {
	for _, one := range []struct {
		name  string
		value float64
	}{{"rate", m.Rate}, {"CPU", m.CPU}, {"allocs/record", m.PerRecord}, {"allocs/pack", m.PerPack}} {
		if !(one.value > 0) || math.IsInf(one.value, 0) {
			return fmt.Errorf("%s is %v; want more than 0 (hint: a longer run, -time or -mib)", one.name, one.value)
		}
	}
	return nil
}

// pair is one round: both programs, one right after the other.
type pair struct {
	Old measured `json:"old"`
	New measured `json:"new"`
}

// verdict says how new compares with old.
type verdict string

const (
	better    verdict = "better"
	same      verdict = "same"
	worse     verdict = "worse"
	undecided verdict = "undecided" // the median is beyond the bound, but the quartiles lie on both sides of 1
)

// quartiles of some values.
type quartiles struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

// quantile interpolates between the neighbours of the place that has so much of the sorted values below it.
func quantile(sorted []float64, part float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	pos := part * float64(len(sorted)-1)
	low := int(pos)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(pos-float64(low))
}

func quartilesOf(values []float64) quartiles {
	v := slices.Sorted(slices.Values(values))
	return quartiles{Median: quantile(v, 0.5), Q1: quantile(v, 0.25), Q3: quantile(v, 0.75)}
}

func (q quartiles) String() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", q.Median, q.Q1, q.Q3) }

// ratioVerdict judges a rate or CPU time by its new/old in each round. rising is better or worse: what a greater value
// means.
func ratioVerdict(ratios []float64, least, most float64, rising verdict) verdict {
	falling := better
	if rising == better {
		falling = worse
	}
	q := quartilesOf(ratios)
	above, below := q.Median > most, q.Median < least
	switch {
	case above && q.Q1 > 1:
		return rising
	case below && q.Q3 < 1:
		return falling
	case above && rising == worse, below && falling == worse:
		return undecided
	}
	return same
}

// allocsVerdict judges allocations by new-old in each round. They hardly depend on how busy the machine is, so nothing is
// allowed beyond what a run resolves; what scatters anyway must show in nine rounds of ten.
func allocsVerdict(rises []float64, resolution float64) verdict {
	v := slices.Sorted(slices.Values(rises))
	median := quantile(v, 0.5)
	switch {
	case median > resolution && quantile(v, 0.1) > 0:
		return worse
	case median > resolution && quantile(v, 0.25) > 0:
		return undecided
	case median < -resolution && quantile(v, 0.9) < 0:
		return better
	}
	return same
}

// judgement is what the rounds of one row say.
type judgement struct {
	verdict   verdict
	because   []string  // the measurements that led to the verdict
	rate, cpu quartiles // of new/old
	old, new  measured  // medians
}

// judge applies the rule to the rounds of one row. No measurement makes up for another: one that is worse makes the row
// worse, and one that is undecided makes it undecided.
func judge(pairs []pair) judgement {
	of := func(f func(p *pair) float64) []float64 {
		values := make([]float64, len(pairs))
		for i := range pairs {
			values[i] = f(&pairs[i])
		}
		return values
	}
	medians := func(side func(p *pair) *measured) measured {
		median := func(f func(m *measured) float64) float64 {
			return quartilesOf(of(func(p *pair) float64 { return f(side(p)) })).Median
		}
		return measured{
			Rate:      median(func(m *measured) float64 { return m.Rate }),
			CPU:       median(func(m *measured) float64 { return m.CPU }),
			PerRecord: median(func(m *measured) float64 { return m.PerRecord }),
			PerPack:   median(func(m *measured) float64 { return m.PerPack }),
			RSS:       median(func(m *measured) float64 { return m.RSS }),
		}
	}
	rate := of(func(p *pair) float64 { return p.New.Rate / p.Old.Rate })
	cpu := of(func(p *pair) float64 { return p.New.CPU / p.Old.CPU })
	j := judgement{
		verdict: same, rate: quartilesOf(rate), cpu: quartilesOf(cpu),
		old: medians(func(p *pair) *measured { return &p.Old }), new: medians(func(p *pair) *measured { return &p.New }),
	}
	each := []struct {
		name    string
		verdict verdict
	}{
		{"rate", ratioVerdict(rate, leastRate, mostRate, better)},
		{"CPU", ratioVerdict(cpu, leastCPU, mostCPU, worse)},
		{"allocs/record", allocsVerdict(of(func(p *pair) float64 { return p.New.PerRecord - p.Old.PerRecord }), recordResolution)},
		{"allocs/pack", allocsVerdict(of(func(p *pair) float64 { return p.New.PerPack - p.Old.PerPack }), packResolution)},
	}
	for _, v := range []verdict{worse, undecided, better} {
		for _, one := range each {
			if one.verdict == v {
				j.verdict, j.because = v, append(j.because, one.name)
			}
		}
		if j.verdict != same {
			break
		}
	}
	return j
}

func (j *judgement) String() string {
	if len(j.because) == 0 {
		return string(j.verdict)
	}
	return fmt.Sprintf("%s (%s)", j.verdict, strings.Join(j.because, ", "))
}

// compared is a row with its rounds.
type compared struct {
	name  string
	pairs []pair
	err   error // why the row could not be measured, nil if it could
}

// report is a Markdown table of the rows, and an error that names those that are worse or could not be measured.
func report(rows []compared) (text string, err error) {
	var out strings.Builder
	fmt.Fprintln(&out, "| work | rounds | rate, new/old (quartiles) | CPU, new/old (quartiles) | allocs/record | allocs/pack | RSS MiB | verdict |")
	fmt.Fprintln(&out, "|---|---:|---|---|---|---|---|---|")
	named := map[verdict][]string{}
	var failed []string
	short := false
	for _, r := range rows {
		if r.err != nil {
			fmt.Fprintf(&out, "| %s | failed: %s | | | | | | |\n", r.name, strings.ReplaceAll(r.err.Error(), "\n", "; "))
			failed = append(failed, r.name)
			continue
		}
		j := judge(r.pairs)
		fmt.Fprintf(&out, "| %s | %d | %s | %s | %.3f -> %.3f | %.1f -> %.1f | %.0f -> %.0f | %s |\n", r.name, len(r.pairs), j.rate, j.cpu,
			j.old.PerRecord, j.new.PerRecord, j.old.PerPack, j.new.PerPack, j.old.RSS, j.new.RSS, j.String())
		named[j.verdict] = append(named[j.verdict], fmt.Sprintf("%s (%s)", r.name, strings.Join(j.because, ", ")))
		short = short || len(r.pairs) < comparedRounds
	}
	if short {
		fmt.Fprintf(&out, "\nFewer than %d rounds: read the figures, not the verdicts.\n", comparedRounds)
	}
	if names := named[undecided]; len(names) > 0 {
		fmt.Fprintf(&out, "\nUndecided: %s. More rounds decide: -only and -rounds.\n", strings.Join(names, "; "))
	}
	if names := named[worse]; len(names) > 0 {
		err = fmt.Errorf("%d of %d rows are worse: %s", len(names), len(rows), strings.Join(names, "; "))
	}
	if len(failed) > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d rows were not measured: %s", len(failed), len(rows), strings.Join(failed, ", ")))
	}
	return out.String(), err
}
