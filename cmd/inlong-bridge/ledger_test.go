package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
)

// The exit code, the table and the reason tell what the queue holds.
func TestLedgerVerifySaysWhatIsMissing(t *testing.T) {
	q := startQueue(t)
	admin := kadm.NewClient(q.client)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := q.client.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	m, err := admin.Metadata(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	topic := resume.TopicID(m.Topics["orders"].ID)
	line := resume.Line{Cluster: m.Cluster, Topic: topic, Seen: resume.Sight{Partitions: 1, At: time.Now()}, At: time.Now(), Books: resume.Books{Final: 10}}
	commit := kadm.Offsets{}
	commit.Add(kadm.Offset{Topic: "orders", At: 10, LeaderEpoch: -1, Metadata: line.String()})
	if err := admin.CommitAllOffsets(t.Context(), "bridge", commit); err != nil {
		t.Fatal(err)
	}
	arrive := func(first int64, n int) {
		var b lineage.Builder
		b.Reset(lineage.MaxChars, false)
		s := lineage.SourceOf(lineage.ClusterOf(m.Cluster), topic, "orders", 0)
		var offsets []int64
		for i := range n {
			offsets = append(offsets, first+int64(i))
		}
		if b.Add(&s, lineage.None, offsets) != n {
			t.Fatal("the lineage is full")
		}
		q.put(t, 0, packValue(t, "shop", "orders", "&mid=a.1&src="+string(b.AppendTo(nil)), make([]string, n)...))
	}
	path := writeFile(t, `
kafka: {brokers: ['`+q.brokers+`'], group: bridge}
inlong: {proxies: [localhost:46801]}
routes: [{topics: orders, group: shop, stream: orders}]
queue: {kafka: [{brokers: ['`+q.brokers+`']}]}
log: {level: error}
`)
	arrive(0, 4)
	arrive(7, 3)
	code, stdout, stderr := invoke(t, "ledger", "-c", path, "--verify")
	for _, want := range []string{
		"FAIL: 3 records that the books call final are not in the queue, at the offsets 4-6",
		"IN THE QUEUE  MISSING", "2 messages of 1 topics were read: 2 packs of this group, 0 of others, 0 without lineage, 0 unreadable\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if code != exitLost || !strings.Contains(stderr, "records are lost or missing") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	arrive(3, 5)
	code, stdout, _ = invoke(t, "ledger", "-c", path, "--verify", "--json")
	var report connector.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if code != exitClean || report.Result != connector.Pass || report.Queue.Packs != 3 || report.Partitions[0].Queue.Duplicates != 2 {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if code, stdout, _ = invoke(t, "ledger", "-c", path, "--verify"); code != exitClean || !strings.Contains(stdout, "duplicates at 3-3, 7-7") || !strings.Contains(stdout, "\nPASS (") {
		t.Errorf("exit %d,\n%s", code, stdout)
	}
}

func TestLedgerSaysFromWhereItReadTheQueue(t *testing.T) {
	began := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		sums connector.QueueSums
		want string
	}{
		{connector.QueueSums{}, ""},
		{connector.QueueSums{Since: &began, Later: 3, Skipped: 7000, Uncounted: 1}, "reading began at 2026-05-01T12:00:00Z, when the books began: 7000 older messages of 2 partitions were not read; " +
			"what is older in 1 partitions, which do not count it, was not read\n"},
		{connector.QueueSums{Since: &began, Later: 2, Uncounted: 2}, "reading began at 2026-05-01T12:00:00Z, when the books began: what is older in 2 partitions, which do not count it, was not read\n"},
		{connector.QueueSums{Since: &began, OlderRead: true}, "not everything was found since 2026-05-01T12:00:00Z, when the books began: the older messages were read as well\n"},
		{connector.QueueSums{NoPosition: "no"}, "topics were read from their beginning, because their brokers do not tell where the books began: no\n"},
	} {
		if got := sinceText(&tc.sums); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.sums, got, tc.want)
		}
	}
}

func TestLedgerVerifyNeedsAQueue(t *testing.T) {
	path := writeFile(t, goodConfig)
	for _, tc := range []struct{ args, want string }{
		{"--verify", "has no queue section; hint:"},
		{"--topic orders", "--topic, --no-source, --queue-complete and --memory apply to --verify"},
		{"--queue-complete", "apply to --verify"},
	} {
		code, _, stderr := invoke(t, append([]string{"ledger", "-c", path}, strings.Fields(tc.args)...)...)
		if code != exitUsage || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: exit %d, %q, want 2 and %q", tc.args, code, stderr, tc.want)
		}
	}
}
