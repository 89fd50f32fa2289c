package route

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
)

func contentOf(t *testing.T, rest string) *Content {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte("- {topics: t, group: g, stream: s, "+rest+"}"), &n); err != nil {
		t.Fatal(err)
	}
	tab, problems := mapping.Parse(n.Content[0])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return NewContent(tab.ForTopic("t").Content(), "kafka-1", "t", [16]byte{7}, 3)
}

// Queues keep these names for as long as they keep anything.
func TestClusterHashNeverChanges(t *testing.T) {
	if got := ClusterHash("kafka-1"); got != clusterOne {
		t.Errorf("ClusterHash = %q, want %q as released", got, clusterOne)
	}
	if a, b := ClusterHash("kafka-1"), ClusterHash("kafka-2"); a == b || len(b) != 8 || ClusterHash("") != "" {
		t.Errorf("%q and %q, want 8 characters of their own, and none for no id", a, b)
	}
}

const clusterOne = "85IykfZY"

const everything = "forward: {key: true, headers: [trace, /x-.*/], timestamp: true, origin: true}, "

func TestBodyHasWhatTheRuleNames(t *testing.T) {
	rec := &kgo.Record{
		Topic: "t", Partition: 3, Offset: 17, Key: []byte("k"), Value: []byte("v"), Timestamp: time.UnixMilli(1760000000123),
		Headers: []kgo.RecordHeader{{Key: "other", Value: []byte("o")}, {Key: "x-a", Value: nil}, {Key: "trace", Value: []byte("1")}, {Key: "trace", Value: []byte("2")}},
	}
	want := forwarded.Record{
		Key: []byte("k"), Timestamp: 1760000000123, Value: []byte("v"),
		Headers: []forwarded.Header{{Name: "x-a"}, {Name: "trace", Value: []byte("1")}, {Name: "trace", Value: []byte("2")}},
		Origin:  forwarded.Origin{Cluster: clusterOne, Topic: "t", TopicID: [16]byte{7}, Partition: 3, Offset: 17},
	}
	b := contentOf(t, everything+"envelope: json").Of(rec)
	if got, err := forwarded.FromEnvelope(b.Payload); err != nil || b.Aside || b.Attrs != nil || b.Size != len(b.Payload) || !reflect.DeepEqual(got, want) {
		t.Errorf("envelope %s reads as %+v, %v; want %+v", b.Payload, got, err, want)
	}
	b = contentOf(t, everything+"tombstone: skip").Of(rec)
	var text []string
	for _, a := range b.Attrs {
		text = append(text, a.Key+"="+a.Value)
	}
	want.Value = nil
	if got, err := forwarded.FromAttrs([]byte(strings.Join(text, "&"))); err != nil || &b.Payload[0] != &rec.Value[0] || !reflect.DeepEqual(got, want) {
		t.Errorf("attributes %q beside %q read as %+v, %v; want %+v beside the value itself", text, b.Payload, got, err, want)
	}
	if b.Size < len("v")+len(strings.Join(text, "&")) {
		t.Errorf("size %d, want %q and the value counted in", b.Size, text)
	}
	b = (*Content)(nil).Of(rec)
	if !reflect.DeepEqual(b, Body{Payload: []byte("v"), Size: 1}) {
		t.Errorf("without a rule about content: %+v, want the value alone", b)
	}
}

func TestRecordsThatDoNotTravel(t *testing.T) {
	large := []kgo.RecordHeader{{Key: "trace", Value: make([]byte, 2000)}} // 6,000 bytes when escaped
	for _, tt := range []struct {
		rule    string
		value   []byte
		headers []kgo.RecordHeader
		aside   string // the class of one that does not travel
		payload string
	}{
		{everything + "tombstone: skip", nil, nil, "tombstone", ""},
		{everything + "tombstone: skip", []byte{}, nil, "tombstone", ""},
		{everything + "tombstone: skip", []byte("v"), nil, "", "v"},
		{everything + "tombstone: dead_letter", nil, nil, "tombstone", ""},
		{everything + "tombstone: skip", []byte("v"), large, "too_large", ""},
		{everything + "tombstone: skip", nil, large, "tombstone", ""},
		{"forward: {key: true}, tombstone: skip", []byte("v"), large, "", "v"},
		{everything + "envelope: json", []byte("v"), large, "too_large", ""},
		{"envelope: json", nil, nil, "", `{"value":null}`},
		{"envelope: json", []byte{}, nil, "", `{"value":""}`},
		{"envelope: json, tombstone: empty", nil, nil, "", ""},
		{"envelope: json, tombstone: dead_letter", []byte{}, nil, "tombstone", ""},
		{"tombstone: skip", nil, nil, "tombstone", ""},
		{"tombstone: skip", []byte("v"), large, "", "v"},
	} {
		rec := &kgo.Record{Topic: "t", Offset: 5, Value: tt.value, Headers: tt.headers, Timestamp: time.UnixMilli(1)}
		b := contentOf(t, tt.rule).Of(rec)
		got := ""
		if b.Aside {
			got = b.Class.String()
			if h := b.Stop(rec, [16]byte{}); got == "too_large" && (h == nil || h.Code != reason.TooLarge || h.Offset != 5) {
				t.Errorf("%s: stopped by %+v, want %s at 5", tt.rule, h, tt.aside)
			}
		}
		if got != tt.aside || string(b.Payload) != tt.payload {
			t.Errorf("%s of %q: aside %q with %q, want %q with %q", tt.rule, tt.value, got, b.Payload, tt.aside, tt.payload)
		}
	}
	if contentOf(t, "envelope: none") != nil {
		t.Error("a rule without anything about content has one, and every record would pay for it")
	}
}

// The client turns milliseconds into a time, and some do not come back: no number is better than a wrong one.
func TestTimestampTravelsAsTheBrokerHasIt(t *testing.T) {
	for _, tt := range []struct {
		at   time.Time
		want int64
	}{
		{asTheClientDoes(1760000000123), 1760000000123},
		{asTheClientDoes(0), 0},
		{asTheClientDoes(-1), forwarded.NoTimestamp},
		{asTheClientDoes(4_000_000_000_000), 4_000_000_000_000}, // behind 2038, where the pack's time is that of arrival
		{asTheClientDoes(time.Date(2025, 6, 1, 0, 0, 0, 1000, time.UTC).UnixMicro()), forwarded.NoTimestamp},
	} {
		b := contentOf(t, "forward: {timestamp: true}, envelope: json").Of(&kgo.Record{Topic: "t", Timestamp: tt.at})
		if got, err := forwarded.FromEnvelope(b.Payload); err != nil || got.Timestamp != tt.want {
			t.Errorf("%v travels as %d, %v, want %d", tt.at, got.Timestamp, err, tt.want)
		}
	}
}
