package main

import (
	"cmp"
	"slices"
	"time"
)

// process is one sender process: who sends what. Equal ones are run once in a round.
type process struct {
	raw  bool
	work work
}

// row is one line of the table: a sender, what it is compared with, and what must be reached.
type row struct {
	name      string
	of        process
	reference process
	minRate   float64 // least ratio of the rates; 0 for no goal
	maxCPU    float64 // greatest ratio of CPU time per record; 0 for no goal
	maxRSS    float64 // MiB; 0 for no goal
	minShrunk float64 // payload bytes for a byte on the wire; 0 for no goal
}

// rows of the table. Those that are compared stand side by side, so that they run side by side.
func rows(seed uint64, l length) []row {
	of := func(corpus string, change func(*work)) process {
		p := process{work: work{Corpus: corpus, Seed: seed, Streams: 1, Length: l}}
		if change != nil {
			change(&p.work)
		}
		return p
	}
	raw := func(p process) process { p.raw = true; return p }
	plain := func(w *work) { w.Plain = true }
	async := func(w *work) { w.Async = true }
	bound := func(w *work) { w.Rate = 32 << 20 }
	boundFast := func(w *work) { w.Rate, w.Snappy = 32<<20, true }
	kib, event := of("json1k", nil), of("json100", nil)
	return []row{
		{name: "1 KiB JSON, batch API", of: kib, reference: raw(kib), minRate: 0.90, maxCPU: 1.10},
		{name: "1 KiB, memory at full speed (MiB)", of: kib, reference: raw(kib), maxRSS: 96},
		{name: "1 KiB, 20 ms ack delay, to its own rate without", minRate: 0.95, reference: kib,
			of: of("json1k", func(w *work) { w.Delay = 20 * time.Millisecond })},
		{name: "the raw sender with the same delay, to its own rate without (no goal)", reference: raw(kib),
			of: raw(of("json1k", func(w *work) { w.Delay = 20 * time.Millisecond }))},
		{name: "1 KiB, 32 MiB/s on the wire, to its own rate with the fast encoder", minRate: 1.03, reference: of("json1k", boundFast),
			of: of("json1k", bound)},
		{name: "100 B, 32 MiB/s on the wire, to its own rate with the fast encoder", minRate: 1.03, reference: of("json100", boundFast),
			of: of("json100", bound)},
		{name: "1 KiB of log lines, 32 MiB/s on the wire, to its own rate with the fast encoder", minRate: 1.03, minShrunk: 3.3,
			reference: of("log1k", boundFast), of: of("log1k", bound)},
		{name: "1 KiB, settle, to its own rate with ack", minRate: 0.97, reference: kib,
			of: of("json1k", func(w *work) { w.Settle = settleFor(l) })},
		{name: "1 KiB, 1,000 streams, records round-robin, to its own rate with one stream", minRate: 0.70, reference: of("json1k", async),
			of: of("json1k", func(w *work) { w.Async, w.Streams = true, 1000 })},
		{name: "the same, to its own rate with one stream in batches (no goal)", reference: kib,
			of: of("json1k", func(w *work) { w.Async, w.Streams = true, 1000 })},
		{name: "1 KiB, no compression", of: of("json1k", plain), reference: raw(of("json1k", plain)), minRate: 0.75},
		{name: "100 B, batch API", of: event, reference: raw(event), minRate: 0.92, maxCPU: 1.08},
		{name: "100 B, SendAsync with a callback each", of: of("json100", async), reference: raw(event), minRate: 0.80, maxCPU: 1.30},
		{name: "10 KiB", of: of("json10k", nil), reference: raw(of("json10k", nil)), minRate: 0.90},
		{name: "1 KiB random (no goal)", of: of("rand1k", nil), reference: raw(of("rand1k", nil))},
	}
}

// settleFor is a settle that is over several times within a run, so that what it costs to make packs
// final is measured too. The default would be longer than most runs.
func settleFor(l length) time.Duration {
	if l.Time == 0 {
		return 200 * time.Millisecond
	}
	return min(max(l.Time/8, 50*time.Millisecond), 10*time.Second)
}

// processes returns what the rows need, each one once, in the order of the rows.
func processes(rows []row) []process {
	var all []process
	for _, r := range rows {
		for _, p := range []process{r.reference, r.of} {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// outcome is one line of sender.json. Ratios are medians of the rounds' own ratios, so that a machine
// which is slower in one round than in another does not show.
type outcome struct {
	Work      string  `json:"work"`
	OursRate  float64 `json:"ours_rate"`  // records per second
	RawRate   float64 `json:"raw_rate"`   // of the raw sender at the same work, or at that of the reference
	RateRatio float64 `json:"rate_ratio"` // to the reference, which the name of the work says if it is not the raw sender
	CPURatio  float64 `json:"cpu_ratio"`  // the same, of CPU time per record
	RSSMiB    float64 `json:"rss_mib"`    // peak
	Shrunk    float64 `json:"-"`          // payload bytes for a byte on the wire
	Goal      float64 `json:"goal"`       // least rate_ratio, or most rss_mib for the row about memory
	Met       bool    `json:"met"`

	rate, cpu, rss spread
	cpuPerMillion  float64
	mallocs        float64
	row            row
}

// spread is the median of some measurements, with the least and the greatest.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (v[len(v)/2-1] + mid) / 2
	}
	return spread{median: mid, least: v[0], most: v[len(v)-1]}
}

// evaluate compares the results of all rounds: results[p][i] is p's in round i.
func evaluate(rows []row, results map[process][]result) []outcome {
	out := make([]outcome, 0, len(rows))
	for _, r := range rows {
		var rate, cpu, rss, oursRate, rawRate, cost, mallocs, shrunk []float64
		raw := r.reference
		raw.raw = true
		for i := range results[r.of] {
			of, ref := &results[r.of][i], &results[r.reference][i]
			rate = append(rate, of.rate()/ref.rate())
			cpu = append(cpu, of.cpuPerMillion()/ref.cpuPerMillion())
			rss = append(rss, of.rssMiB())
			oursRate = append(oursRate, of.rate())
			cost = append(cost, of.cpuPerMillion())
			mallocs = append(mallocs, of.mallocsPerRec())
			shrunk = append(shrunk, of.shrunk)
			if i < len(results[raw]) {
				rawRate = append(rawRate, results[raw][i].rate())
			}
		}
		o := outcome{
			Work: r.name, OursRate: spreadOf(oursRate).median, RawRate: spreadOf(rawRate).median, Goal: cmp.Or(r.minRate, r.maxRSS),
			rate: spreadOf(rate), cpu: spreadOf(cpu), rss: spreadOf(rss),
			cpuPerMillion: spreadOf(cost).median, mallocs: spreadOf(mallocs).median, row: r,
		}
		o.RateRatio, o.CPURatio, o.RSSMiB, o.Shrunk = o.rate.median, o.cpu.median, o.rss.median, spreadOf(shrunk).median
		o.Met = (r.minRate == 0 || o.RateRatio >= r.minRate) &&
			(r.maxCPU == 0 || o.CPURatio <= r.maxCPU) &&
			(r.maxRSS == 0 || o.RSSMiB > 0 && o.RSSMiB <= r.maxRSS) &&
			o.Shrunk >= r.minShrunk
		out = append(out, o)
	}
	return out
}
