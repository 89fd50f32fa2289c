//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/frame"
)

// Retention takes what a bridge that is away has not delivered. on_gap: stop stops the partition with the interval, in run and in
// migrate; continue books it as lost, which no report passes.
func offsetsGone(b *bench, k *kafka, to *faultySink) {
	const group, topic = "gone", "gone"
	topics := []string{topic}
	k.createTopics(1, 1, topics)
	k.createTopics(1, 1, to.topics(topics))
	admin := b.freeAddr()
	s := bridgeSettings(k.cluster, group, topics, to.sink).set("admin.listen", admin)
	l := newLedger()
	l.produce(k.cluster, 20, topics...)
	if r, code, log := b.report("migrate", s); code != 0 {
		b.Fatalf("migrate before the gap: exit %d, %+v\n%s", code, r, log)
	}
	l.produce(k.cluster, 20, topics...)
	gone := make(kadm.Offsets)
	gone.AddOffset(topic, 0, 30, -1)
	if _, err := k.admin.DeleteRecords(b.Context(), gone); err != nil {
		b.Fatal(err)
	}

	const says = "offsets 20 to 29"
	bridge := b.startBridge("gone", s)
	b.eventually(drainLimit, func() error {
		status, err := b.statusAt(admin)
		if err != nil {
			return err
		}
		for i := range status.Conditions {
			if c := &status.Conditions[i]; c.Code == reason.Gap && c.Object == topic+"/0" && c.Offset == 20 && strings.Contains(c.Sentence, says) {
				return nil
			}
		}
		return fmt.Errorf("no condition gap at offset 20 in %+v\n%s", status.Conditions, bridge.tail())
	})
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 3 {
		b.Errorf("exit %d, want 3: the partition is stopped\n%s", code, bridge.tail())
	}
	r, code, log := b.report("migrate", s)
	if row := of(&r, topic); code != 3 || row.Committed != 20 || !strings.Contains(row.Reason, says) {
		b.Errorf("migrate: exit %d and %+v, want 3 at 20 with the interval\n%s", code, row, log)
	}
	if n := len(to.values(b, topic)[topic]); n != 20 {
		b.Errorf("%d records arrived while the partition is stopped, want the first 20", n)
	}

	s.set("delivery.on_gap", "continue")
	for _, command := range []string{"migrate", "ledger"} {
		r, code, log = b.report(command, s)
		if row := of(&r, topic); code != 4 || r.Result != connector.Fail || row.Lost != 10 || row.Final != 30 || row.Committed != 40 {
			b.Errorf("%s with on_gap: continue: exit %d and %+v, want 4 and 10 lost of 40\n%s", command, code, row, log)
		}
	}
	got := to.values(b, topic)[topic]
	for id, at := range l.all() {
		if want := btoi(at.offset < 20 || at.offset >= 30); int64(got[string(valueOf(id))]) != want {
			b.Errorf("the record at offset %d arrived %d times, want %d", at.offset, got[string(valueOf(id))], want)
		}
	}
}

// Packs of so many partitions that what they tell of their records fills its attribute. They are sealed before that, and each
// tells the offset of every record.
func lineageFull(b *bench, k *kafka, to *faultySink) {
	const (
		group, topic = "lineage", "lineage"
		partitions   = 200
		most         = 768 // characters
	)
	topics := []string{topic}
	k.createTopics(partitions, 1, topics)
	k.createTopics(1, 1, to.topics(topics))
	cluster, id := k.idOf(topic)
	l := newLedger()
	l.produce(k.cluster, 20*partitions, topics...)
	admin := b.freeAddr()
	bridge := b.startBridge("lineage", bridgeSettings(k.cluster, group, topics, to.sink).set("admin.listen", admin).set("pack.linger", "500ms"))
	k.caughtUp(group, topics, drainLimit, bridge)
	metrics, _, err := b.get("http://" + admin + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	full := regexp.MustCompile(`inlong_bridge_sender_packs_trail_full_total\{[^}]*stream="` + topic + `"[^}]*\} [1-9]`)
	if !full.MatchString(metrics) {
		b.Errorf("no pack was sealed because its lineage is full, so this shows nothing")
	}
	places := make(map[string]place)
	for id, at := range l.all() {
		places[string(valueOf(id))] = at
	}
	packs := 0
	err = kafkahandler.ReadAll(b.Context(), k.opts, to.topics(topics), func(p kafkahandler.Pack) error {
		packs++
		src, _ := frame.Attribute(p.Pack.Attr, lineage.Attr)
		tells, err := lineage.Decode(string(src), len(p.Records))
		if err != nil || len(src) > most || len(p.Pack.Attr) > 2<<10 {
			return fmt.Errorf("pack at offset %d: src has %d characters, the attributes %d: %w", p.Offset, len(src), len(p.Pack.Attr), err)
		}
		n := 0
		for r := range tells.Records() {
			at, ok := places[string(p.Records[n])]
			if want := lineage.SourceOf(lineage.ClusterOf(cluster), id, topic, at.partition); !ok || tells.Sources[r.Source].Source != want || r.Offset != at.offset {
				return fmt.Errorf("pack at offset %d: record %d is of %+v at %d, or repeated; want %+v", p.Offset, n, tells.Sources[r.Source], r.Offset, at)
			}
			delete(places, string(p.Records[n]))
			n++
		}
		return p.Err
	})
	if err != nil {
		b.Error(err)
	}
	if len(places) > 0 {
		b.Errorf("%d records are in no pack", len(places))
	}
	b.Logf("%d records in %d packs", l.size(), packs)
}
