package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// table is the outcomes as Markdown.
func table(outcomes []outcome) string {
	var out strings.Builder
	fmt.Fprintln(&out, "| work | ours rec/s | raw rec/s | rate ratio (spread) | CPU ratio (spread) | CPU s/M | RSS MiB | allocs/rec | payload/wire | goal | met |")
	fmt.Fprintln(&out, "|---|---:|---:|---|---|---:|---:|---:|---:|---|---|")
	for i := range outcomes {
		o := &outcomes[i]
		met := "yes"
		if !o.Met {
			met = "**no**"
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %.2f | %.0f | %.3f | %.2f | %s | %s |\n",
			o.Work, thousands(o.OursRate), thousands(o.RawRate), o.rate, o.cpu, o.cpuPerMillion, o.RSSMiB, o.mallocs, o.Shrunk, o.row.goals(), met)
	}
	return out.String()
}

func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.least, s.most)
}

func (r *row) goals() string {
	var goals []string
	if r.minRate > 0 {
		goals = append(goals, fmt.Sprintf("rate >= %.2f", r.minRate))
	}
	if r.maxCPU > 0 {
		goals = append(goals, fmt.Sprintf("CPU <= %.2f", r.maxCPU))
	}
	if r.maxRSS > 0 {
		goals = append(goals, fmt.Sprintf("RSS <= %.0f", r.maxRSS))
	}
	if r.minShrunk > 0 {
		goals = append(goals, fmt.Sprintf("payload/wire >= %.2f", r.minShrunk))
	}
	return strings.Join(goals, ", ")
}

// thousands writes a rate as 1,234,567.
func thousands(f float64) string {
	s := fmt.Sprintf("%.0f", f)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// writeJSON writes the outcomes to a file, with figures that are rounded.
func writeJSON(path string, outcomes []outcome) error {
	short := make([]outcome, len(outcomes))
	for i, o := range outcomes {
		o.OursRate, o.RawRate = math.Round(o.OursRate), math.Round(o.RawRate)
		o.RateRatio, o.CPURatio, o.RSSMiB, o.Shrunk = round3(o.RateRatio), round3(o.CPURatio), round3(o.RSSMiB), round3(o.Shrunk)
		short[i] = o
	}
	return writeFile(path, short)
}

// writeFile writes v as JSON and makes the file's folder.
func writeFile(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

func round3(f float64) float64 { return math.Round(f*1000) / 1000 }
