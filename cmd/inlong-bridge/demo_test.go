package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestCorpusIsRepeatableAndTellsRecordsApart(t *testing.T) {
	const n = 30_000
	a, b, other := newCorpus(7), newCorpus(7), newCorpus(8)
	seen := make(map[digest]int)
	differ, empty, lineEnds := 0, 0, 0
	for i := range n {
		r, topic, stream := a.record(i)
		same, _, sameStream := b.record(i)
		if !bytes.Equal(r.Value, same.Value) || stream != sameStream || (r.Value == nil) != (same.Value == nil) {
			t.Fatalf("record %d is not the same for the same seed", i)
		}
		if o, _, _ := other.record(i); !bytes.Equal(r.Value, o.Value) {
			differ++
		}
		switch {
		case len(r.Value) == 0:
			empty++
			continue
		case topic == ordersTopic && !json.Valid(r.Value):
			t.Fatalf("record %d is not JSON: %s", i, r.Value)
		case bytes.HasSuffix(r.Value, []byte("\n")):
			lineEnds++
		}
		d := digestOf(demoTopics[topic].group, stream, r.Value)
		if first, again := seen[d]; again {
			t.Fatalf("records %d and %d have the same bytes %q", first, i, r.Value)
		}
		seen[d] = i
	}
	if differ < n*9/10 || empty < 20 || lineEnds < 100 {
		t.Errorf("%d differ with the seed, %d are empty, %d end with a line end: too few", differ, empty, lineEnds)
	}
}

// What was handed out may not be written again by a later record.
func TestCorpusKeepsWhatItGaveAway(t *testing.T) {
	c := newCorpus(1)
	var values, copies [][]byte
	for i := range 20_000 {
		r, _, _ := c.record(i)
		values, copies = append(values, r.Value), append(copies, bytes.Clone(r.Value))
	}
	for i := range values {
		if !bytes.Equal(values[i], copies[i]) {
			t.Fatalf("record %d was %q and is %q now", i, copies[i], values[i])
		}
	}
}

func TestBooksTellLossDuplicatesAndCorruption(t *testing.T) {
	d := func(s string) digest { return digestOf("g", "s", []byte(s)) }
	b := newBooks()
	b.produced = map[digest]int{d("a"): 1, d("b"): 1, d("c"): 1, d(""): 5}
	b.arrived = map[digest]int{d("a"): 1, d("b"): 3, d(""): 4, d("B"): 2}
	b.foreign = 3
	want := topicReport{Topic: "t", Produced: 8, Arrived: 13, Lost: 2, Duplicates: 2, Corrupt: 5}
	got := b.close("t")
	if got != want {
		t.Errorf("close = %+v, want %+v", got, want)
	}
	if got.Arrived != got.Produced-got.Lost+got.Duplicates+got.Corrupt {
		t.Errorf("the books do not close: %+v", got)
	}
}

func TestDigestDependsOnGroupStreamAndEveryByte(t *testing.T) {
	base := digestOf("g", "s", []byte("value"))
	for name, other := range map[string]digest{
		"group": digestOf("h", "s", []byte("value")), "stream": digestOf("g", "t", []byte("value")),
		"byte": digestOf("g", "s", []byte("valuE")), "end": digestOf("g", "s", []byte("value\n")),
	} {
		if other == base {
			t.Errorf("the digest does not depend on the %s", name)
		}
	}
}

func TestReportFailsOnLossAndCorruption(t *testing.T) {
	for _, tc := range []struct {
		name   string
		report demoReport
		want   string
	}{
		{"clean", demoReport{topicReport: topicReport{Produced: 5, Arrived: 7, Duplicates: 2}, Committed: true}, ""},
		{"lost", demoReport{topicReport: topicReport{Produced: 5, Lost: 2}, Confirm: "ack", Committed: true}, "2 of 5 records lost, 0 corrupt; hint: this is what confirm: ack means"},
		{"corrupt", demoReport{topicReport: topicReport{Produced: 5, Corrupt: 1}, Confirm: "queue", Committed: true}, "0 of 5 records lost, 1 corrupt; hint: the bridge is broken"},
		{"late", demoReport{topicReport: topicReport{Produced: 5, Arrived: 5}}, "not all offsets were committed"},
	} {
		err := tc.report.err()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: err = %v, want %q", tc.name, err, tc.want)
		}
	}
}

// The names are API: scripts read the last line of stdout.
func TestReportJSON(t *testing.T) {
	v := demoReport{topicReport: topicReport{Seconds: 12.5}, Confirm: "queue", Seed: 3, Committed: true}
	v.add(topicReport{Topic: "orders", Produced: 3, Arrived: 4, Duplicates: 1, Seconds: 2})
	var b strings.Builder
	if err := v.printJSON(&b); err != nil {
		t.Fatal(err)
	}
	want := `{"produced":3,"arrived":4,"lost":0,"duplicates":1,"corrupt":0,"elapsed_s":12.5,"confirm":"queue","seed":3,` +
		`"killed_packs":0,"killed_records":0,"committed":true,"topics":[` +
		`{"topic":"orders","produced":3,"arrived":4,"lost":0,"duplicates":1,"corrupt":0,"elapsed_s":2}]}` + "\n"
	if b.String() != want {
		t.Errorf("report is\n%swant\n%s", b.String(), want)
	}
}

func TestReportTable(t *testing.T) {
	v := demoReport{topicReport: topicReport{Seconds: 12}}
	v.add(topicReport{Topic: "orders", Produced: 150000, Arrived: 150010, Duplicates: 10, Seconds: 10})
	var b strings.Builder
	if err := v.printTable(&b); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"   topic  produced  arrived  lost  duplicates  corrupt  time  records/s\n" +
		"  orders   150,000  150,010     0          10        0   10s     15,000\n" +
		"     all   150,000  150,010     0          10        0   12s     12,500\n"
	if b.String() != want {
		t.Errorf("table is\n%swant\n%s", b.String(), want)
	}
}

func TestLiveOffTerminalPrintsALineEveryTwoSeconds(t *testing.T) {
	var b strings.Builder
	l := newLive(&b)
	start := time.Unix(1_000_000, 0)
	for i := range 50 { // 0.2 s apart
		l.update(start.Add(time.Duration(i)*200*time.Millisecond), float64(i)/50, "line")
	}
	l.say("done")
	if got, want := b.String(), "  0%  line\n 20%  line\n 40%  line\n 60%  line\n 80%  line\ndone\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestLiveOnTerminalWritesOverItsLine(t *testing.T) {
	var b strings.Builder
	l := &live{w: &b, terminal: true, width: 40}
	l.update(time.Now(), 0.5, "a line that is much longer than the terminal is wide")
	l.say("stays")
	if got, want := b.String(), "\r\x1b[K[############............] a line that \r\x1b[Kstays\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}

func BenchmarkCorpus(b *testing.B) {
	c := newCorpus(1)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r, _, _ := c.record(i)
		b.SetBytes(int64(len(r.Value)))
		i++
	}
}
