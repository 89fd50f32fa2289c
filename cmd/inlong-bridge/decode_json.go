package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"inlong-bridge/connector/confirm"
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
	Attributes []pairJSON `json:"attributes,omitempty"`
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
	case p.Message.Err != nil:
		j.Next = offsetJSON(p.Next)
	case p.err != nil:
		j.Value = new(asJSON(p.Value))
	default:
		j.Version = &p.version
	}
	for _, h := range p.Headers {
		j.Headers = append(j.Headers, pairJSON{h.Key, asJSON([]byte(h.Value))})
	}
	for i, r := range p.records {
		j.Records[i] = recordJSON{r.n, asJSON(r.data), pairsOf(r.attr)}
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
