//go:build chaos

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// chaosRecord is what a cell came to; its names are API.
type chaosRecord struct {
	Fault        string  `json:"fault"`
	Confirm      string  `json:"confirm"`
	Queue        string  `json:"queue,omitempty"` // pulsar, or nothing for Kafka
	Bridges      int     `json:"bridges"`
	Cycles       int     `json:"cycles"`
	Produced     int     `json:"produced"`
	Lost         int     `json:"lost"`
	LossExpected bool    `json:"loss_expected"`
	Duplicates   int     `json:"duplicates"`
	Allowed      int     `json:"duplicates_allowed"`
	Recovery     float64 `json:"recovery_s"`

	bound  time.Duration
	static bool
}

// shortFactor scales the shipped durations in the short form; settle comes to 2 s, a session to 9 s.
const shortFactor = 0.2

// TestChaos runs a cell for each fault: a source, bridges, proxies and a queue of its own, all under load.
// CHAOS chooses the form (short, all, full), CHAOS_SCALE the factor, CHAOS_SEED the sample of full.
func TestChaos(t *testing.T) {
	form := cmp.Or(os.Getenv("CHAOS"), "short")
	factor := shortFactor
	if form == "full" {
		factor = 1
	}
	if text := os.Getenv("CHAOS_SCALE"); text != "" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !(f >= 0.1 && f <= 1) {
			t.Fatalf("CHAOS_SCALE=%s: want 0.1 to 1; a settle below 1s is not taken", text)
		}
		factor = f
	}
	specs, err := chaosCells(form)
	if err != nil {
		t.Fatal(err)
	}
	results := &chaosResults{order: specs, done: make(map[string]chaosRecord)}
	if form == "full" {
		results.resume = filepath.Join(outDir, fmt.Sprintf("chaos-full-%v.jsonl", factor))
		if err := results.load(); err != nil {
			t.Fatal(err)
		}
	}
	// Before the cells, which would feel the builds.
	if _, err := bridgeBinary(); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(specs, func(s chaosSpec) bool { return chaosKind(s.fault).clock && !results.has(s) }) {
		if _, err := settableBinary(); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	t.Run("cells", func(t *testing.T) {
		for _, spec := range specs {
			if results.has(spec) {
				continue
			}
			t.Run(spec.name(), func(t *testing.T) {
				t.Parallel()
				c := &chaosCell{b: newBench(t), spec: spec, kind: chaosKind(spec.fault), factor: factor, rate: 600}
				results.add(t, spec, c.run())
			})
		}
	})
	results.write(t, form, factor, time.Since(began))
}

func chaosKind(name string) *chaosFault {
	for _, f := range append(chaosFaults(), pulsarFaults()...) {
		if f.name == name {
			f.clusters, f.brokers, f.bridges = max(1, f.clusters), max(1, f.brokers), max(1, f.bridges)
			return f
		}
	}
	panic("no fault " + name)
}

// chaosCells are the cells of a form.
func chaosCells(form string) (specs []chaosSpec, err error) {
	for _, confirm := range []string{"queue", "settle"} {
		for _, f := range chaosFaults() {
			if confirm == "settle" && (f.notSettle || form == "short" && !f.shortSettle) {
				continue
			}
			if form != "full" {
				specs = append(specs, chaosSpec{fault: f.name, confirm: confirm, bridges: max(1, f.bridges)})
				continue
			}
			for _, bridges := range []int{max(1, f.bridges), 3} {
				for _, static := range []bool{false, true} {
					specs = append(specs, chaosSpec{fault: f.name, confirm: confirm, bridges: bridges, static: static})
				}
			}
		}
	}
	switch form {
	case "short", "all":
		return specs, nil
	case "full":
		seed, err := strconv.ParseUint(cmp.Or(os.Getenv("CHAOS_SEED"), "1"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("CHAOS_SEED: %w", err)
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		rnd.Shuffle(len(specs), func(i, j int) { specs[i], specs[j] = specs[j], specs[i] })
		return specs[:min(100, len(specs))], nil
	}
	return nil, fmt.Errorf("CHAOS=%s: want short, all or full", form)
}

// chaosResults collects what cells came to.
type chaosResults struct {
	order  []chaosSpec
	resume string // file of the cells that are done

	mu   sync.Mutex
	done map[string]chaosRecord
}

// chaosLine is a line of the file that full goes on from.
type chaosLine struct {
	Cell   string
	Bound  time.Duration
	Static bool
	Record chaosRecord
}

func (r *chaosResults) load() error {
	text, err := os.ReadFile(r.resume)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		var l chaosLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return fmt.Errorf("reading %s: %w; hint: remove it to begin anew", r.resume, err)
		}
		l.Record.bound, l.Record.static = l.Bound, l.Static
		r.done[l.Cell] = l.Record
	}
	return nil
}

func (r *chaosResults) has(s chaosSpec) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.done[s.name()]
	return ok
}

// add keeps a record. A cell with a breach is not remembered as done: the next run tries it again.
func (r *chaosResults) add(t *testing.T, s chaosSpec, record chaosRecord) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[s.name()] = record
	if r.resume == "" || t.Failed() {
		return
	}
	text, err := json.Marshal(chaosLine{s.name(), record.bound, record.static, record})
	if err == nil {
		err = os.MkdirAll(outDir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(r.resume, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(append(text, '\n')); err != nil {
		t.Fatal(err)
	}
}

// write writes chaos.json and the table, also of a run with breaches.
func (r *chaosResults) write(t *testing.T, form string, factor float64, took time.Duration) {
	t.Helper()
	records := make([]chaosRecord, 0, len(r.done))
	var missing []string
	for _, s := range r.order {
		if record, ok := r.done[s.name()]; ok {
			records = append(records, record)
		} else {
			missing = append(missing, s.name())
		}
	}
	if len(records) == 0 {
		t.Fatal("no cell came to its end")
	}
	all, err := keepOtherQueues(records)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.MkdirAll(outDir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(outDir, "chaos.json"), append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	table := chaosTable(records)
	t.Logf("%d cells in %v, %d not run or not at their end\n%s", len(records), took.Round(time.Second), len(missing), table)
	if len(missing) > 0 { // a part of the cells was asked for, or some broke down: no table for readers
		return
	}
	if err := rewriteChaosPage(filepath.Join("..", "..", "..", "docs", "chaos.md"), records[0].Queue, form, factor, table); err != nil {
		t.Error(err)
	}
}

func chaosTable(records []chaosRecord) string {
	var b strings.Builder
	b.WriteString("| fault | confirm | bridges | produced | lost | duplicates | at most | back after | goal |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range records {
		lost := strconv.Itoa(r.Lost)
		if r.LossExpected {
			lost += " (not covered)"
		}
		f := chaosKind(r.Fault)
		bridges := strconv.Itoa(r.Bridges)
		if r.static {
			bridges += ", static"
		}
		twice := f.twice
		if r.Confirm == "settle" {
			twice = cmp.Or(f.twiceThen, f.twice)
		}
		if r.Allowed > 0 && twice == noDuplicates {
			twice = "what was not final of moved partitions"
			if r.Queue == "pulsar" {
				twice = "what was not final at the kill"
			}
		}
		if r.Allowed > 0 || twice != noDuplicates {
			twice = fmt.Sprintf("%d: %s", r.Allowed, twice)
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %d | %s | %d | %s | %.1f s | %.1f s |\n",
			r.Fault, r.Confirm, bridges, r.Produced, lost, r.Duplicates, twice, r.Recovery, r.bound.Seconds())
	}
	return b.String()
}

// rewriteChaosPage puts the table between the two marks of the page.
func rewriteChaosPage(path, queue, form string, factor float64, table string) error {
	begin, end := "<!-- table begins -->\n", "<!-- table ends -->\n"
	if queue != "" {
		begin, end = "<!-- "+queue+" begins -->\n", "<!-- "+queue+" ends -->\n"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("writing the table: %s has no marks %q and %q", path, begin, end)
	}
	said := fmt.Sprintf("Form `%s`, shipped durations times %v.\n\n", form, factor)
	return os.WriteFile(path, []byte(before+begin+"\n"+said+table+"\n"+end+after), 0o644)
}

// The forms have the cells that they must have.
func TestChaosFormsAreComplete(t *testing.T) {
	short, err := chaosCells("short")
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[string]int)
	for _, s := range short {
		count[s.confirm]++
		if !slices.Contains([]string{"queue", "settle"}, s.confirm) || chaosKind(s.fault).strike == nil {
			t.Errorf("cell %+v does nothing", s)
		}
	}
	if count["queue"] < 14 || count["settle"] < 6 {
		t.Errorf("short form: %v, want at least 14 in queue and 6 in settle", count)
	}
	full, err := chaosCells("full")
	if err != nil || len(full) != 100 {
		t.Errorf("full form: %d cells, %v; want 100", len(full), err)
	}
}
