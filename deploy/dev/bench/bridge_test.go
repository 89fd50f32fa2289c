package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
)

// The cells start this program again; in the tests that is the test's own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"broker", "bridge-process", "drain", "floor", "ours", "poll", "produce", "sink"}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// Each kind of cell is run once, small, as processes: both marks come, and what lies between was moved.
func TestEveryKindOfCellMovesWhatItCounts(t *testing.T) {
	if _, err := cpuOf(os.Getpid()); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	l := &lab{dir: t.TempDir()}
	spec := brokerSpec{Corpus: "json100", Seed: 1, Partitions: 4, Records: 20_000}
	for _, c := range []cell{
		// A poll brings a MiB of each partition at once.
		{subject: "poll", spec: brokerSpec{Corpus: "json100", Seed: 1, Partitions: 1, Records: 80_000}, records: 75_000},
		{subject: "floor", spec: spec, records: 19_000},
		{subject: "bridge", spec: spec, records: 19_000},
		{subject: "bridge", spec: spec, records: 19_000, confirm: "queue", proxies: 3},
		{subject: "bridge", spec: brokerSpec{Corpus: "json1k", Codec: "zstd", Keys: 20, Seed: 1, Partitions: 2, Records: 5_000}, records: 4_500},
		{subject: "bridge", spec: brokerSpec{Corpus: "json1k", Seed: 1, Partitions: 50}, records: 5_000, pack: 8, settle: time.Second},
	} {
		r, err := l.run(t.Context(), &c, false)
		if err != nil {
			t.Fatalf("%s: %v", c.String(), err)
		}
		if least := int64(c.records) / 2; r.Records < least || r.Time <= 0 || r.RSS <= 0 {
			t.Errorf("%s: %d records in %v with %d bytes resident; want %d and more, some, some", c.String(), r.Records, r.Time, r.RSS, least)
		}
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
}

func TestBatchesAreWhatAConsumerReads(t *testing.T) {
	for codec := range codecs {
		m, err := newBatchMaker(&brokerSpec{Corpus: "json1k", Codec: codec, Seed: 1, Keys: 3})
		if err != nil {
			t.Fatal(err)
		}
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, benchTopic))
		if err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(benchTopic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		id, err := topicID(t.Context(), cl, benchTopic)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := m.next(7, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := produceBatch(t.Context(), cl, benchTopic, id, 0, batch); err != nil {
			t.Fatal(err)
		}
		want := ring{records: m.from.records}
		for n := 0; n < 7; {
			fs := cl.PollFetches(t.Context())
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				if key := []string{"k0", "k1", "k2"}[n%3]; string(r.Key) != key || !bytes.Equal(r.Value, want.next(1)[0]) {
					t.Errorf("%q: record %d has key %q, want %q, or another value", codec, n, r.Key, key)
				}
				n++
			})
		}
		cl.Close()
		cluster.Close()
	}
}

func TestConfigurationsOfAllCellsAreValid(t *testing.T) {
	l := &lab{dir: t.TempDir()}
	rows := bridgeRows(1, 10, "pulsar://127.0.0.1:9/acme/ns", "")
	for i := range rows {
		for _, c := range []*cell{&rows[i].of, &rows[i].reference} {
			if c.subject != "bridge" {
				continue
			}
			path, _, err := l.config(c, "bridge", "g", "127.0.0.1:9", "127.0.0.1:9", []string{"127.0.0.1:9"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(path); err != nil {
				t.Errorf("%s: %v", c.String(), err)
			}
		}
	}
}

func TestMarksAreSaidOnceEach(t *testing.T) {
	var out strings.Builder
	m := newMarks([]int64{3, 5}, &out)
	for range 6 {
		m.add(1)
	}
	var first, second, at int64
	if n, err := fmt.Sscanf(out.String(), "mark %d %d\nmark %d %d\n", &first, &at, &second, &at); n != 4 || err != nil || first != 3 || second != 5 {
		t.Errorf("%q; want marks at 3 and 5", out.String())
	}
	if _, err := parseMarks("5,x"); err == nil {
		t.Error("a mark that is no number gives no error")
	}
}

func TestGroupGoalCountsOnlyUntilTheCoresAreFull(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rates []float64
		cores float64 // of each bridge, as a part of the machine
		met   bool
	}{
		{"grows", []float64{100, 195, 290, 382}, 0.2, true},
		{"the last adds little", []float64{100, 195, 290, 350}, 0.24, false},
		{"the last adds little since there is no core for it", []float64{100, 195, 290, 350}, 0.26, true},
		{"the second adds little", []float64{100, 180, 180, 180}, 0.4, false},
		{"no core for the third and the fourth", []float64{100, 191, 230, 220}, 0.4, true},
	} {
		s := &specials{values: make(map[string][]float64)}
		for i, r := range tt.rates {
			s.add("rate"+string(rune('1'+i)), r)
			s.add("cores"+string(rune('1'+i)), min(1, float64(i+1)*tt.cores)*float64(runtime.NumCPU()))
		}
		if o := judgeGroup(s); o.Met != tt.met {
			t.Errorf("%s: met %v, want %v (%s)", tt.name, o.Met, tt.met, o.text)
		}
	}
	if o := judgeGroup(&specials{}); o.Met || !strings.Contains(o.text, "SKIPPED") {
		t.Errorf("without a quota: %+v; want SKIPPED, not met", o)
	}
}

func TestBridgeTableComparesWithinARound(t *testing.T) {
	ours, floor := cell{subject: "bridge"}, cell{subject: "floor"}
	results := map[cell][]cellResult{
		ours:  {{Records: 1000, Time: time.Second, CPU: 2 * time.Second, RSS: 50 << 20}, {Records: 500, Time: time.Second, CPU: 2 * time.Second}},
		floor: {{Records: 1000, Time: 2 * time.Second, CPU: 4 * time.Second}, {Records: 1000, Time: 4 * time.Second, CPU: 8 * time.Second}},
	}
	o := compare(&bridgeRow{name: "w", of: ours, reference: floor, minRate: 1.9, maxCPU: 0.5}, results)
	if !o.Met || o.RateRatio != 2 || o.CPURatio != 0.5 || o.Goal != 1.9 {
		t.Errorf("%+v; want rate 2 and CPU 0.5 of the floor's, met", o.outcome)
	}
	if text := bridgeTable([]bridgeOutcome{o, {text: "x", goal: "y"}}); strings.Count(text, "\n") != 4 {
		t.Errorf("a table of two rows is\n%s", text)
	}
}

func TestBridgeArgumentsThatMeasureNothingAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"bridge", "-rounds", "0"}, {"bridge", "-mib", "0"}, {"bridge", "-only", "("}, {"bridge", "-only", "no such row"},
		{"broker", "-spec", "{"}, {"drain", "-marks", "0"}, {"poll", "-marks", "x"}, {"bridge-process", "-c", "/nowhere.yaml"},
	} {
		if err := run(t.Context(), args, strings.NewReader(""), io.Discard, io.Discard); err == nil {
			t.Errorf("%q gives no error", args)
		}
	}
}
