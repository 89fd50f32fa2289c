package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each form that the table needs is run once, small, in this process: what is sent must arrive.
func TestEveryProcessOfTheTableDeliversWhatItSends(t *testing.T) {
	for _, p := range processes(rows(1, length{Records: 5000})) {
		t.Run(p.String(), func(t *testing.T) {
			k, err := startSink(t.Context(), p.work.Delay, hears{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := runHere(t.Context(), p.raw, k.addr(), &p.work)
			arrived, sinkErr := k.close()
			if err != nil || sinkErr != nil {
				t.Fatal(err, sinkErr)
			}
			if r.Records != 5000 || r.Sent != 6250 || arrived.Records != r.Sent {
				t.Errorf("%d records measured, %d sent, %d arrived; want 5000, 6250, 6250", r.Records, r.Sent, arrived.Records)
			}
			if r.Time < p.work.Delay || r.CPU <= 0 {
				t.Errorf("took %v and %v of CPU time; want at least %v and some", r.Time, r.CPU, p.work.Delay)
			}
		})
	}
}

func TestSinkSaysWhatIsWrongWithAPack(t *testing.T) {
	f := rawFrame(make([]byte, rawHeader, 100), 0, 0, 1, 7, nil)
	for name, change := range map[string]func([]byte) []byte{
		"magic": func(b []byte) []byte { b[len(b)-1] = 0; return b },
		"count": func(b []byte) []byte { return b }, // its header says 1, and there is none
	} {
		c := new(sinkConn)
		if _, err := c.parse(change(slices.Clone(f))); err == nil {
			t.Errorf("%s: the sink took a pack that is not as it should be", name)
		}
	}
}

func TestQuotaGivesOutNoMoreThanThereIs(t *testing.T) {
	q := newQuota(length{Records: 1200})
	var got []int
	for range 4 {
		got = append(got, q.take(500))
	}
	if want := []int{500, 500, 200, 0}; !slices.Equal(got, want) {
		t.Errorf("take(500) of 1200 gives %v, want %v", got, want)
	}
	if q := newQuota(length{Time: -time.Second}); q.take(1) != 0 {
		t.Error("take gives something when the time is over")
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	ours := process{work: work{Corpus: "json1k"}}
	raw := process{raw: true, work: work{Corpus: "json1k"}}
	second := func(records int64, cpu time.Duration) result {
		return result{Records: records, Time: time.Second, CPU: cpu * time.Duration(records), RSS: 50 << 20}
	}
	// The machine is half as fast in the second round, and one run was disturbed.
	results := map[process][]result{
		raw:  {second(1000, 100), second(500, 200), second(1000, 100)},
		ours: {second(900, 110), second(450, 220), second(300, 330)},
	}
	for _, tt := range []struct {
		row  row
		goal float64
		met  bool
	}{
		{row{minRate: 0.9, maxCPU: 1.1}, 0.9, true},
		{row{minRate: 0.91}, 0.91, false},
		{row{minRate: 0.9, maxCPU: 1.09}, 0.9, false},
		{row{maxRSS: 50}, 50, true},
		{row{maxRSS: 49}, 49, false},
		{row{}, 0, true},
	} {
		tt.row.of, tt.row.reference = ours, raw
		o := evaluate([]row{tt.row}, results)[0]
		if o.Goal != tt.goal || o.Met != tt.met {
			t.Errorf("%+v: goal %v, met %v, want %v, %v", tt.row, o.Goal, o.Met, tt.goal, tt.met)
		}
		if math.Abs(o.RateRatio-0.9) > 1e-9 || math.Abs(o.CPURatio-1.1) > 1e-9 || o.OursRate != 450 || o.RawRate != 1000 || o.RSSMiB != 50 {
			t.Errorf("ratios are %v and %v, rates %v and %v, RSS %v; want 0.9 and 1.1, 450 and 1000, 50",
				o.RateRatio, o.CPURatio, o.OursRate, o.RawRate, o.RSSMiB)
		}
		if o.rate.least != 0.3 || o.rate.most != 0.9 {
			t.Errorf("spread is %+v, want 0.3 to 0.9", o.rate)
		}
	}
}

func TestResultsHaveTheAgreedFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "sender.json")
	if err := writeJSON(path, []outcome{{Work: "w", OursRate: 1.6, RateRatio: 0.98765, Met: true}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"work": "w", "ours_rate": 2.0, "raw_rate": 0.0, "rate_ratio": 0.988, "cpu_ratio": 0.0, "rss_mib": 0.0, "goal": 0.0, "met": true,
	}
	if len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("got %v, want one of %v", got, want)
	}
}

func TestTableHasOneLinePerRow(t *testing.T) {
	all := rows(1, length{Time: time.Second})
	outcomes := evaluate(all, nil)
	out := table(outcomes)
	if lines := strings.Count(out, "\n"); lines != len(all)+2 {
		t.Errorf("%d lines for %d rows:\n%s", lines, len(all), out)
	}
	if got := thousands(1234567.4); got != "1,234,567" {
		t.Errorf("thousands gives %s", got)
	}
}

func TestArgumentsThatMeasureNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{}, {"receiver"}, {"sender", "-rounds", "0"}, {"sender", "-time", "0"}, {"sender", "-records", "-1"},
		{"sender", "-only", "("}, {"sender", "-only", "no such row"}, {"raw", "-work", "{"},
	} {
		if err := run(t.Context(), args, strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer)); err == nil {
			t.Errorf("%q gives no error", args)
		}
	}
}
