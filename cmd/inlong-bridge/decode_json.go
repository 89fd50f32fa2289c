package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/lineage"
)

// packJSON is a message as --json prints it; docs/operations.md explains the keys.
type packJSON struct {
	Cluster    string       `json:"cluster,omitempty"`
	Topic      string       `json:"topic,omitempty"`
	Partition  *int32       `json:"partition,omitempty"` // null for a topic without partitions
	Offset     any          `json:"offset,omitempty"`    // Kafka: number, Pulsar: "ledger:entry:batch"
	Next       any          `json:"next,omitempty"`      // beside an error of the log only
	Time       string       `json:"time,omitempty"`
	Bytes      int          `json:"bytes"`
	Error      string       `json:"error,omitempty"`
	Version    *uint8       `json:"version,omitempty"`
	Group      string       `json:"group,omitempty"`
	Stream     string       `json:"stream,omitempty"`
	Mid        string       `json:"mid,omitempty"`
	EventTime  string       `json:"event_time,omitempty"`
	Count      int          `json:"count"`
	Attributes []pairJSON   `json:"attributes,omitempty"`
	Sources    []sourceJSON `json:"sources,omitempty"` // the pack's lineage
	Requeued   bool         `json:"requeued,omitempty"`
	SourcesErr string       `json:"sources_error,omitempty"`
	Headers    []pairJSON   `json:"headers,omitempty"`
	Records    []recordJSON `json:"records"`
	Value      *bytesJSON   `json:"value,omitempty"` // beside an error only
}

// bytesJSON is text, or base64 if it is not UTF-8.
type bytesJSON struct {
	Text   *string `json:"text,omitempty"`
	Base64 *string `json:"base64,omitempty"`
}

type pairJSON struct {
	Key string `json:"key"`
	bytesJSON
}

type recordJSON struct {
	N int `json:"n"`
	bytesJSON
	Source     *int       `json:"source,omitempty"` // index into sources
	Offset     *int64     `json:"offset,omitempty"` // in the source
	Attributes []pairJSON `json:"attributes,omitempty"`
}

// sourceJSON is a source of the records of a pack.
type sourceJSON struct {
	Cluster   string `json:"cluster,omitempty"` // hash of the cluster's id
	TopicID   string `json:"topic_id,omitempty"`
	TopicHash string `json:"topic_hash,omitempty"` // where brokers tell no topic ids
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed,omitempty"`
}

func sourcesOf(l *lineage.Lineage) (out []sourceJSON) {
	for _, s := range l.Sources {
		j := sourceJSON{Partition: s.Partition}
		if s.Cluster != (lineage.Cluster{}) {
			j.Cluster = s.Cluster.String()
		}
		if j.TopicID = s.Topic.String(); s.Named {
			j.TopicID, j.TopicHash = "", j.TopicID
		}
		if s.Committed != lineage.None {
			j.Committed = new(s.Committed)
		}
		out = append(out, j)
	}
	return out
}

func asJSON(b []byte) bytesJSON {
	if utf8.Valid(b) {
		return bytesJSON{Text: new(string(b))}
	}
	return bytesJSON{Base64: new(base64.StdEncoding.EncodeToString(b))}
}

// pairsOf takes an attribute string apart. A token without = has no value.
func pairsOf(attr []byte) (pairs []pairJSON) {
	for len(attr) > 0 {
		var token []byte
		token, attr, _ = bytes.Cut(attr, []byte{'&'})
		key, value, ok := bytes.Cut(token, []byte{'='})
		p := pairJSON{Key: string(key)}
		if ok {
			p.bytesJSON = asJSON(value)
		}
		pairs = append(pairs, p)
	}
	return pairs
}

func printPackJSON(w io.Writer, p *decodedPack) error {
	j := packJSON{
		Cluster: p.Cluster, Topic: p.Topic, Bytes: len(p.Value), Group: p.group, Stream: p.stream, Mid: p.mid, Count: p.count,
		Attributes: pairsOf(p.attr), Records: make([]recordJSON, len(p.records)),
	}
	if p.Partition != single {
		j.Offset = offsetJSON(p.At)
		if p.Partition >= 0 {
			j.Partition = &p.Partition
		}
	}
	if !p.Time.IsZero() {
		j.Time = p.Time.UTC().Format(time.RFC3339Nano)
	}
	if !p.eventTime.IsZero() {
		j.EventTime = p.eventTime.UTC().Format(time.RFC3339)
	}
	if p.err != nil {
		j.Error = p.err.Error()
	}
	switch {
	case p.Err != nil:
		j.Next = offsetJSON(p.Next)
	case p.err != nil:
		j.Value = new(asJSON(p.Value))
	default:
		j.Version = &p.version
	}
	if p.lineageErr != nil {
		j.SourcesErr = p.lineageErr.Error()
	}
	if p.lineage != nil {
		j.Sources, j.Requeued = sourcesOf(p.lineage), p.lineage.Requeued
	}
	for _, h := range p.Headers {
		j.Headers = append(j.Headers, pairJSON{h.Key, asJSON([]byte(h.Value))})
	}
	for i, r := range p.records {
		j.Records[i] = recordJSON{N: r.n, bytesJSON: asJSON(r.data), Attributes: pairsOf(r.attr)}
		if r.origin != nil {
			j.Records[i].Source, j.Records[i].Offset = &r.origin.Source, &r.origin.Offset
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(j)
}

func offsetJSON(o confirm.Offset) any {
	if o.Ledger == 0 && o.Batch == 0 {
		return o.Entry
	}
	return o.String()
}
