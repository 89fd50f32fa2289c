package main

import (
	"bufio"
	"bytes"
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
	"strconv"
	"strings"
	"time"
)

// comparedRounds is how many rounds a comparison has unless -rounds says otherwise: quartiles of fewer mean little.
const comparedRounds = 10

// copyPrograms copies both programs into a folder: how the page cache holds a file decides some of a process's memory and
// speed, so both files are written in the same way, and neither changes if somebody builds meanwhile.
func copyPrograms(base, dir string) (old, current string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("finding this program: %w", err)
	}
	old, current = filepath.Join(dir, "old"), filepath.Join(dir, "new")
	if err := copyProgram(old, base); err != nil {
		return "", "", fmt.Errorf("copying -base: %w (hint: make bench-base BASE=<commit> builds one)", err)
	}
	if err := copyProgram(current, self); err != nil {
		return "", "", fmt.Errorf("copying this program: %w", err)
	}
	return old, current, nil
}

func copyProgram(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// withDefaults changes flags that the caller did not set.
func withDefaults(flags *flag.FlagSet, values map[string]string) error {
	flags.Visit(func(f *flag.Flag) { delete(values, f.Name) })
	for name, value := range values {
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("setting -%s: %w", name, err)
		}
	}
	return nil
}

// job is a row of a comparison: run measures it once with a program.
type job struct {
	name string
	run  func(ctx context.Context, program string) (measured, error)
}

// roundTries is how often a round of a row is tried before the row is given up: a run of many may be disturbed.
const roundTries = 2

// runPairs runs every job for so many rounds. Those that are worse or undecided then are run for as many rounds more, up
// to again times, and judged by all of their rounds: the first ones may have been bad luck. The error is that of ctx; with
// it come the rounds that are complete.
func runPairs(ctx context.Context, jobs []job, old, current string, rounds, again int, progress *log.Logger) ([]compared, error) {
	all := make([]compared, len(jobs))
	left := make([]int, len(jobs))
	for i := range jobs {
		all[i].name, left[i] = jobs[i].name, i
	}
	for pass := 0; pass <= again && len(left) > 0; pass++ {
		for round := range rounds {
			for n := range left {
				k := left[n]
				if round%2 == 1 {
					k = left[len(left)-1-n]
				}
				r := &all[k]
				if r.err != nil {
					continue
				}
				p, err := runPair(ctx, &jobs[k], old, current, (round+k)%2 == 1, fmt.Sprintf("round %d of %d", len(r.pairs)+1, (pass+1)*rounds), progress)
				if ctx.Err() != nil {
					return all, fmt.Errorf("comparing: %w", context.Cause(ctx))
				}
				if r.err = err; err == nil {
					r.pairs = append(r.pairs, p)
				}
			}
		}
		left = slices.DeleteFunc(left, func(k int) bool {
			v := judge(all[k].pairs).verdict
			return all[k].err != nil || v != worse && v != undecided
		})
	}
	return all, nil
}

// runPair runs a job with both programs, one right after the other: old first, or current first if swapped.
func runPair(ctx context.Context, j *job, old, current string, swapped bool, round string, progress *log.Logger) (pair, error) {
	for try := 1; ; try++ {
		var p pair
		sides := []struct {
			name, program string
			to            *measured
		}{{"old", old, &p.Old}, {"new", current, &p.New}}
		if swapped {
			slices.Reverse(sides)
		}
		var err error
		for _, side := range sides {
			var m measured
			if m, err = j.run(ctx, side.program); err == nil {
				err = m.check()
			}
			if err != nil {
				err = fmt.Errorf("%s, %s, %s program: %w", round, j.name, side.name, err)
				break
			}
			*side.to = m
			progress.Printf("%s  %-40s %s %12s rec/s %7.3f CPU s/M %7.3f allocs/record %7.1f allocs/pack %5.0f MiB",
				round, j.name, side.name, thousands(m.Rate), m.CPU, m.PerRecord, m.PerPack, m.RSS)
		}
		if err == nil || ctx.Err() != nil {
			return p, err
		}
		progress.Printf("try %d of %d failed: %v", try, roundTries, err)
		if try == roundTries {
			return p, err
		}
	}
}

// comparison is what the flags of a comparison say.
type comparison struct {
	base   string // empty for none
	again  int
	rounds int
	title  string // how long a run is
	file   string // for the results, empty for nowhere
}

// flags adds those that only a comparison has.
func (c *comparison) flags(flags *flag.FlagSet) {
	flags.StringVar(&c.base, "base", "", "bench `binary` of another commit to compare with, in turn; make bench-base BASE=<commit> builds one")
	flags.IntVar(&c.again, "again", 1, "with -base, how often rows that are worse or undecided are run for as many rounds more before they count")
}

// run runs the jobs, prints the table and writes the results. The error says which rows are worse.
func (c *comparison) run(ctx context.Context, jobs []job, stdout, stderr io.Writer) error {
	if c.again < 0 {
		return fmt.Errorf("-again is %d; want 0 or more", c.again)
	}
	if len(jobs) == 0 {
		return errors.New("no row that -only matches can be compared (hint: -only matches names such as those of a table without -base)")
	}
	dir, err := os.MkdirTemp("", "bench-programs-")
	if err != nil {
		return fmt.Errorf("making a folder for the programs: %w", err)
	}
	defer os.RemoveAll(dir)
	old, current, err := copyPrograms(c.base, dir)
	if err != nil {
		return err
	}
	rows, err := runPairs(ctx, jobs, old, current, c.rounds, c.again, log.New(stderr, "", 0))
	rows = slices.DeleteFunc(rows, func(r compared) bool { return len(r.pairs) == 0 && r.err == nil }) // interrupted before
	text, worseErr := report(rows)
	text = fmt.Sprintf("%d rounds, %s; old is %s\n%s\n\n%s", c.rounds, c.title, c.base, environment(), text)
	if _, printErr := io.WriteString(stdout, text); printErr != nil {
		err = errors.Join(err, fmt.Errorf("printing the table: %w", printErr))
	}
	if c.file != "" {
		err = errors.Join(err, writeFile(c.file, comparedJSON(rows)))
	}
	return errors.Join(err, worseErr)
}

// comparedRow is a row in the file of a comparison.
type comparedRow struct {
	Work    string    `json:"work"`
	Verdict verdict   `json:"verdict"`
	Because []string  `json:"because,omitempty"`
	Failed  string    `json:"failed,omitempty"`
	Rate    quartiles `json:"rate_ratio"`
	CPU     quartiles `json:"cpu_ratio"`
	Rounds  []pair    `json:"rounds"`
}

func comparedJSON(rows []compared) []comparedRow {
	out := make([]comparedRow, len(rows))
	for i, r := range rows {
		if r.err != nil {
			out[i] = comparedRow{Work: r.name, Failed: r.err.Error(), Rounds: r.pairs}
			continue
		}
		j := judge(r.pairs)
		out[i] = comparedRow{Work: r.name, Verdict: j.verdict, Because: j.because, Rate: j.rate, CPU: j.cpu, Rounds: r.pairs}
	}
	return out
}

// senderJobs are the sender's own processes among the rows, each once.
func senderJobs(rows []row, match *regexp.Regexp) []job {
	var seen []process
	var jobs []job
	for _, r := range rows {
		name := strings.TrimPrefix(r.of.String(), "ours, ")
		if r.of.raw || slices.Contains(seen, r.of) || !match.MatchString(r.name) && !match.MatchString(name) {
			continue
		}
		seen = append(seen, r.of)
		jobs = append(jobs, job{name, func(ctx context.Context, program string) (measured, error) {
			w := r.of.work
			got, err := runProcess(ctx, program, false, &w)
			if err != nil {
				return measured{}, err
			}
			return measured{
				Rate: got.rate(), CPU: got.cpuPerMillion(), PerRecord: got.mallocsPerRec(), PerPack: float64(got.Mallocs) / got.packs, RSS: got.rssMiB(),
			}, nil
		}})
	}
	return jobs
}

// bridgeJobs are the cells of the bridge among the rows, each once; those that read the same topic stand side by side.
func (l *lab) bridgeJobs(rows []bridgeRow, match *regexp.Regexp) []job {
	var cells []cell
	for i := range rows {
		c := rows[i].of
		if rows[i].special == nil && c.subject == "bridge" && !slices.Contains(cells, c) && (match.MatchString(rows[i].name) || match.MatchString(bridgeName(&c))) {
			cells = append(cells, c)
		}
	}
	var jobs []job
	for _, c := range sortedByBroker(cells) {
		jobs = append(jobs, job{bridgeName(&c), func(ctx context.Context, program string) (measured, error) {
			l.program, l.counts = program, true
			r, err := l.run(ctx, &c, false)
			if err != nil {
				return measured{}, err
			}
			return measured{
				Rate: r.rate(), CPU: r.perMillion(r.CPU), PerRecord: r.used.mallocs / r.used.records, PerPack: r.used.mallocs / r.used.packs,
				RSS: float64(r.RSS) / (1 << 20),
			}, nil
		}})
	}
	return jobs
}

func bridgeName(c *cell) string { return strings.TrimPrefix(c.String(), "bridge, ") }

// counters are what a bridge's metrics have counted.
type counters struct{ mallocs, records, packs float64 }

// countersOf asks the bridge for its metrics.
func countersOf(ctx context.Context, admin string) (c counters, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var text bytes.Buffer
	if err := get(ctx, "http://"+admin+"/metrics", &text); err != nil {
		return c, err
	}
	return parseCounters(&text)
}

// parseCounters adds up the series of each metric.
func parseCounters(text io.Reader) (c counters, err error) {
	found := map[string]*float64{
		"go_memstats_mallocs_total":              &c.mallocs,
		"inlong_bridge_sender_records_total":     &c.records,
		"inlong_bridge_sender_packs_acked_total": &c.packs,
	}
	seen := make(map[string]bool)
	in := bufio.NewScanner(text)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := in.Text()
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		to := found[name]
		if to == nil {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return c, fmt.Errorf("reading metric %q: %w", line, err)
		}
		*to += v
		seen[name] = true
	}
	if err := in.Err(); err != nil {
		return c, fmt.Errorf("reading metrics: %w", err)
	}
	for name := range found {
		if !seen[name] {
			return c, fmt.Errorf("reading metrics: no %s", name)
		}
	}
	return c, nil
}

func (c counters) since(before counters) counters {
	return counters{c.mallocs - before.mallocs, c.records - before.records, c.packs - before.packs}
}
