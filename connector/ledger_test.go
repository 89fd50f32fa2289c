package connector

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/resume"
)

func TestLedgerBelievesALineOfItsTopicOnly(t *testing.T) {
	const cluster = "c"
	topic, deleted := resume.TopicID{1}, resume.TopicID{2}
	books := resume.Books{From: 10, Final: 70, Skipped: 5, Gap: 4, Dead: 1, Hand: 10} // up to 100
	commit := func(id resume.TopicID, b resume.Books) resume.Commit {
		return resume.Commit{Offset: 100, Epoch: -1, Ours: true, Line: resume.Line{Cluster: cluster, Topic: id, Books: b}}
	}
	lossy := books
	lossy.Final, lossy.Lost = 60, 10
	unproven := books
	unproven.Unproven = 10
	open := books
	open.Final--
	for _, tt := range []struct {
		name       string
		commit     *resume.Commit
		start, end int64
		err        error
		want       Result
		final      int64
		reason     string
	}{
		{"books that close", new(commit(topic, books)), 0, 100, nil, Pass, 70, ""},
		{"records behind the commit", new(commit(topic, books)), 50, 500, nil, Pass, 70, ""},
		{"lost", new(commit(topic, lossy)), 0, 100, nil, Fail, 60, "gone from Kafka"},
		{"begun by another tool", new(commit(topic, unproven)), 0, 100, nil, Unproven, 70, "committed without books"},
		{"no line", &resume.Commit{Offset: 100, Epoch: -1}, 20, 100, nil, Unproven, 0, "80 offsets before it"},
		{"no commit", nil, 0, 100, nil, Unfinished, 0, "has no commit"},
		{"sums that do not close", new(commit(topic, open)), 0, 100, nil, Unfinished, 0, "does not add up"},
		{"the topic was created again", new(commit(deleted, books)), 0, 100, nil, Unfinished, 0, "was deleted"},
		{"the topic is gone", new(commit(topic, books)), 0, 0, kerr.UnknownTopicOrPartition, Unfinished, 70, "not in Kafka any more"},
		{"retention passed the commit", new(commit(topic, books)), 120, 500, nil, Unfinished, 70, "gone from Kafka"},
		{"the log was cut off", new(commit(topic, books)), 0, 90, nil, Unfinished, 70, "cut off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := part.ID{Topic: "orders", Num: 0}
			s := &source.Survey{Cluster: cluster, Topics: map[string]source.SurveyedTopic{"orders": {ID: topic}},
				Commits: make(map[part.ID]resume.Commit), Logs: map[part.ID]source.Log{id: {Start: tt.start, End: tt.end, Err: tt.err}}}
			if tt.commit != nil {
				s.Commits[id] = *tt.commit
			}
			v := newReport("queue", []PartitionReport{ledgerRow(id, s)})
			if p := v.Partitions[0]; v.Result != tt.want || p.Final != tt.final || !strings.Contains(p.Reason, tt.reason) || p.Closed != (tt.want == Pass) {
				t.Errorf("row %+v, want %s with %d final and a reason with %q", p, tt.want, tt.final, tt.reason)
			}
		})
	}
}

// The books are read beside a bridge that runs, and do not disturb it.
func TestLedgerTellsWhatARunningBridgeCommitted(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(2))
	e.produce("orders", 0, 0, 300, 0)
	e.produce("orders", 1, 0, 200, 0)
	ask := func() (Report, error) { return Ledger(t.Context(), e.config("queue"), Deps{Log: testLog(t)}) }
	if _, err := ask(); !errors.Is(err, ErrNoBooks) {
		t.Errorf("before the first start: %v, want ErrNoBooks", err)
	}
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 300)
	e.waitCommitted("orders", 1, 200)
	v, err := ask()
	if err != nil || v.Result != Pass || v.Sums.Final != 500 || len(v.Partitions) != 2 || v.Partitions[0].Committed != 300 {
		t.Errorf("Ledger = %+v, %v; want 500 final", v, err)
	}
	if err := r.drain(); err != nil {
		t.Error(err)
	}
	if again, err := ask(); err != nil || again.Sums != v.Sums {
		t.Errorf("after the bridge has ended: %+v, %v; want the same sums", again.Sums, err)
	}
}
