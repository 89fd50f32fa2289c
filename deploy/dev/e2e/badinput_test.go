//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping/queuetopic"
)

// odd is one kind of bad input: a record among good ones, or a stream that the proxies do not know.
type odd struct {
	name   string
	group  string            // of the route, streamGroup if empty
	stream string            // of the route, {topic} if empty
	spoil  func(*kgo.Record) // makes a good record odd; nil where the stream is at fault
	code   reason.Code       // why its partition stands still; "" for what is delivered as it is
	says   string            // in the reason
	exact  bool              // found before it is sent: nothing behind the odd record is sent while the partition stands
	rule   map[string]any    // more keys of the route
	other  bool              // the rule has an unmatched that sends the record to the stream of the good ones
	held   bool              // nothing of its pack is delivered while the partition stands
}

// oddities are the records and streams that are tried. Each has a topic of its own.
func oddities() []odd {
	return []odd{
		{name: "fine"},
		{name: "too-large", spoil: func(r *kgo.Record) { r.Value = noise(600 << 10) }, code: reason.TooLarge, says: "inlong.max_frame", exact: true},
		{
			name: "headers-too-large", rule: map[string]any{"forward": map[string]any{"headers": "/.*/"}, "tombstone": "skip"},
			spoil: manyHeaders, code: reason.TooLarge, says: "4096", exact: true,
		},
		{name: "poison", spoil: func(r *kgo.Record) { r.Value = []byte("poison") }, code: reason.Poison, says: "connection"},
		{name: "refused", spoil: func(r *kgo.Record) { r.Value = []byte("refused") }, code: reason.Refused, says: "102", held: true},
		{name: "key", stream: "{key}", spoil: func(r *kgo.Record) {
			r.Key = []byte("a&b")
			manyHeaders(r)
		}, code: reason.Unrouted, says: `"a&b"`, exact: true},
		{name: "no-key", stream: "{key}", spoil: func(r *kgo.Record) { r.Key, r.Value = nil, nil }, code: reason.Unrouted, says: "no key", exact: true},
		{name: "empty-key", stream: "{key}", spoil: func(r *kgo.Record) { r.Key, r.Value = []byte{}, []byte{} }, code: reason.Unrouted, says: "stream", exact: true},
		{name: "unmatched", stream: "{key}", other: true, spoil: func(r *kgo.Record) { r.Key = []byte("a=b") }},
		{name: "header", stream: "{header:type}", spoil: func(r *kgo.Record) { header(r, "a=b") }, code: reason.Unrouted, says: `"a=b"`, exact: true},
		{name: "not-ascii", stream: "{header:type}", spoil: func(r *kgo.Record) { header(r, "größe") }, code: reason.Unrouted, says: "ASCII", exact: true},
		{name: "many-headers", stream: "{header:type}", spoil: manyHeaders},
		{name: "null", spoil: func(r *kgo.Record) { r.Value = nil }},
		{name: "empty", spoil: func(r *kgo.Record) { r.Value = []byte{} }},
		{name: "unknown-group", group: "nobody", code: reason.UnknownStream, says: "nobody", exact: true},
		{name: "unknown-stream", code: reason.UnknownStream, says: "unknown-stream", exact: true},
	}
}

func header(r *kgo.Record, value string) {
	r.Headers = []kgo.RecordHeader{{Key: "type", Value: []byte(value)}}
}

// noise is bytes that do not shrink.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// manyHeaders adds headers up to 1,000, of any bytes.
func manyHeaders(r *kgo.Record) {
	for i := range 1000 - len(r.Headers) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: fmt.Sprintf("größe-%d", i), Value: []byte{0xff, 0, byte(i)}})
	}
}

// badInput runs all oddities beside each other: the partition of each stands still at its record with the reason, or
// goes on past it as the configuration says, and all other records arrive.
func badInput(b *bench, k *kafka) {
	to := b.startFaultySink(k.cluster)
	to.fault(b, "kind=bad-record&prefix=poison")
	to.fault(b, "kind=bad-record&prefix=refused&code=102")
	for _, part := range []struct {
		name string
		tell func(*bench, *kafka, *faultySink)
	}{
		{"StoppedThenSkipped", oddStopped},
		{"DeadLetters", oddLettered},
		{"DeadLetterTopic", letterTopic},
		{"OffsetsGone", offsetsGone},
		{"LineageFull", lineageFull},
		{"Forwarded", oddForwarded},
		{"DamagedBatch", damagedBatch},
	} {
		b.Run(part.name, func(t *testing.T) {
			b := b.on(t)
			part.tell(b, k.on(b), to)
		})
	}
}

// oddTopic is the topic of one oddity and what was produced to it.
type oddTopic struct {
	odd
	topic  string
	good   [][]byte    // values, in order
	record *kgo.Record // the odd one, as it was produced; nil if there is none
}

// route is the rule of the topic.
func (o *oddTopic) route(more map[string]any) map[string]any {
	r := map[string]any{"topics": []string{o.topic}, "group": streamGroup, "stream": "{topic}"}
	if o.group != "" {
		r["group"] = o.group
	}
	if o.stream != "" {
		r["stream"] = o.stream
	}
	maps.Copy(r, o.rule)
	maps.Copy(r, more)
	if o.other {
		r["unmatched"] = map[string]any{"group": streamGroup, "stream": o.topic}
		delete(r, "on_error") // both would say what becomes of the record
	}
	return r
}

// oddBeside is how many good records lie before the odd one, and behind it.
const oddBeside = 20

// produceOdd makes a topic of one partition for each oddity, and the topic of its stream in the queue.
func produceOdd(k *kafka, prefix string, to *faultySink) []*oddTopic {
	k.b.Helper()
	var all []*oddTopic
	var names []string
	for _, o := range oddities() {
		all = append(all, &oddTopic{odd: o, topic: prefix + o.name})
		names = append(names, prefix+o.name)
	}
	k.createTopics(1, 1, names)
	k.createTopics(1, 1, to.topics(names))
	var records []*kgo.Record
	for _, o := range all {
		l := newLedger()
		add := func(n int) {
			for range n {
				r := &kgo.Record{Topic: o.topic, Key: []byte(o.topic), Value: valueOf(l.id()), Timestamp: time.UnixMilli(time.Now().UnixMilli())}
				header(r, o.topic)
				o.good = append(o.good, r.Value)
				records = append(records, r)
			}
		}
		add(oddBeside)
		if o.spoil != nil {
			add(1)
			o.good = o.good[:oddBeside]
			o.record = records[len(records)-1]
			o.spoil(o.record)
		}
		add(oddBeside)
	}
	if err := k.client.ProduceSync(k.b.Context(), records...).FirstErr(); err != nil {
		k.b.Fatalf("producing odd records: %v", err)
	}
	for _, o := range all {
		if o.record != nil && o.record.Offset != oddBeside {
			k.b.Fatalf("the odd record of %s lies at offset %d, want %d", o.topic, o.record.Offset, oddBeside)
		}
	}
	return all
}

// faultySink is two proxies in one process, whose faults are switched over HTTP.
type faultySink struct {
	*sink
	control string
}

func (b *bench) startFaultySink(c *cluster) *faultySink {
	b.Helper()
	to := &faultySink{sink: &sink{queue: c, template: "queue.{group}.{stream}"}, control: b.freeAddr()}
	args := []string{"devproxy", "--manager", "", "--queue", to.url(), "--queue-delay", "100ms", "--control", to.control, "--group-stream", streamGroup}
	for range 2 {
		p := &proxy{b: b, name: "proxies", addr: b.freeAddr()}
		to.proxies = append(to.proxies, p)
		args = append(args, "--listen", p.addr)
	}
	both := to.proxies[0]
	both.begin = func() *process { return b.program(both.name, args...) }
	both.restart()
	return to
}

// fault switches a fault at both proxies.
func (s *faultySink) fault(b *bench, query string) {
	b.Helper()
	b.eventually(drainLimit, func() error {
		text, code, err := b.ask(http.MethodPost, "http://"+s.control+"/fault?"+query)
		if err == nil && code != http.StatusOK {
			b.Fatalf("POST /fault?%s: %d %s", query, code, text)
		}
		return err
	})
}

// values counts what lies in the queue of these streams of the group e2e, by value. Null and empty are one.
func (s *sink) values(b *bench, streams ...string) map[string]map[string]int {
	b.Helper()
	all := make(map[string]map[string]int)
	err := kafkahandler.ReadAll(b.Context(), s.queue.opts, s.topics(streams), func(p kafkahandler.Pack) error {
		if want := queuetopic.Template(s.template).Fill(p.Group, p.Stream); p.Err == nil && p.Topic != want {
			p.Err = fmt.Errorf("a pack of %s lies in topic %s", want, p.Topic)
		}
		if all[p.Stream] == nil {
			all[p.Stream] = make(map[string]int)
		}
		for _, r := range p.Records {
			all[p.Stream][string(r)]++
		}
		return p.Err
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// arrived wants the good records of a topic, each up to as often as most says, and the odd one if it is delivered.
func (o *oddTopic) arrived(b *bench, got map[string]int, good [][]byte, oddToo bool, most int) {
	b.Helper()
	got = maps.Clone(got)
	want := slices.Clone(good)
	if oddToo {
		want = append(want, o.record.Value)
	}
	for i, v := range want {
		if n := got[string(v)]; n < 1 || n > most {
			b.Errorf("%s: record %d of %d, %.40q, arrived %d times, want 1 to %d", o.topic, i, len(want), v, n, most)
			return
		}
		delete(got, string(v))
	}
	for v, n := range got {
		if !o.exact && slices.ContainsFunc(o.good, func(g []byte) bool { return bytes.Equal(g, []byte(v)) }) {
			continue // of behind the odd record, and not committed yet
		}
		b.Errorf("%s: %.40q arrived %d times, want it not to", o.topic, v, n)
	}
}

// stands wants the partition of the topic to stand still at its odd record, with the reason.
func (o *oddTopic) stands(s *connector.Status) error {
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Topic != o.topic {
			continue
		}
		if o.code == "" {
			if want := int64(len(o.good)) + btoi(o.record != nil); p.Final != want || p.Stall != "" {
				return fmt.Errorf("%s is final up to %d of %d and stands for %q", o.topic, p.Final, want, p.Reason)
			}
			return nil
		}
		at, offset, object := oddBeside*btoi(o.record != nil), int64(oddBeside), o.topic+"/0"
		if o.record == nil || o.code == reason.Refused { // the packs wait, and the stream has the reason
			offset, object = -1, cmp.Or(o.group, streamGroup)+"/"+o.topic
		}
		if o.record != nil && (p.Stall != string(o.code) || !strings.Contains(p.Reason, o.says)) {
			return fmt.Errorf("%s stands for %s, %q; want %s, saying %q", o.topic, p.Stall, p.Reason, o.code, o.says)
		}
		if p.Final != at && (o.exact || p.Final > at) {
			return fmt.Errorf("%s is final up to %d, want %d", o.topic, p.Final, at)
		}
		for i := range s.Conditions {
			if c := &s.Conditions[i]; c.Code == o.code && c.Object == object && c.Offset == offset && strings.Contains(c.Sentence+c.Hint, o.says) {
				return nil
			}
		}
		return fmt.Errorf("no condition %s of %s at offset %d, saying %q, in %+v", o.code, object, offset, o.says, s.Conditions)
	}
	return fmt.Errorf("%s is not assigned", o.topic)
}

func btoi(v bool) int64 {
	if v {
		return 1
	}
	return 0
}
