package main

import (
	"bytes"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var everything = regexp.MustCompile("")

// A job runs the program that it is given: one of the sender and one of the bridge, small, with this test's own.
func TestJobsMeasureWhatTheRuleNeeds(t *testing.T) {
	if _, err := cpuOf(os.Getpid()); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{dir: t.TempDir()}
	jobs := senderJobs(rows(1, length{Records: 20_000}), regexp.MustCompile("^json1k$"))
	// Without end, so that there is something left to count whenever the metrics are read.
	jobs = append(jobs, l.bridgeJobs(bridgeRows(1, 32, "", ""), regexp.MustCompile("^json1k, endless$"))...)
	if len(jobs) != 2 {
		t.Fatalf("%d jobs have these names, want one of the sender and one of the bridge", len(jobs))
	}
	rows, err := runPairs(t.Context(), jobs, self, self, 1, 0, log.New(t.Output(), "", 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if p := r.pairs[0]; p.Old.RSS <= 0 || p.New.RSS <= 0 {
			t.Errorf("%s: %+v; want everything measured", r.name, p)
		}
	}
	for _, j := range jobs {
		if _, err := j.run(t.Context(), filepath.Join(t.TempDir(), "nothing")); err == nil {
			t.Errorf("%s: a program that does not exist gives no error", j.name)
		}
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

func TestEveryRowOfOursIsComparedOnce(t *testing.T) {
	l := new(lab)
	for what, jobs := range map[string][]job{
		"sender": senderJobs(rows(1, length{Time: time.Second}), everything),
		"bridge": l.bridgeJobs(bridgeRows(1, 1, "", ""), everything),
	} {
		var names []string
		for _, j := range jobs {
			if slices.Contains(names, j.name) {
				t.Errorf("%s: %s is there twice", what, j.name)
			}
			if strings.Contains(j.name, "raw") || strings.Contains(j.name, "floor") || strings.Contains(j.name, "poll") {
				t.Errorf("%s: %s is no work of the product", what, j.name)
			}
			names = append(names, j.name)
		}
		if len(names) < 9 {
			t.Errorf("%s: only %q", what, names)
		}
	}
	// A name of the other table finds its row, too.
	if jobs := senderJobs(rows(1, length{Time: time.Second}), regexp.MustCompile("SendAsync with a callback")); len(jobs) != 1 {
		t.Errorf("%d jobs have the row's name, want 1", len(jobs))
	}
}

func TestCountersAreAddedUpOverSeries(t *testing.T) {
	const text = `# HELP go_memstats_mallocs_total Total number of heap objects allocated.
go_memstats_mallocs_total 1.5e+06
inlong_bridge_sender_records_total{group="g",stream="a b"} 20
inlong_bridge_sender_records_total{group="g",stream="c"} 22
inlong_bridge_sender_records_final_total{group="g",stream="c"} 1000
inlong_bridge_sender_packs_acked_total{group="g",stream="c"} 7
`
	c, err := parseCounters(strings.NewReader(text))
	if want := (counters{mallocs: 1.5e6, records: 42, packs: 7}); err != nil || c != want {
		t.Errorf("%+v, %v; want %+v", c, err, want)
	}
	if d := (counters{9, 8, 7}).since(counters{1, 2, 3}); d != (counters{8, 6, 4}) {
		t.Errorf("the difference is %+v", d)
	}
	for name, text := range map[string]string{
		"a metric is missing":    strings.ReplaceAll(text, "packs_acked", "packs"),
		"a value that is no one": strings.ReplaceAll(text, "} 7", "} seven"),
	} {
		if _, err := parseCounters(strings.NewReader(text)); err == nil {
			t.Errorf("%s gives no error", name)
		}
	}
}

func TestComparisonArgumentsThatMeasureNothingAreRefused(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-base", filepath.Join(t.TempDir(), "nothing")}, {"-base", t.TempDir()},
		{"-base", self, "-only", "no such row"}, {"-base", self, "-again", "-1"}, {"-base", self, "-rounds", "0"},
	} {
		for _, command := range []string{"sender", "bridge"} {
			var out bytes.Buffer
			if err := run(t.Context(), append([]string{command, "-json", ""}, args...), strings.NewReader(""), &out, io.Discard); err == nil || out.Len() > 0 {
				t.Errorf("%s %q: error %v and output %q, want an error alone", command, args, err, out.String())
			}
		}
	}
	for command, profile := range map[string]string{"sender": "-cpuprofile", "bridge": "-profiles"} {
		err := run(t.Context(), []string{command, "-base", self, profile, t.TempDir()}, strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), profile) {
			t.Errorf("%s with -base and %s: error %v, want one that names the flag", command, profile, err)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, strings.NewReader(""), &out, io.Discard); err != nil || !strings.Contains(out.String(), "-base BINARY") {
		t.Errorf("-h: error %v and output %q", err, out.String())
	}
}
