package route

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/frame"
)

// ClusterHash names a Kafka cluster in a few characters, as the lineage of packs does; "" where the brokers do not tell the cluster's
// id. It never changes: what lies in queues names clusters by it.
func ClusterHash(clusterID string) string {
	if clusterID == "" {
		return ""
	}
	return lineage.ClusterOf(clusterID).String()
}

// Content makes what travels of the records of one partition. It depends on the record alone, so a record that is read again
// travels as it did before. A nil Content stands for values as they are. It never changes and is safe to share.
type Content struct {
	*mapping.Content
	fields forwarded.Fields
	origin forwarded.Origin // without the offset
}

// NewContent returns nil for a topic of whose records the value alone travels.
func NewContent(c *mapping.Content, clusterID, topic string, topicID [16]byte, partition int32) *Content {
	if c == nil {
		return nil
	}
	return &Content{
		Content: c,
		fields:  forwarded.Fields{Key: c.Key, Headers: len(c.Headers) > 0, Timestamp: c.Timestamp, Origin: c.Origin},
		origin:  forwarded.Origin{Cluster: ClusterHash(clusterID), Topic: topic, TopicID: topicID, Partition: partition},
	}
}

// Originals makes what travels of originals of letters. Those of one partition mostly follow each other, and share their Content.
type Originals struct {
	of      *requeue.Letter // that content was made for; nil at first
	content *Content
}

// Content makes what travels of the original of a letter, as of any record of the original's partition.
func (o *Originals) Content(l *requeue.Letter) *Content {
	if o.of == nil || o.of.Mapping != l.Mapping || !o.of.SameHome(l) {
		if o.of, o.content = l, nil; l.Mapping != nil {
			o.content = NewContent(l.Mapping.Content(), l.Cluster, l.Topic, l.TopicID, l.Partition)
		}
	}
	return o.content
}

// PackAttrsOf returns the attributes of packs with originals of a letter's topic, nil for none.
func PackAttrsOf(l *requeue.Letter) *sdk.PackAttrs {
	attrs, err := packAttrs(l.Mapping)
	if err != nil {
		panic("bug: the attributes of a rule were not checked: " + err.Error())
	}
	return attrs
}

// Body is what travels of a record.
type Body struct {
	Payload []byte
	Attrs   []sdk.Attr // of the record, where the content WithAttrs
	Size    int        // bytes that Payload and Attrs take of a frame, beside the length of the record

	Aside bool          // nothing travels: the rule says what becomes of records of the class
	Class mapping.Class // with Aside
	Why   string        // with Aside
}

// aside is the body of a record that does not travel.
func aside(c mapping.Class, why string) Body { return Body{Aside: true, Class: c, Why: why} }

// WithAttrs reports whether records have attributes. Those of one batch either all have some, or none has.
func (c *Content) WithAttrs() bool { return c != nil && c.Forwards() && !c.Envelope }

// Of returns what travels of a record. The body refers to the record's value where nothing is put around it.
func (c *Content) Of(rec *kgo.Record) Body {
	b := Body{Payload: rec.Value, Size: len(rec.Value)}
	if c == nil {
		return b
	}
	if len(rec.Value) == 0 && c.Tombstone != mapping.TombstoneEnvelope {
		switch {
		case c.Tombstone == mapping.TombstoneEmpty:
			return b
		case rec.Value == nil:
			return aside(mapping.ClassTombstone, "its value is null")
		}
		return aside(mapping.ClassTombstone, "its value is empty")
	}
	var err error
	switch {
	case c.Envelope:
		err = c.wrap(rec, &b)
	case c.Forwards():
		r := c.record(rec)
		b.Attrs, err = r.Attrs(c.fields)
		b.Size += AttrsSize(b.Attrs)
	}
	if err != nil {
		return aside(mapping.ClassTooLarge, err.Error())
	}
	return b
}

// AttrsSize is what the attributes of a record take: their length, and the text. A record that has none among others takes a text, too.
func AttrsSize(attrs []sdk.Attr) int {
	n := -len("&")
	for _, a := range attrs {
		n += len("&") + len(a.Key) + len("=") + len(a.Value)
	}
	return frame.ItemOverhead + max(n, len("_="))
}

// envelopeRoom is about what the names of an envelope's parts take.
const envelopeRoom = 256

func (c *Content) wrap(rec *kgo.Record, b *Body) (err error) {
	r := c.record(rec)
	b.Payload, err = r.AppendEnvelope(make([]byte, 0, envelopeRoom+len(rec.Key)+len(rec.Value)*9/8), c.fields)
	b.Size = len(b.Payload)
	return err
}

// record is the part of a record that travels.
func (c *Content) record(rec *kgo.Record) forwarded.Record {
	r := forwarded.Record{Key: rec.Key, Value: rec.Value, Timestamp: forwarded.NoTimestamp, Origin: c.origin}
	r.Origin.Offset = rec.Offset
	if l := requeue.Of(rec); l != nil {
		r.Origin.Offset = l.Offset
	}
	if c.fields.Timestamp {
		r.Timestamp = timestampOf(rec)
	}
	if c.fields.Headers {
		for i := range rec.Headers {
			if h := &rec.Headers[i]; c.Header(h.Key) {
				r.Headers = append(r.Headers, forwarded.Header{Name: h.Key, Value: h.Value})
			}
		}
	}
	return r
}

// timestampOf is the record's time as the broker has it. It has none where the client has lost the broker's number: see EventTime.
func timestampOf(rec *kgo.Record) int64 {
	if rec.Timestamp.Nanosecond()%int(time.Millisecond) != 0 {
		return forwarded.NoTimestamp
	}
	return rec.Timestamp.UnixMilli()
}

// Stop returns why a partition cannot go on at a record of which too much would travel. Tombstones never stop one.
func (b *Body) Stop(rec *kgo.Record, topic [16]byte) *reason.Reason {
	id := part.ID{Topic: rec.Topic, Num: rec.Partition}
	return part.Stop(id, reason.TooLarge, rec.Offset, part.OrSkip(fmt.Sprintf(
		"the record at offset %d of %s cannot travel: %s; hint: name fewer headers in the rule's forward, correct the producer, or add on_error: {too_large: dead_letter}",
		rec.Offset, id, b.Why), id, topic, rec.Offset))
}

// packAttrs returns the attributes of the packs of a topic's records. The configuration was read without a problem, so they are legal.
func packAttrs(t *mapping.Topic) (*sdk.PackAttrs, error) {
	var attrs []sdk.Attr
	for _, a := range t.Attrs() {
		attrs = append(attrs, sdk.Attr{Key: a.Key, Value: a.Value})
	}
	return sdk.NewPackAttrs(attrs...)
}
