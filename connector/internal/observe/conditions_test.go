package observe

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

func FuzzNamesAndSentencesOfALineAreShort(f *testing.F) {
	f.Add("orders/1 orders/2", 3, "a sentence")
	f.Add(strings.Repeat("ü", 2000), 40, strings.Repeat("ß", 600))
	f.Add("\xff\xfe "+strings.Repeat("\xe2\x82", 900), 21, "\xe2\x82")
	f.Add("", 0, "")
	f.Fuzz(func(t *testing.T, text string, times int, sentence string) {
		names := strings.Fields(strings.Repeat(text+" ", min(max(times, 0), 50)))
		got := few(names)
		if len(got) > 2*fewBytes+fewNames+8 {
			t.Errorf("%d bytes of %d names", len(got), len(names))
		}
		if cut := strings.HasSuffix(got, " ..."); len(names) > fewNames && !cut {
			t.Errorf("%d names, and nothing shows that some are left out", len(names))
		}
		if n := strings.Count(got, " ") + 1; n > fewNames+1 {
			t.Errorf("%d names in a line", n)
		}
		if len(names) > 0 && len(names[0]) <= fewBytes && !strings.HasPrefix(got, names[0]) {
			t.Errorf("the first name is missing: %q", got)
		}
		c := clip(sentence, maxSentence)
		switch {
		case len(sentence) <= maxSentence && c != sentence:
			t.Errorf("clip changed a short text to %q", c)
		case len(sentence) > maxSentence && (len(c) > maxSentence+3 || !strings.HasSuffix(c, "...")):
			t.Errorf("clip left %d bytes of %d", len(c), len(sentence))
		case utf8.ValidString(sentence) && !utf8.ValidString(c):
			t.Errorf("clip cut a letter: %q", c)
		}
		g := new(gate.Gates).New("t", 0)
		var conditions []Condition
		var parts []PartitionStatus
		for i, name := range names {
			r := reason.New(reason.Key{Code: reason.StreamStalled, Scope: reason.Stream, Object: name}, time.Time{}, sentence)
			conditions = append(conditions, Condition{Reason: r})
			if g.Refer(r.Key, time.Time{}, false); i < 30 {
				parts = append(parts, PartitionStatus{Topic: name, Condition: g.Condition()})
			}
		}
		if len(names) > 0 {
			if l := line(reason.StreamStalled, conditions, parts); len(l) > 4<<10+fewBytes/2 || !strings.HasPrefix(l, fmt.Sprintf("route: %s", count(len(names), "stream"))) {
				t.Errorf("line of %d bytes: %.200q", len(l), l)
			}
		}
	})
}

func TestCutShowsWhatHasAReasonFirstAndCountsTheRest(t *testing.T) {
	key := reason.Key{Code: reason.Gap, Scope: reason.Partition}
	whole := func() *Status {
		s := new(Status)
		for i := range 10 {
			p := PartitionStatus{Topic: "orders", Partition: int32(i)}
			if i >= 7 {
				p.Conditions = []reason.Key{key}
			}
			s.Parts = append(s.Parts, p)
			st := sdk.StreamStatus{Stream: fmt.Sprint(i)}
			if i == 9 {
				st.Stall = "no"
			}
			s.Sender.Streams = append(s.Sender.Streams, st)
			s.Routes = append(s.Routes, RouteStatus{"g", fmt.Sprint(i)})
			s.Group.Topics = append(s.Group.Topics, fmt.Sprint(i))
		}
		s.Conditions = make([]Condition, 3)
		s.Sender.Endpoints = make([]sdk.EndpointStatus, 2)
		return s
	}
	s := whole()
	if s.Cut(-1); s.LeftOut != nil || len(s.Parts) != 10 || s.Parts[0].Partition != 0 {
		t.Errorf("left out %+v of a whole status", s.LeftOut)
	}
	s.Cut(4)
	if want := (LeftOut{Partitions: 6, Routes: 6, Streams: 6, Topics: 6}); s.LeftOut == nil || *s.LeftOut != want {
		t.Errorf("left out %+v, want %+v", s.LeftOut, want)
	}
	var order []int32
	for _, p := range s.Parts {
		order = append(order, p.Partition)
	}
	if fmt.Sprint(order) != "[7 8 9 0]" || s.Sender.Streams[0].Stream != "9" || len(s.Conditions) != 3 || len(s.Sender.Endpoints) != 2 {
		t.Errorf("partitions %v, first stream %s, want those with a reason first, in order", order, s.Sender.Streams[0].Stream)
	}
	s = whole()
	s.Cut(0) // summary
	if want := (LeftOut{Partitions: 10, Conditions: 3, Routes: 10, Streams: 10, Endpoints: 2, Topics: 10}); *s.LeftOut != want ||
		len(s.Parts)+len(s.Conditions)+len(s.Routes)+len(s.Sender.Streams)+len(s.Sender.Endpoints)+len(s.Group.Topics) != 0 {
		t.Errorf("a summary shows lists, or counts %+v, want %+v", s.LeftOut, want)
	}
}

// The fields that /status had before conditions say the same as the conditions. They go with 0.1.0.
func TestOldFieldsFollowFromTheConditions(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	stream := func(code reason.Code) reason.Key { return reason.Key{Code: code, Scope: reason.Stream, Object: "g/s"} }
	part := func(code reason.Code) reason.Key {
		return reason.Key{Code: code, Scope: reason.Partition, Object: "orders/0"}
	}
	process := func(code reason.Code) reason.Key { return reason.Key{Code: code, Scope: reason.Process} }
	streamFull := "stream g.s holds as many waiting bytes as it may; hint: look for the stream's own reason, and at the proxies; memory.budget bounds the bytes"
	for _, tt := range []struct {
		name    string
		do      func(g *gate.Gate)
		stall   reason.Code
		reason  string
		stopped bool
		stuck   string
		holds   int
	}{
		{name: "nothing", do: func(*gate.Gate) {}},
		{name: "stopped", do: func(g *gate.Gate) {
			g.Refer(stream(reason.StreamFull), now, true)
			g.Add(reason.New(part(reason.Gap), now, "it is gone; hint: look"), true)
		}, stall: reason.Gap, reason: "it is gone; hint: look", stopped: true, holds: 2},
		{name: "terminal before what may end", do: func(g *gate.Gate) {
			g.Add(reason.New(part(reason.Deleted), now, "deleted"), true)
			g.Add(reason.New(part(reason.Truncated), now, "cut off"), true)
		}, stall: reason.Truncated, reason: "cut off", stopped: true, holds: 2},
		{name: "refused by the proxies", do: func(g *gate.Gate) { g.Refer(stream(reason.Refused), now, true) }, stall: reason.Refused, reason: "the stream is refused", stopped: true, holds: 1},
		{name: "fault that is tried", do: func(g *gate.Gate) {
			g.Add(reason.New(part(reason.Fault), now, "no leader"), true)
			g.Try(part(reason.Fault))
		},
			stall: reason.Fault, reason: "no leader", holds: 1},
		{name: "stream full", do: func(g *gate.Gate) { g.Refer(stream(reason.StreamFull), now, true) }, stall: reason.StreamFull, reason: streamFull, holds: 1},
		{name: "budget full", do: func(g *gate.Gate) { g.Refer(process(reason.Budget), now, false) }, stall: reason.Budget, reason: "full", holds: 1},
		{name: "behind because of a stream that others were stopped for", do: func(g *gate.Gate) {
			g.Stall([]gate.Entry{{Key: stream(reason.Refused), Behind: now.Add(-time.Minute)}})
		},
			stuck: "route", holds: 1},
		{name: "behind and full", do: func(g *gate.Gate) {
			g.Refer(stream(reason.StreamFull), now, true)
			g.Stall([]gate.Entry{{Key: stream(reason.StreamFull), Behind: now.Add(-time.Minute)}})
		}, stall: reason.StreamFull, reason: streamFull, stuck: "route", holds: 1},
	} {
		g := new(gate.Gates).New("orders", 0)
		tt.do(g)
		s := Status{Parts: []PartitionStatus{{Topic: "orders", Condition: g.Condition()}}}
		assemble(&s, []reason.Reason{reason.New(stream(reason.Refused), now, "the stream is refused"), reason.New(process(reason.Budget), now, "full")}, now)
		p := &s.Parts[0]
		if p.Stall != string(tt.stall) || p.Reason != tt.reason || p.Stopped != tt.stopped || p.StuckCode != tt.stuck {
			t.Errorf("%s: stall %q (%q), stopped %v, stuck %q; want %q (%q), %v, %q", tt.name, p.Stall, p.Reason, p.Stopped, p.StuckCode, tt.stall, tt.reason, tt.stopped, tt.stuck)
		}
		if (p.Stuck == time.Minute) != (tt.stuck != "") || (p.StuckReason == "") != (tt.stuck == "") {
			t.Errorf("%s: stuck for %v: %q", tt.name, p.Stuck, p.StuckReason)
		}
		holds := 0
		for _, c := range s.Conditions {
			holds += c.Partitions
		}
		if len(p.Conditions) != tt.holds || holds != tt.holds {
			t.Errorf("%s: conditions %v, and %d counted by the bridge's, want %d", tt.name, p.Conditions, holds, tt.holds)
		}
	}
}

// The shape of conditions in /status is an interface.
func TestShapeOfConditionsIsKept(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var board reason.Board
	queue := reason.Key{Code: reason.Queue, Scope: reason.QueueCluster, Object: "mq1"}
	board.Set(reason.New(queue, now, "queue cluster mq1 does not answer; hint: look at it"))
	g := new(gate.Gates).New("orders", 0)
	g.Stall([]gate.Entry{{Key: queue, Behind: now.Add(-time.Minute)}})
	gap := reason.New(reason.Key{Code: reason.Gap, Scope: reason.Partition, Object: "orders/1"}, now, "offsets 5 to 9 are gone")
	gap.Offset = 5
	h := new(gate.Gates).New("orders", 1)
	h.Add(gap, true)
	s := Status{Parts: []PartitionStatus{{Topic: "orders", Condition: g.Condition()}, {Topic: "orders", Partition: 1, Condition: h.Condition()}}}
	assemble(&s, board.Snapshot(), now)
	parts := make([]map[string]any, len(s.Parts))
	for i := range s.Parts {
		text, err := json.Marshal(&s.Parts[i])
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		parts[i] = make(map[string]any)
		for _, name := range []string{"conditions", "stall", "reason", "stopped", "stuck_ns", "stuck", "stuck_reason"} {
			if v, ok := all[name]; ok {
				parts[i][name] = v
			}
		}
	}
	got, err := json.MarshalIndent(map[string]any{"conditions": s.Conditions, "partitions": parts}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata", "conditions.golden.json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("conditions are\n%swant\n%s(go test -update accepts them)", got, want)
	}
}

// Every reason that the stall detection may name has a value of the label reason.
func TestEveryReasonThatAStallMayHaveIsNamedInTheMetric(t *testing.T) {
	for _, code := range []reason.Code{
		reason.Rebalance, reason.Fault, reason.Transaction, reason.Source, reason.NotFetched, reason.NoProxy, reason.Queue, reason.NotSeen, reason.Endpoint,
		reason.StreamFull, reason.StreamStalled, reason.UnknownStream, reason.Refused, reason.NotInQueue, reason.WrapType,
		reason.Reread, reason.WindowFull, reason.NoAck, reason.Budget, reason.MaxUnfinal,
	} {
		if reason.KindOf(code).Stuck == "" {
			t.Errorf("%s: partition_stuck has an empty reason", code)
		}
	}
	for _, k := range reason.Kinds() {
		for _, scope := range k.Scopes {
			if scope == reason.Stream && k.Stuck == "" {
				t.Errorf("%s: a stream may have it, and partition_stuck has an empty reason", k.Code)
			}
		}
	}
}

func TestProxiesThatAreIllWithoutAPostedReasonAreNoPanic(t *testing.T) {
	ill := sdk.EndpointStatus{Address: "p", Connections: 1, Code: sdk.EndpointRefuses}
	for _, eps := range [][]sdk.EndpointStatus{{ill}, {ill, {Address: "q", Connections: 1}}} {
		s := Status{State: "running", Sender: sdk.Status{Endpoints: eps}}
		p := PartitionStatus{Unfinal: 1, Condition: new(gate.Gates).New("t", 0).Condition()}
		if found, text := whyStuck(&s, indexOf(s.Conditions), &p, false, time.Now()); len(found) == 0 || text == "" {
			t.Errorf("found %v (%q), want some reason", found, text)
		}
	}
}
