package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime"
	"slices"
	"strings"
	"time"
)

// bridgeRow is one line of the table. Most compare a cell with another one; the rest measures in a way
// of its own.
type bridgeRow struct {
	name      string
	of        cell
	reference cell
	minRate   float64 // least ratio of the rates; 0 for no goal
	maxCPU    float64 // greatest ratio of CPU time per record; 0 for no goal
	maxRSS    float64 // MiB; 0 for no goal

	// Else: one round of it. fraction is set beside the cell it is relative to.
	special func(ctx context.Context, l *lab, seed uint64, s *specials) error
	judge   func(s *specials) bridgeOutcome
}

// limits are the goals of a row that compares two cells.
func (r *bridgeRow) limits() row { return row{minRate: r.minRate, maxCPU: r.maxCPU, maxRSS: r.maxRSS} }

// specials gathers what a row of its own kind measured, a value a round under each name.
type specials struct{ values map[string][]float64 }

func (s *specials) add(name string, v float64) { s.values[name] = append(s.values[name], v) }
func (s *specials) of(name string) spread      { return spreadOf(s.values[name]) }

// latencies adds the median and the 99th percentile of each subject, in milliseconds.
func (s *specials) latencies(subjects []string, measure func(subject string) (median, late time.Duration, err error)) error {
	for _, subject := range subjects {
		median, late, err := measure(subject)
		if err != nil {
			return err
		}
		s.add(subject+" p50", median.Seconds()*1e3)
		s.add(subject+" p99", late.Seconds()*1e3)
	}
	return nil
}

// bridgeOutcome is a row with what came out.
type bridgeOutcome struct {
	outcome
	text string // instead of the ratios
	goal string // in words
	note string // CPU of the others
}

// linger is the default of pack.linger.
const linger = 20 * time.Millisecond

func bridgeRows(seed uint64, mib int, pulsar, kafka string) []bridgeRow {
	sizes := map[string]int{"json100": 100, "json1k": 1 << 10, "json10k": 10 << 10}
	// A topic is filled with so many bytes of values, and measured until the last twentieth.
	filled := func(subject, corpus string, change func(*cell)) cell {
		n := mib << 20 / sizes[corpus]
		c := cell{subject: subject, spec: brokerSpec{Corpus: corpus, Seed: seed, Partitions: 4, Records: n}, records: n / 20 * 19}
		if change != nil {
			change(&c)
		}
		return c
	}
	endless := func(change func(*cell)) cell {
		c := filled("bridge", "json1k", nil)
		c.spec.Records = 0
		if change != nil {
			change(&c)
		}
		return c
	}
	codec := func(name string) func(*cell) { return func(c *cell) { c.spec.Codec = name } }
	keys := func(n int) func(*cell) { return func(c *cell) { c.spec.Keys = n } }
	kib := filled("bridge", "json1k", nil)
	rows := []bridgeRow{
		{name: "poll floor, 1 KiB (no goal)", of: filled("poll", "json1k", nil), reference: filled("floor", "json1k", nil)},
		{name: "1 KiB JSON, 4 partitions, 1 stream", of: kib, reference: filled("floor", "json1k", nil), minRate: 1.1, maxCPU: 1.05},
		{name: "1 KiB JSON, to the poll floor", of: kib, reference: filled("poll", "json1k", nil), minRate: 0.85},
		{name: "1 KiB, memory at full speed (MiB)", of: kib, reference: filled("floor", "json1k", nil), maxRSS: 128},
		{name: "poll floor, 100 B (no goal)", of: filled("poll", "json100", nil), reference: filled("floor", "json100", nil)},
		{name: "100 B", of: filled("bridge", "json100", nil), reference: filled("floor", "json100", nil), minRate: 0.9, maxCPU: 1.2},
		{name: "100 B, memory at full speed (MiB)", of: filled("bridge", "json100", nil), reference: filled("floor", "json100", nil), maxRSS: 160},
		{name: "10 KiB", of: filled("bridge", "json10k", nil), reference: filled("floor", "json10k", nil), minRate: 1.2},
	}
	for _, name := range []string{"snappy", "lz4", "zstd"} {
		rows = append(rows, bridgeRow{
			name: "1 KiB, " + name + " batches in Kafka", minRate: 1.05,
			of: filled("bridge", "json1k", codec(name)), reference: filled("floor", "json1k", codec(name)),
		})
	}
	rows = append(rows,
		bridgeRow{
			name: "1 KiB, route by key template over 1,000 streams, to its own rate with one", minRate: 0.75, maxCPU: 1.35,
			of: filled("bridge", "json1k", keys(1000)), reference: kib,
		},
		bridgeRow{
			name: "1 KiB, route by key template over 10,000 streams, to its own rate with one (no goal)",
			of:   filled("bridge", "json1k", keys(10_000)), reference: kib,
		},
		bridgeRow{
			name: "1 KiB, confirm: queue, to its own CPU with settle", maxCPU: 1.15,
			of: filled("bridge", "json1k", func(c *cell) { c.confirm = "queue" }), reference: kib,
		},
		onPulsar(filled("bridge", "json1k", func(c *cell) { c.confirm, c.pulsar = "queue", pulsar }), kib),
		latencyRow("50 %", 0.5, linger+3*time.Millisecond, linger+20*time.Millisecond),
		latencyRow("5 %", 0.05, 0, linger+10*time.Millisecond),
		bridgeRow{
			name: "idle, 500 partitions",
			special: func(ctx context.Context, l *lab, _ uint64, s *specials) error {
				core, rss, err := l.idle(ctx, 500, 10*time.Second)
				s.add("core", core)
				s.add("rss", float64(rss)/(1<<20))
				return err
			},
			judge: func(s *specials) bridgeOutcome {
				core, rss := s.of("core").median, s.of("rss").median
				return bridgeOutcome{
					outcome: outcome{RSSMiB: rss, Goal: 60, Met: core <= 0.01 && rss <= 60},
					text:    fmt.Sprintf("%.2f %% of a core", core*100), goal: "<= 1 % of a core, RSS <= 60",
				}
			},
		},
	)
	rows = append(rows, kafkaRows(kafka, filled)...)
	growth := func(name string, of, reference cell) bridgeRow {
		return bridgeRow{name: "growth: " + name, of: of, reference: reference, maxCPU: 1.2}
	}
	parts := func(n int) func(*cell) { return func(c *cell) { c.spec.Partitions = n } }
	proxies := func(n int) func(*cell) { return func(c *cell) { c.proxies = n } }
	// With 500 partitions in batches of 16 records a pack has some 16 pieces; the last fifth is measured. At
	// 500,000 pieces the bridge stops fetching.
	pieces := func(settle time.Duration) cell {
		return endless(func(c *cell) {
			c.spec.Partitions, c.settle, c.budget = 500, settle, "512MiB"
			c.records, c.warm = 16*440_000, 16*360_000
		})
	}
	// The same with as many packs: 8 records in each.
	packs := func(settle time.Duration) cell {
		return endless(func(c *cell) {
			c.pack, c.settle, c.budget = 8, settle, "512MiB"
			c.records, c.warm = 8*450_000, 8*370_000
		})
	}
	rows = append(rows, heldRows(filled)...)
	return append(rows,
		growth("500 partitions, to 1", endless(parts(500)), endless(parts(1))),
		growth("lag without end, to 1 M records", endless(nil), kib),
		growth("16 proxies, to 1", endless(proxies(16)), endless(nil)),
		bridgeRow{
			name: "growth: 360,000 to 440,000 pieces not final, to those of 1 s", maxCPU: 1.15,
			of: pieces(30 * time.Minute), reference: pieces(time.Second),
		},
		bridgeRow{name: "the same in as many packs (no goal)", of: packs(30 * time.Minute), reference: packs(time.Second)},
		bridgeRow{
			name: "catch-up: 5 M records behind, one of 100 partitions hot",
			special: func(ctx context.Context, l *lab, seed uint64, s *specials) error {
				least, most, hot, err := l.fairness(ctx, &brokerSpec{Corpus: "json1k", Seed: seed, Partitions: 100, Records: 5_000_000, Hot: 2_500_000})
				s.add("least", least)
				s.add("most", most)
				s.add("hot", hot)
				return err
			},
			judge: func(s *specials) bridgeOutcome {
				least, most, hot := s.of("least").median, s.of("most").median, s.of("hot").median
				return bridgeOutcome{
					outcome: outcome{RateRatio: least, Goal: 0.9, Met: least >= 0.9 && most <= 1.1 && hot <= 1.1},
					text:    fmt.Sprintf("shares %.2f to %.2f of the mean, the hot one %.2f", least, most, hot), goal: "0.90 to 1.10 of the mean",
				}
			},
		},
		bridgeRow{
			name: "1 to 4 bridges in a group, each held to half a core",
			special: func(ctx context.Context, l *lab, seed uint64, s *specials) error {
				for n := 1; n <= 4; n++ {
					rate, cores, err := l.groupRate(ctx, n, 3*time.Second, seed)
					if err != nil {
						return err
					}
					s.add(fmt.Sprint("rate", n), rate)
					s.add(fmt.Sprint("cores", n), cores)
				}
				return nil
			},
			judge: judgeGroup,
		},
	)
}

// onPulsar needs a Pulsar that somebody has started.
func onPulsar(of, settle cell) bridgeRow {
	r := bridgeRow{name: "1 KiB, confirm: queue on Pulsar, to its own CPU with settle", of: of, reference: settle, maxCPU: 1.35}
	if of.pulsar != "" {
		return r
	}
	return bridgeRow{
		name:    r.name,
		special: func(context.Context, *lab, uint64, *specials) error { return nil },
		judge: func(*specials) bridgeOutcome {
			return bridgeOutcome{text: "SKIPPED: needs a Pulsar, named by -pulsar", goal: "CPU <= 1.35"}
		},
	}
}

// latencyRow is the time from the producer to the ack at a part of the rate the bridge can do.
func latencyRow(name string, load float64, p50, p99 time.Duration) bridgeRow {
	return bridgeRow{
		name: "latency at " + name + " load, produce to ack",
		special: func(ctx context.Context, l *lab, seed uint64, s *specials) error {
			if l.full == 0 {
				c := cell{subject: "bridge", spec: brokerSpec{Corpus: "json1k", Seed: seed, Partitions: 4}, records: 1_000_000}
				r, err := l.run(ctx, &c, false)
				if err != nil {
					return err
				}
				l.full = r.rate()
			}
			return s.latencies([]string{"bridge", "floor"}, func(subject string) (median, late time.Duration, err error) {
				return l.latency(ctx, subject, int(l.full*load), 4*time.Second, seed)
			})
		},
		judge: func(s *specials) bridgeOutcome {
			median, late := s.of("bridge p50").median, s.of("bridge p99").median
			goal := fmt.Sprintf("p99 <= %v", p99)
			if p50 > 0 {
				goal = fmt.Sprintf("p50 <= %v, %s", p50, goal)
			}
			return bridgeOutcome{
				outcome: outcome{Goal: p99.Seconds() * 1e3, Met: late <= p99.Seconds()*1e3 && (p50 == 0 || median <= p50.Seconds()*1e3)},
				text: fmt.Sprintf("p50 %.1f ms, p99 %.1f ms; the floor bridge's %.1f and %.1f ms",
					median, late, s.of("floor p50").median, s.of("floor p99").median), goal: goal,
			}
		},
	}
}

// judgeGroup asks that each added bridge adds at least 0.9 of the first one's rate, until the cores are full: until what
// the first one and its part of broker and sink take does not fit in beside those before.
func judgeGroup(s *specials) bridgeOutcome {
	if len(s.values["rate1"]) == 0 {
		return bridgeOutcome{text: "SKIPPED: " + errNoQuota.Error(), goal: "+0.9 a bridge"}
	}
	first := s.of("rate1").median
	met, worst := true, 1.0
	parts := []string{thousands(first)}
	for n := 2; n <= 4; n++ {
		rate, before := s.of(fmt.Sprint("rate", n)).median, s.of(fmt.Sprint("rate", n-1)).median
		grown := (rate - before) / first
		text := fmt.Sprintf("%s (+%.2f)", thousands(rate), grown)
		if free := float64(runtime.NumCPU()) - s.of(fmt.Sprint("cores", n-1)).median; free < s.of("cores1").median {
			text += ", no core for it"
		} else {
			met = met && grown >= 0.9
			worst = min(worst, grown)
		}
		parts = append(parts, text)
	}
	return bridgeOutcome{
		outcome: outcome{OursRate: first, RateRatio: worst, Goal: 0.9, Met: met},
		text:    strings.Join(parts, "; "), goal: "+0.90 a bridge until the cores are full",
	}
}

// measureAll runs every cell once in each round, every other round backwards, and judges the rows.
func (l *lab) measureAll(ctx context.Context, rows []bridgeRow, rounds int, seed uint64, progress *log.Logger) ([]bridgeOutcome, error) {
	var cells []cell
	var own []int
	for i := range rows {
		if rows[i].special != nil {
			own = append(own, i)
			continue
		}
		for _, c := range []cell{rows[i].reference, rows[i].of} {
			if !slices.Contains(cells, c) {
				cells = append(cells, c)
			}
		}
	}
	cells = sortedByBroker(cells)
	results := make(map[cell][]cellResult)
	gathered := make(map[int]*specials)
	for _, i := range own {
		gathered[i] = &specials{values: make(map[string][]float64)}
	}
	for round := range rounds {
		for k := range cells {
			c := cells[k]
			if round%2 == 1 {
				c = cells[len(cells)-1-k]
			}
			r, err := l.run(ctx, &c, round == 0)
			if err != nil {
				return nil, fmt.Errorf("round %d of %d, %s: %w", round+1, rounds, c.String(), err)
			}
			results[c] = append(results[c], r)
			progress.Printf("round %d of %d  %-48s %10s rec/s  CPU s/M: %.2f, broker %.2f, sink %.2f, queue %.2f  %4.0f MiB", round+1, rounds, c.String(),
				thousands(r.rate()), r.perMillion(r.CPU), r.perMillion(r.Broker), r.perMillion(r.Sink), r.perMillion(r.Queue), float64(r.RSS)/(1<<20))
		}
		for _, i := range own {
			err := rows[i].special(ctx, l, seed, gathered[i])
			if errors.Is(err, errNoQuota) {
				progress.Printf("SKIPPED %s: %v", rows[i].name, err)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("round %d of %d, %s: %w", round+1, rounds, rows[i].name, err)
			}
			progress.Printf("round %d of %d  %s: %v", round+1, rounds, rows[i].name, gathered[i].values)
		}
	}
	out := make([]bridgeOutcome, len(rows))
	for i := range rows {
		if s := gathered[i]; s != nil {
			out[i] = rows[i].judge(s)
			out[i].Work = rows[i].name
			continue
		}
		out[i] = compare(&rows[i], results)
	}
	return out, nil
}

// sortedByBroker puts cells that read the same topic side by side, in the order of the first of each.
func sortedByBroker(cells []cell) []cell {
	var out []cell
	for i := range cells {
		if slices.Contains(out, cells[i]) {
			continue
		}
		for k := i; k < len(cells); k++ {
			if cells[k].spec == cells[i].spec {
				out = append(out, cells[k])
			}
		}
	}
	return out
}

// compare judges a row that compares two cells. Ratios are taken within a round.
func compare(r *bridgeRow, results map[cell][]cellResult) bridgeOutcome {
	var rate, cpu, rss, ours, other, cost, broker, sink, queue []float64
	for i := range results[r.of] {
		of, ref := &results[r.of][i], &results[r.reference][i]
		rate = append(rate, of.rate()/ref.rate())
		cpu = append(cpu, of.perMillion(of.CPU)/ref.perMillion(ref.CPU))
		rss = append(rss, float64(of.RSS)/(1<<20))
		ours, other = append(ours, of.rate()), append(other, ref.rate())
		cost = append(cost, of.perMillion(of.CPU))
		broker, sink, queue = append(broker, of.perMillion(of.Broker)), append(sink, of.perMillion(of.Sink)), append(queue, of.perMillion(of.Queue))
	}
	o := bridgeOutcome{outcome: outcome{
		Work: r.name, OursRate: spreadOf(ours).median, RawRate: spreadOf(other).median,
		rate: spreadOf(rate), cpu: spreadOf(cpu), rss: spreadOf(rss), cpuPerMillion: spreadOf(cost).median,
		row: r.limits(),
	}}
	o.RateRatio, o.CPURatio, o.RSSMiB = o.rate.median, o.cpu.median, o.rss.median
	for _, goal := range []float64{r.minRate, r.maxRSS, r.maxCPU} {
		if goal > 0 {
			o.Goal = goal
			break
		}
	}
	o.Met = (r.minRate == 0 || o.RateRatio >= r.minRate) && (r.maxCPU == 0 || o.CPURatio <= r.maxCPU) &&
		(r.maxRSS == 0 || o.RSSMiB > 0 && o.RSSMiB <= r.maxRSS)
	o.goal = o.row.goals()
	o.note = fmt.Sprintf("broker %.2f, sink %.2f", spreadOf(broker).median, spreadOf(sink).median)
	if q := spreadOf(queue).median; q > 0 {
		o.note += fmt.Sprintf(", queue %.2f", q)
	}
	return o
}

// bridgeTable is the outcomes as Markdown.
func bridgeTable(outcomes []bridgeOutcome) string {
	var out strings.Builder
	fmt.Fprintln(&out, "| work | ours rec/s | compared with rec/s | rate ratio (spread) | CPU ratio (spread) | CPU s/M | RSS MiB | others' CPU s/M | goal | met |")
	fmt.Fprintln(&out, "|---|---:|---:|---|---|---:|---:|---|---|---|")
	for i := range outcomes {
		o := &outcomes[i]
		met := "yes"
		if !o.Met {
			met = "**no**"
		}
		if o.goal == "" {
			met = ""
		}
		if o.text != "" {
			rss := ""
			if o.RSSMiB > 0 {
				rss = fmt.Sprintf("%.0f", o.RSSMiB)
			}
			fmt.Fprintf(&out, "| %s | | | %s | | | %s | | %s | %s |\n", o.Work, o.text, rss, o.goal, met)
			continue
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %.2f | %.0f | %s | %s | %s |\n",
			o.Work, thousands(o.OursRate), thousands(o.RawRate), o.rate, o.cpu, o.cpuPerMillion, o.RSSMiB, o.note, o.goal, met)
	}
	return out.String()
}
