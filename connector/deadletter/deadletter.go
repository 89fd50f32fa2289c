package deadletter

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Names of the headers of a letter; see the package comment.
const (
	Prefix          = "inlong-bridge."
	HeaderLetter    = Prefix + "letter"
	HeaderReason    = Prefix + "reason"
	HeaderSentence  = Prefix + "sentence"
	HeaderCluster   = Prefix + "cluster"
	HeaderTopic     = Prefix + "topic"
	HeaderTopicID   = Prefix + "topic-id"
	HeaderPartition = Prefix + "partition"
	HeaderOffset    = Prefix + "offset"
	HeaderLast      = Prefix + "last-offset"
	HeaderTimestamp = Prefix + "timestamp"
	HeaderTime      = Prefix + "time"
	HeaderInstance  = Prefix + "instance"
	HeaderAttempts  = Prefix + "attempts"
	HeaderKey       = Prefix + "key"
)

// MaxSentence is the most bytes of a sentence; a longer one is cut.
const MaxSentence = 1024

// nullWord ends the value of HeaderLetter where the original's value is null.
const nullWord = " null"

const timeForm = "2006-01-02T15:04:05.000Z"

// order is the headers of a letter; only the last one may be missing.
var order = [...]string{
	HeaderLetter, HeaderReason, HeaderSentence, HeaderCluster, HeaderTopic, HeaderTopicID, HeaderPartition, HeaderOffset,
	HeaderLast, HeaderTimestamp, HeaderTime, HeaderInstance, HeaderAttempts, HeaderKey,
}

// Letter says where a record comes from and why it was not delivered.
type Letter struct {
	Reason, Sentence string
	Cluster          string // id of the source's Kafka cluster, "" if not known
	Topic            string
	TopicID          [16]byte // zero where brokers have no topic ids
	Partition        int32
	Offset, Last     int64 // Last differs where the letter holds a whole batch
	Time             time.Time
	Instance         string
	Attempts         int
}

// Identity names the original for ever: topic id, partition and offset, with a slash between them. Where brokers have no topic ids,
// a colon and the topic's name take the place of the id.
func (l *Letter) Identity() string {
	topic := idText(l.TopicID)
	if l.TopicID == ([16]byte{}) {
		topic = ":" + l.Topic
	}
	return fmt.Sprintf("%s/%d/%d", topic, l.Partition, l.Offset)
}

func idText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Is reports whether a record says that it is a letter. Decode tells whether it is a sound one.
func Is(r *kgo.Record) bool { return len(r.Headers) > 0 && r.Headers[0].Key == HeaderLetter }

// Encode returns the letter of a record, without a topic. It shares the record's bytes.
func Encode(original *kgo.Record, l Letter) *kgo.Record {
	own := len(order)
	if original.Key == nil {
		own--
	}
	values := [len(order)]string{
		"1 " + strconv.Itoa(own), l.Reason, clip(l.Sentence), l.Cluster, l.Topic, idText(l.TopicID), strconv.Itoa(int(l.Partition)),
		strconv.FormatInt(l.Offset, 10), strconv.FormatInt(l.Last, 10), strconv.FormatInt(original.Timestamp.UnixMilli(), 10),
		l.Time.UTC().Format(timeForm), l.Instance, strconv.Itoa(l.Attempts),
	}
	value := original.Value
	if value == nil { // in a topic that is compacted, a null would remove the letter
		value, values[0] = []byte{}, values[0]+nullWord
	}
	headers := make([]kgo.RecordHeader, own, own+len(original.Headers))
	for i := range headers {
		headers[i] = kgo.RecordHeader{Key: order[i], Value: []byte(values[i])}
	}
	if original.Key != nil {
		headers[own-1].Value = original.Key
	}
	return &kgo.Record{
		Key: []byte(l.Identity()), Value: value, Headers: append(headers, original.Headers...), Timestamp: original.Timestamp,
	}
}

// clip cuts a sentence between two characters.
func clip(s string) string {
	if len(s) <= MaxSentence {
		return s
	}
	n := MaxSentence
	for n > MaxSentence-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Decode returns the letter that a record holds, and the original as it lay in the source. It shares the record's bytes. A record that
// Encode would not have written is an error.
func Decode(r *kgo.Record) (Letter, *kgo.Record, error) {
	if !Is(r) {
		return Letter{}, nil, errors.New("the record is no dead letter: its first header is not " + HeaderLetter)
	}
	l, original, err := decode(r)
	if err != nil {
		return Letter{}, nil, fmt.Errorf("the dead letter cannot be read: %w", err)
	}
	return l, original, nil
}

func decode(r *kgo.Record) (l Letter, original *kgo.Record, err error) {
	version, count, _ := strings.Cut(string(r.Headers[0].Value), " ")
	count, null := strings.CutSuffix(count, nullWord)
	if version != "1" {
		return l, nil, fmt.Errorf("header %s is %q: this bridge knows version 1", HeaderLetter, clip(string(r.Headers[0].Value)))
	}
	own, err := number(HeaderLetter, count, 8)
	if err != nil {
		return l, nil, err
	}
	if own != int64(len(order)) && own != int64(len(order)-1) || own > int64(len(r.Headers)) {
		return l, nil, fmt.Errorf("header %s counts %d headers of the letter, the record has %d; want %d, and one more for a key",
			HeaderLetter, own, len(r.Headers), len(order)-1)
	}
	var v [len(order)]string
	for i, h := range r.Headers[:own] {
		if h.Key != order[i] {
			return l, nil, fmt.Errorf("header %d is %q, want %s", i+1, clip(h.Key), order[i])
		}
		if h.Value == nil {
			return l, nil, fmt.Errorf("header %s has no value", h.Key)
		}
		if i < len(order)-1 { // the key may be long, and is shared below
			v[i] = string(h.Value)
		}
	}
	original = &kgo.Record{Value: r.Value, Headers: r.Headers[own:]}
	switch {
	case r.Value == nil || null && len(r.Value) > 0:
		return l, nil, fmt.Errorf("header %s is %q, and the letter's value has %d bytes", HeaderLetter, r.Headers[0].Value, len(r.Value))
	case null:
		original.Value = nil
	}
	if len(original.Headers) == 0 {
		original.Headers = nil
	}
	if own == int64(len(order)) {
		original.Key = r.Headers[own-1].Value
	}
	if len(v[2]) > MaxSentence {
		return l, nil, fmt.Errorf("header %s has %d bytes, the most is %d", HeaderSentence, len(v[2]), MaxSentence)
	}
	l = Letter{Reason: v[1], Sentence: v[2], Cluster: v[3], Topic: v[4], Instance: v[11]}
	id, err := base64.RawURLEncoding.Strict().DecodeString(v[5])
	if err != nil || len(id) != len(l.TopicID) || idText([16]byte(id)) != v[5] {
		return l, nil, fmt.Errorf("header %s is %q, which is no topic id", HeaderTopicID, clip(v[5]))
	}
	l.TopicID = [16]byte(id)
	var partition, stamp, attempts int64
	for _, f := range []struct {
		at   int
		bits int
		to   *int64
	}{{6, 32, &partition}, {7, 64, &l.Offset}, {8, 64, &l.Last}, {9, 64, &stamp}, {12, strconv.IntSize, &attempts}} {
		if *f.to, err = number(order[f.at], v[f.at], f.bits); err != nil {
			return l, nil, err
		}
	}
	l.Partition, l.Attempts = int32(partition), int(attempts)
	if l.Time, err = time.Parse(timeForm, v[10]); err != nil || l.Time.Format(timeForm) != v[10] {
		return l, nil, fmt.Errorf("header %s is %q, want a time such as %s", HeaderTime, clip(v[10]), timeForm)
	}
	if l.Partition < 0 || l.Offset < 0 || l.Last < l.Offset || l.Attempts < 0 {
		return l, nil, fmt.Errorf("partition %d, offsets %d to %d, %d attempts: a negative number, or a range that ends before it begins",
			l.Partition, l.Offset, l.Last, l.Attempts)
	}
	if string(r.Key) != l.Identity() {
		return l, nil, fmt.Errorf("the key is %q, and the headers say %q", clip(string(r.Key)), l.Identity())
	}
	original.Topic, original.Partition, original.Offset, original.Timestamp = l.Topic, l.Partition, l.Offset, time.UnixMilli(stamp)
	return l, original, nil
}

// number reads a number that is written as Encode writes it.
func number(header, text string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("header %s is %q, which is no number of the letter", header, clip(text))
	}
	return n, nil
}
