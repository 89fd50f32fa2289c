//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/lineage"
)

// Key, headers, timestamp and origin of records go through the bridge and devproxy into the queue, as attributes and as an
// envelope, and InLong's own InLongMsg finds them all, with the bytes that were produced and the attributes of the rule's packs.
func TestInLongReadsWhatTravelsWithARecord(t *testing.T) {
	t.Parallel()
	r := need(t, "inlong")
	b := newBench(t)
	topics := []string{"attributes", "envelopes"}
	kafka := b.embedded(1)
	kafka.createTopics(2, 1, topics)
	to := b.startSink(kafka, 1, topics, 2, "--queue-delay", "100ms")

	header := func(pairs ...any) (hs []kgo.RecordHeader) {
		for i := 0; i < len(pairs); i += 2 {
			h := kgo.RecordHeader{Key: pairs[i].(string)}
			if v, ok := pairs[i+1].(string); ok {
				h.Value = []byte(v)
			}
			hs = append(hs, h)
		}
		return hs
	}
	keys := [][]byte{nil, {}, []byte("customer 1"), []byte("größe&=|%+#"), {0, 0xff, '\n'}}
	headers := [][]kgo.RecordHeader{
		nil, header("trace", "0af7651916cd43dd"), header("größe", "ü & = |", "content-type", "application/json"),
		header("dup", "1", "other", "x", "dup", "", "dup", nil, "", "no name"), header("groupId", "other", "k.key", "x", "dup#2", "y", "bytes", "\x00\xff%41"),
	}
	values := [][]byte{[]byte("plain"), []byte(`{"text":"größer & = \"x\""}`), {0xff, 0, 0xfe}, {}, nil}
	began := time.UnixMilli(1760000000123)
	var records []*kgo.Record
	for i := range 500 {
		for _, topic := range topics {
			records = append(records, &kgo.Record{
				Topic: topic, Key: keys[i%len(keys)], Headers: headers[i/5%len(headers)], Value: values[i/25%len(values)],
				Timestamp: began.Add(time.Duration(i) * 77 * time.Millisecond),
			})
		}
	}
	if err := kafka.client.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	const group = "forward"
	forward := map[string]any{"key": true, "headers": "/.*/", "timestamp": true, "origin": true}
	s := bridgeSettings(kafka, group, topics, to).set("routes", []any{
		map[string]any{"topics": topics[0], "group": streamGroup, "stream": "{topic}", "forward": forward, "tombstone": "skip", "attrs": map[string]any{"env": "prod", "dc": "eu 1"}},
		map[string]any{"topics": topics[1], "group": streamGroup, "stream": "{topic}", "forward": forward, "envelope": "json", "attrs": map[string]any{"env": "prod", "dc": "eu 1"}},
	})
	kafka.caughtUp(group, topics, drainLimit, b.startBridge("bridge", s))

	meta, err := kafka.admin.Metadata(b.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]forwarded.Record) // by topic, partition and offset
	for _, rec := range records {
		if rec.Topic == topics[0] && len(rec.Value) == 0 {
			continue // skipped
		}
		x := forwarded.Record{
			Key: rec.Key, Value: rec.Value, Timestamp: rec.Timestamp.UnixMilli(),
			Origin: forwarded.Origin{
				Cluster: lineage.ClusterOf(meta.Cluster).String(), Topic: rec.Topic, TopicID: meta.Topics[rec.Topic].ID, Partition: rec.Partition, Offset: rec.Offset,
			},
		}
		for _, h := range rec.Headers {
			x.Headers = append(x.Headers, forwarded.Header{Name: h.Key, Value: h.Value})
		}
		want[placeOf(x)] = x
	}
	all := maps.Clone(want)
	for _, block := range b.blocksByInLong(r, kafka.values(to.topics(topics))) {
		attrs := make(map[string]string)
		for pair := range strings.SplitSeq(block.attr, "&") {
			name, value, _ := strings.Cut(pair, "=")
			attrs[name] = value
		}
		if attrs["env"] != "prod" || attrs["dc"] != "eu 1" || attrs["groupId"] != streamGroup || attrs["streamId"] == "" {
			t.Fatalf("InLong reads the attributes %q, want those of the rule's packs among them", block.attr)
		}
		for _, data := range block.records {
			var got forwarded.Record
			if attrs["streamId"] == topics[0] {
				got = fromMap(t, attrs, all)
				got.Value = data
			} else if got, err = forwarded.FromEnvelope(data); err != nil {
				t.Fatal(err)
			}
			x, ok := want[placeOf(got)]
			if !ok {
				t.Fatalf("%+v came twice, or was not to be sent", got)
			}
			if !reflect.DeepEqual(got, x) {
				t.Errorf("InLong reads %+v with the attributes %q; produced was %+v", got, block.attr, x)
			}
			delete(want, placeOf(got))
		}
	}
	if len(want) > 0 {
		t.Errorf("%d of %d records did not arrive", len(want), len(all))
	}
	t.Logf("InLong read %d records as they were produced", len(all))
}

func placeOf(r forwarded.Record) string {
	return fmt.Sprintf("%s/%d/%d", r.Origin.Topic, r.Origin.Partition, r.Origin.Offset)
}

// fromMap reads attributes in the way of a consumer in another language: it has a map of them, and an ordinary decoder of URLs. A map
// has lost the order of headers of different names, so they are put in the order of what was produced.
func fromMap(t *testing.T, attrs map[string]string, produced map[string]forwarded.Record) (r forwarded.Record) {
	t.Helper()
	text := func(value string) []byte {
		b, err := url.PathUnescape(value)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(b)
	}
	if key, ok := attrs["k.key"]; ok {
		r.Key = text(key)
	}
	var err error
	if r.Timestamp, err = strconv.ParseInt(attrs["k.ts"], 10, 64); err != nil {
		t.Fatal(err)
	}
	place, err := forwarded.FromAttrs([]byte("k.at=" + attrs["k.at"]))
	if err != nil {
		t.Fatal(err)
	}
	r.Origin = place.Origin
	seen, found := make(map[string]int), 0
	for _, h := range produced[placeOf(r)].Headers {
		seen[h.Name]++
		name := "h." + url.PathEscape(h.Name)
		for _, plain := range [][2]string{{"&", "%26"}, {"=", "%3D"}, {"+", "%2B"}, {"$", "%24"}} { // what PathEscape leaves
			name = strings.ReplaceAll(name, plain[0], plain[1])
		}
		if n := seen[h.Name]; n > 1 {
			name += fmt.Sprint("#", n)
		}
		value, ok := attrs[name]
		if !ok {
			t.Fatalf("InLong has no attribute %q among %q", name, attrs)
		}
		found++
		if value == "!" {
			r.Headers = append(r.Headers, forwarded.Header{Name: h.Name})
		} else {
			r.Headers = append(r.Headers, forwarded.Header{Name: h.Name, Value: text(value)})
		}
	}
	for name := range attrs {
		if strings.HasPrefix(name, "h.") {
			found--
		}
	}
	if found != 0 {
		t.Fatalf("InLong has other headers than were produced: %q", attrs)
	}
	return r
}
