package deadletter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/deadletter"
)

func letter() deadletter.Letter {
	return deadletter.Letter{
		Reason: "refused", Sentence: "two proxies refuse it", Cluster: "c1", Topic: "orders", TopicID: [16]byte{1, 2, 3},
		Partition: 3, Offset: 17, Last: 17, Time: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC), Instance: "abc", Attempts: 2,
	}
}

func random(r *rand.Rand) (*kgo.Record, deadletter.Letter) {
	some := func() []byte {
		switch r.IntN(4) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	l := letter()
	l.Topic, l.Partition, l.Offset = "t."+fmt.Sprint(r.IntN(9)), r.Int32(), r.Int64N(1<<62)
	l.Last, l.Attempts, l.Sentence, l.Instance = l.Offset+r.Int64N(100), r.IntN(9), string(some()), string(some())
	l.Time = time.UnixMilli(r.Int64N(2e12)).UTC()
	if r.IntN(3) == 0 {
		l.TopicID = [16]byte{}
	}
	rec := &kgo.Record{
		Key: some(), Value: some(), Timestamp: time.UnixMilli(r.Int64N(2e12) - 1), Topic: l.Topic, Partition: l.Partition, Offset: l.Offset,
	}
	names := []string{"", "a", deadletter.HeaderLetter, deadletter.HeaderKey, deadletter.HeaderReason, deadletter.Prefix}
	for range r.IntN(4) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: names[r.IntN(len(names))], Value: some()})
	}
	return rec, l
}

func TestLettersGiveBackTheirOriginals(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		original, l := random(r)
		depth := 1 + r.IntN(3) // a letter may become a letter again
		in, inside := original, []deadletter.Letter{l}
		letter := deadletter.Encode(original, l)
		for range depth - 1 {
			_, outer := random(r)
			letter.Topic, letter.Partition, letter.Offset = outer.Topic, outer.Partition, outer.Offset
			letter, inside = deadletter.Encode(letter, outer), append(inside, outer)
		}
		for i := depth - 1; i >= 0; i-- {
			got, out, err := deadletter.Decode(letter)
			if err != nil {
				t.Fatalf("seed %d, depth %d: %v", seed, i, err)
			}
			if !reflect.DeepEqual(got, inside[i]) {
				t.Fatalf("seed %d, depth %d: letter\n%+v\nwant\n%+v", seed, i, got, inside[i])
			}
			letter = out
		}
		if !reflect.DeepEqual(letter, in) {
			t.Fatalf("seed %d: original\n%+v\nwant\n%+v", seed, letter, in)
		}
	}
}

func TestLetterKeepsTheOriginalsBytesInPlace(t *testing.T) {
	original := &kgo.Record{
		Key: []byte{}, Value: []byte("v"), Timestamp: time.UnixMilli(1234),
		Headers: []kgo.RecordHeader{{Key: deadletter.HeaderKey, Value: []byte("theirs")}, {Key: "a"}},
	}
	got := deadletter.Encode(original, letter())
	var want []kgo.RecordHeader
	for _, h := range [][2]string{
		{"letter", "1 14"}, {"reason", "refused"}, {"sentence", "two proxies refuse it"}, {"cluster", "c1"}, {"topic", "orders"},
		{"topic-id", "AQIDAAAAAAAAAAAAAAAAAA"}, {"partition", "3"}, {"offset", "17"}, {"last-offset", "17"}, {"timestamp", "1234"},
		{"time", "2026-01-02T03:04:05.678Z"}, {"instance", "abc"}, {"attempts", "2"}, {"key", ""},
	} {
		want = append(want, kgo.RecordHeader{Key: "inlong-bridge." + h[0], Value: []byte(h[1])})
	}
	if want = append(want, original.Headers...); !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("headers = %q\nwant %q", got.Headers, want)
	}
	if string(got.Key) != "AQIDAAAAAAAAAAAAAAAAAA/3/17" || string(got.Value) != "v" || !got.Timestamp.Equal(original.Timestamp) {
		t.Errorf("key %q, value %q, timestamp %v; want the identity, and the original's", got.Key, got.Value, got.Timestamp)
	}
}

func TestTopicsWithoutIdsAreToldApart(t *testing.T) {
	a, b := letter(), letter()
	a.TopicID, b.TopicID, b.Topic = [16]byte{}, [16]byte{}, "payments"
	if a.Identity() != ":orders/3/17" || a.Identity() == b.Identity() {
		t.Errorf("identities %q and %q, want the topics' names in them", a.Identity(), b.Identity())
	}
}

func TestLongSentencesAreCutBetweenCharacters(t *testing.T) {
	l := letter()
	l.Sentence = "x" + strings.Repeat("é", deadletter.MaxSentence)
	got, _, err := deadletter.Decode(deadletter.Encode(&kgo.Record{}, l))
	if err != nil || len(got.Sentence) != deadletter.MaxSentence-1 || !utf8.ValidString(got.Sentence) {
		t.Errorf("a sentence of %d bytes, valid: %v, error %v; want %d", len(got.Sentence), utf8.ValidString(got.Sentence), err, deadletter.MaxSentence-1)
	}
}

func TestWhatIsNoLetterIsAnError(t *testing.T) {
	change := func(name, value string) func(*kgo.Record) {
		return func(r *kgo.Record) {
			for i := range r.Headers {
				if r.Headers[i].Key == deadletter.Prefix+name {
					r.Headers[i].Value = []byte(value)
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		spoil func(*kgo.Record)
		want  string
	}{
		"no headers":           {func(r *kgo.Record) { r.Headers = nil }, "no dead letter"},
		"another first header": {func(r *kgo.Record) { r.Headers = r.Headers[1:] }, "no dead letter"},
		"another version":      {change("letter", "2 14"), "this bridge knows version 1"},
		"no count":             {change("letter", "1"), "no number"},
		"too small a count":    {change("letter", "1 3"), "counts 3 headers"},
		"too large a count":    {func(r *kgo.Record) { r.Headers = r.Headers[:13] }, "the record has 13"},
		"headers swapped":      {func(r *kgo.Record) { r.Headers[3], r.Headers[4] = r.Headers[4], r.Headers[3] }, "header 4 is"},
		"null in a header":     {func(r *kgo.Record) { r.Headers[1].Value = nil }, "has no value"},
		"another key":          {func(r *kgo.Record) { r.Key = []byte("k") }, `the key is "k"`},
		"a range of nothing":   {change("last-offset", "16"), "offsets 17 to 16"},
		"an offset with a 0":   {change("offset", "017"), "no number"},
		"no time":              {change("time", "2026-01-02"), "want a time"},
		"a short topic id":     {change("topic-id", "AQID"), "no topic id"},
		"a long sentence":      {change("sentence", strings.Repeat("x", 2000)), "2000 bytes"},
	} {
		r := deadletter.Encode(&kgo.Record{Key: []byte("k")}, letter())
		tt.spoil(r)
		if _, original, err := deadletter.Decode(r); err == nil || !strings.Contains(err.Error(), tt.want) || original != nil {
			t.Errorf("%s: error %v, want one that says %q", name, err, tt.want)
		}
	}
}

// FuzzDecode: what Decode takes, Encode writes again in the same bytes.
func FuzzDecode(f *testing.F) {
	add := func(r *kgo.Record) {
		h, err := json.Marshal(r.Headers)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Key, r.Value, h)
	}
	for seed := range uint64(20) {
		original, l := random(rand.New(rand.NewPCG(seed, 2)))
		letter := deadletter.Encode(original, l)
		add(letter)
		add(deadletter.Encode(letter, l))
	}
	f.Fuzz(func(t *testing.T, key, value, headers []byte) {
		r := &kgo.Record{Key: key, Value: value, Timestamp: time.UnixMilli(7)}
		if json.Unmarshal(headers, &r.Headers) != nil {
			return
		}
		l, original, err := deadletter.Decode(r)
		if err != nil {
			return
		}
		again := deadletter.Encode(original, l)
		if !bytes.Equal(again.Key, r.Key) || !bytes.Equal(again.Value, r.Value) || (again.Value == nil) != (r.Value == nil) || !reflect.DeepEqual(again.Headers, r.Headers) {
			t.Fatalf("%+v\ndecodes and encodes as\n%+v", r, again)
		}
	})
}

// In a topic that is compacted, a record without a value removes those with its key.
func TestLetterOfANullValueIsNoTombstone(t *testing.T) {
	for name, value := range map[string][]byte{"null": nil, "empty": {}} {
		r := deadletter.Encode(&kgo.Record{Key: []byte("k"), Value: value, Timestamp: time.UnixMilli(5)}, deadletter.Letter{Topic: "orders", Time: time.UnixMilli(7)})
		if r.Value == nil {
			t.Errorf("%s: the letter has no value", name)
		}
		_, original, err := deadletter.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if (original.Value == nil) != (value == nil) || len(original.Value) > 0 {
			t.Errorf("%s: the original's value is %#v", name, original.Value)
		}
	}
}
