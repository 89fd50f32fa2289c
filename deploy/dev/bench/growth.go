package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// axis is a thing of which a bridge may have more, and the CPU time per record with so many of it. The first point is what the
// others are compared with.
type axis struct {
	name   string // of the file
	title  string
	x      string
	points []axisPoint
}

// axisPoint is a cell. goal is the greatest ratio of its CPU time per record to the first point's, 0 for one that is only shown.
type axisPoint struct {
	label string
	of    cell
	goal  float64
}

const maxGrowth = 1.2

// Between these lines of docs/performance.md stands the table.
const (
	growthBegin = "<!-- written by make bench-growth -->\n"
	growthEnd   = "<!-- end -->"
)

func growthAxes(seed uint64) []axis {
	endless := func(records int, change func(*cell)) cell {
		c := cell{subject: "bridge", spec: brokerSpec{Corpus: "json1k", Seed: seed, Partitions: 4}, records: records}
		if change != nil {
			change(&c)
		}
		return c
	}
	filled := func(records, keys int) cell {
		return cell{subject: "bridge", spec: brokerSpec{Corpus: "json1k", Seed: seed, Partitions: 4, Records: records, Keys: keys}, records: records / 20 * 19}
	}
	const usual = 1_000_000
	partitions := func(n int) cell { return endless(usual, func(c *cell) { c.spec.Partitions = n }) }
	// In a fetch session the embedded Kafka answers with a batch of every partition, more than the client takes. Without one
	// each request names all partitions, which is part of what is measured.
	without := func(n int) cell {
		return endless(usual, func(c *cell) { c.spec.Partitions, c.spec.Bounded, c.whole = n, true, true })
	}
	proxies := func(n int) cell { return endless(usual, func(c *cell) { c.proxies = n }) }
	// With 500 partitions in batches of 16 records a piece has 16 records. The last fifth before so many are open is measured.
	open := func(pieces int, settle time.Duration) cell {
		return endless(16*pieces, func(c *cell) {
			c.spec.Partitions, c.settle, c.budget, c.unfinal = 500, settle, "512MiB", 600_000
			c.warm = 16 * pieces / 5 * 4
		})
	}
	return []axis{
		{"partitions", "CPU per record by partitions", "partitions of one topic", []axisPoint{
			{"1", partitions(1), 0}, {"100", partitions(100), maxGrowth}, {"1,000", partitions(1000), maxGrowth},
			{"10,000, no fetch sessions", without(10_000), maxGrowth},
		}},
		{"streams", "CPU per record by streams", "streams, routed by key", []axisPoint{
			{"1", filled(400_000, 1), 0}, {"100", filled(400_000, 100), maxGrowth}, {"1,000", filled(400_000, 1000), 1.35}, {"10,000", filled(400_000, 10_000), 0},
		}},
		{"proxies", "CPU per record by proxies", "proxies", []axisPoint{
			{"1", proxies(1), 0}, {"16", proxies(16), maxGrowth}, {"64", proxies(64), maxGrowth},
		}},
		{"pieces", "CPU per record by pieces that are not final", "pieces not final", []axisPoint{
			{"those of 1 s", open(150_000, time.Second), 0}, {"100,000", open(100_000, 30*time.Minute), maxGrowth},
			{"250,000", open(250_000, 30*time.Minute), maxGrowth}, {"500,000", open(500_000, 30*time.Minute), maxGrowth},
		}},
		{"lag", "CPU per record by lag", "records behind the end of the log", []axisPoint{
			{"0.4 M to 0", filled(400_000, 0), 0}, {"1 M to 0", filled(1_000_000, 0), maxGrowth},
			{"more than 50 M", endless(usual, func(c *cell) { c.spec.Large = true }), maxGrowth},
		}},
	}
}

// benchGrowth measures the axes, and writes a plot of each and the table beneath them.
func benchGrowth(ctx context.Context, flags *flag.FlagSet, args []string, stdout, stderr io.Writer) error {
	rounds := flags.Int("rounds", 3, "how often everything is run; the medians count")
	seed := flags.Uint64("seed", 1, "of the corpora")
	only := flags.String("only", "", "only axes whose name matches this expression; the table of the page is then left as it is")
	docs := flags.String("docs", "docs", "folder for growth-*.svg, with performance.md, whose table is replaced")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 {
		return fmt.Errorf("%d rounds measure nothing; use at least 1", *rounds)
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("parsing -only: %w", err)
	}
	axes := slices.DeleteFunc(growthAxes(*seed), func(a axis) bool { return !match.MatchString(a.name) })
	if len(axes) == 0 {
		return fmt.Errorf("no axis matches %q", *only)
	}
	dir, err := os.MkdirTemp("", "bench-growth-")
	if err != nil {
		return fmt.Errorf("making a folder for configurations: %w", err)
	}
	defer os.RemoveAll(dir)
	l := &lab{dir: dir}
	results, err := l.grow(ctx, axes, *rounds, log.New(stderr, "", 0))
	if err = errors.Join(err, l.close()); err != nil {
		return err
	}
	for i := range axes {
		if err := os.WriteFile(filepath.Join(*docs, "growth-"+axes[i].name+".svg"), []byte(axes[i].plot(results).svg()), 0o644); err != nil {
			return fmt.Errorf("writing plot: %w", err)
		}
	}
	text := fmt.Sprintf("%d rounds; %s\n\n%s", *rounds, environment(), growthTable(axes, results))
	if _, err := io.WriteString(stdout, text); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if *only != "" {
		return nil
	}
	return replaceBetween(filepath.Join(*docs, "performance.md"), growthBegin, growthEnd, text)
}

// grow runs each point once in each round, every other round backwards, axis after axis: points of one axis lie side by side.
func (l *lab) grow(ctx context.Context, axes []axis, rounds int, progress *log.Logger) (map[cell][]cellResult, error) {
	results := make(map[cell][]cellResult)
	for round := range rounds {
		for _, a := range axes {
			for i := range a.points {
				p := a.points[i]
				if round%2 == 1 {
					p = a.points[len(a.points)-1-i]
				}
				r, err := l.run(ctx, &p.of, false)
				if err != nil {
					return nil, fmt.Errorf("round %d of %d, %s %s: %w", round+1, rounds, a.name, p.label, err)
				}
				results[p.of] = append(results[p.of], r)
				progress.Printf("round %d of %d  %-12s %-14s %10s rec/s  CPU s/M %.2f  %4.0f MiB", round+1, rounds, a.name, p.label, thousands(r.rate()), r.perMillion(r.CPU), float64(r.RSS)/(1<<20))
			}
		}
	}
	return results, nil
}

// growthOf is the CPU time per record of a point, in terms of the axis' first, within each round.
func (a *axis) growthOf(i int, results map[cell][]cellResult) spread {
	var ratios []float64
	for round, first := range results[a.points[0].of] {
		r := results[a.points[i].of][round]
		ratios = append(ratios, r.perMillion(r.CPU)/first.perMillion(first.CPU))
	}
	return spreadOf(ratios)
}

func (a *axis) plot(results map[cell][]cellResult) *plot {
	p := &plot{title: a.title, x: a.x, y: "CPU per record, to " + a.points[0].label}
	for i, q := range a.points {
		p.points = append(p.points, plotPoint{q.label, a.growthOf(i, results), q.goal})
	}
	return p
}

func growthTable(axes []axis, results map[cell][]cellResult) string {
	var out strings.Builder
	fmt.Fprintln(&out, "| axis | point | CPU s/M | CPU ratio (spread) | rec/s | RSS MiB | goal | met |")
	fmt.Fprintln(&out, "|---|---|---:|---|---:|---:|---|---|")
	for i := range axes {
		a := &axes[i]
		for k, p := range a.points {
			var cpu, rate, rss []float64
			for _, r := range results[p.of] {
				cpu, rate, rss = append(cpu, r.perMillion(r.CPU)), append(rate, r.rate()), append(rss, float64(r.RSS)/(1<<20))
			}
			ratio, goal, met := a.growthOf(k, results), "", ""
			if p.goal > 0 {
				goal, met = fmt.Sprintf("<= %.2f", p.goal), "yes"
				if ratio.median > p.goal {
					met = "**no**"
				}
			}
			fmt.Fprintf(&out, "| %s | %s | %.2f | %s | %s | %.0f | %s | %s |\n", a.name, p.label, spreadOf(cpu).median, ratio, thousands(spreadOf(rate).median), spreadOf(rss).median, goal, met)
		}
	}
	return out.String()
}

// replaceBetween replaces what stands in a file between two lines.
func replaceBetween(path, begin, end, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("writing the table: %s has no %q before %q", path, begin, end)
	}
	if err := os.WriteFile(path, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}
