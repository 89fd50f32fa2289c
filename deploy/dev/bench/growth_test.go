package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/config"
)

var updatePlot = flag.Bool("update-plot", false, "write testdata/growth.svg anew")

// The figures are fixed, so the file is too: a change of the drawing shows in a diff.
func TestPlotOfFixedFiguresIsTheGoldenFile(t *testing.T) {
	p := plot{title: "CPU per record by <things>", x: "things", y: "CPU per record, to 1", points: []plotPoint{
		{"1", spread{1, 1, 1}, 0}, {"100", spread{1.04, 0.98, 1.11}, 1.2}, {"10,000", spread{1.9, 1.7, 2.2}, 1.2}, {"shown", spread{3, 2.5, 3.1}, 0},
	}}
	got := p.svg()
	const path = "testdata/growth.svg"
	if *updatePlot {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the plot is not %s; go test ./deploy/dev/bench -run Plot -update-plot writes it anew\n%s", path, got)
	}
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
}

func TestGrowthIsComparedWithinARound(t *testing.T) {
	one, many := cell{subject: "bridge", records: 1}, cell{subject: "bridge", records: 2}
	a := axis{name: "n", title: "t", x: "x", points: []axisPoint{{"1", one, 0}, {"many", many, 1.2}}}
	results := map[cell][]cellResult{ // in the second round the machine is half as fast
		one:  {{Records: 1000, Time: time.Second, CPU: time.Second}, {Records: 1000, Time: time.Second, CPU: 2 * time.Second}},
		many: {{Records: 1000, Time: time.Second, CPU: 1100 * time.Millisecond}, {Records: 1000, Time: time.Second, CPU: 2600 * time.Millisecond}},
	}
	if s := a.growthOf(1, results); s.least != 1.1 || s.most != 1.3 {
		t.Errorf("growth is %v, want 1.10 to 1.30", s)
	}
	if p := a.plot(results); len(p.points) != 2 || p.points[0].value.most != 1 || p.points[1].goal != 1.2 {
		t.Errorf("the plot is %+v, want the first point at 1 and a goal at the second", p)
	}
	if text := growthTable([]axis{a}, results); strings.Count(text, "\n") != 4 || !strings.Contains(text, "<= 1.20") {
		t.Errorf("a table of two points is\n%s", text)
	}
}

func TestGrowthConfigurationsAreValid(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	for _, a := range growthAxes(1) {
		for i := range a.points {
			path, _, err := l.config(&a.points[i].of, "bridge", "g", "127.0.0.1:9", "", []string{"127.0.0.1:9"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(path); err != nil {
				t.Errorf("%s %s: %v", a.name, a.points[i].label, err)
			}
		}
	}
}

func TestTableIsReplacedBetweenItsLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("before\nBEGIN\nold\nEND\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is the same
		if err := replaceBetween(path, "BEGIN\n", "END", "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if want := "before\nBEGIN\n\nnew\n\nEND\nafter\n"; err != nil || string(got) != want {
		t.Errorf("the page is %q (%v), want %q", got, err, want)
	}
	if err := replaceBetween(path, "MISSING\n", "END", "new"); err == nil {
		t.Error("a page without the line gives no error")
	}
	page, err := os.ReadFile("../../../docs/performance.md")
	if err != nil || !strings.Contains(string(page), growthBegin) || !strings.Contains(string(page), growthEnd) {
		t.Errorf("docs/performance.md has no place for the table (%v)", err)
	}
}
