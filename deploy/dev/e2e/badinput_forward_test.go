//go:build e2e

package e2e

import (
	"bytes"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/kafkahandler"
)

// Null and empty values, and a key and headers that are not ASCII, where more than the value travels: attributes cannot stand beside a
// record without bytes, so it is skipped or becomes a dead letter, and an envelope tells null from empty.
func oddForwarded(b *bench, k *kafka, to *faultySink) {
	const group, letters = "odd-forwarded", "forwarded-letters"
	topics := []string{"forwarded-skip", "forwarded-dead_letter", "forwarded-envelope"}
	k.createTopics(1, 1, append([]string{letters}, topics...))
	k.createTopics(1, 1, to.topics(topics))
	var rules []any
	var records []*kgo.Record
	for _, topic := range topics {
		rule := map[string]any{
			"topics": []string{topic}, "group": streamGroup, "stream": "{topic}", "forward": map[string]any{"key": true, "headers": "/.*/"},
			"tombstone": strings.TrimPrefix(topic, "forwarded-"),
		}
		if topic == topics[2] {
			rule["envelope"] = "json"
		}
		rules = append(rules, rule)
		for _, value := range [][]byte{[]byte("before"), nil, {}, {0xff}} {
			r := &kgo.Record{Topic: topic, Key: []byte("schlüssel&"), Value: value, Headers: []kgo.RecordHeader{
				{Key: "größe", Value: []byte("ü = &")}, {Key: "raw", Value: []byte{0xff, 0}}, {Key: "none"}, {Key: "none", Value: []byte{}},
			}}
			records = append(records, r)
		}
	}
	if err := k.client.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
		b.Fatal(err)
	}
	s := bridgeSettings(k.cluster, group, nil, to.sink).set("dead_letter.topic", letters).set("routes", rules)
	r, code, log := b.report("migrate", s)
	if code != 0 || r.Result != connector.Pass {
		b.Errorf("migrate: exit %d and %s, want 0 and PASS\n%s", code, r.Result, log)
	}
	for i, want := range []connector.PartitionReport{{Final: 2, Skipped: 2}, {Final: 2, DeadLettered: 2}, {Final: 4}} {
		if row := of(&r, topics[i]); row.Final != want.Final || row.Skipped != want.Skipped || row.DeadLettered != want.DeadLettered {
			b.Errorf("the books of %s are %+v, want %+v", topics[i], row, want)
		}
	}

	var got []forwarded.Record
	var streams []string // of got
	err := kafkahandler.ReadAll(b.Context(), k.opts, to.topics(topics), func(p kafkahandler.Pack) error {
		items, err := p.Pack.ItemsAttrs(1 << 20)
		for _, item := range items {
			var f forwarded.Record
			if p.Stream == topics[2] {
				f, err = forwarded.FromEnvelope(item.Data)
			} else if f, err = forwarded.FromAttrs(item.Attr); err == nil {
				f.Value = item.Data
			}
			if bytes.ContainsFunc(item.Attr, func(r rune) bool { return r >= 0x80 }) {
				b.Errorf("%s: attributes %q are not ASCII", p.Stream, item.Attr)
			}
			got, streams = append(got, f), append(streams, p.Stream)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	var dead []*kgo.Record
	for _, r := range k.records(letters) {
		l, original, err := deadletter.Decode(r)
		if err != nil || l.Reason != "tombstone" || l.Topic != topics[1] {
			b.Errorf("the letter %+v, %v; want a tombstone of %s", l, err, topics[1])
			continue
		}
		dead = append(dead, original)
	}
	for i, r := range records {
		arrived, lettered := 0, 0
		for j := range got {
			if streams[j] == r.Topic && same(r, &got[j]) {
				arrived++
			}
		}
		for _, d := range dead {
			if d.Topic == r.Topic && d.Offset == r.Offset && (d.Value == nil) == (r.Value == nil) && bytes.Equal(d.Value, r.Value) && bytes.Equal(d.Key, r.Key) && len(d.Headers) == len(r.Headers) {
				lettered++
			}
		}
		odd := len(r.Value) == 0
		if want := int(btoi(!odd || r.Topic == topics[2])); arrived != want {
			b.Errorf("record %d of %s, value %q, arrived %d times as it was produced, want %d", i, r.Topic, r.Value, arrived, want)
		}
		if want := int(btoi(odd && r.Topic == topics[1])); lettered != want {
			b.Errorf("record %d of %s, value %q, became %d letters, want %d", i, r.Topic, r.Value, lettered, want)
		}
	}
	if len(got) != 8 || len(dead) != 2 {
		b.Errorf("%d records arrived and %d became letters, want 8 and 2", len(got), len(dead))
	}
}

// same reports whether what travelled is the record, null and empty told apart.
func same(r *kgo.Record, f *forwarded.Record) bool {
	equal := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if !equal(r.Key, f.Key) || !equal(r.Value, f.Value) || len(r.Headers) != len(f.Headers) {
		return false
	}
	for i, h := range r.Headers {
		if h.Key != f.Headers[i].Name || !equal(h.Value, f.Headers[i].Value) {
			return false
		}
	}
	return true
}
