package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"inlong-bridge/connector/lineage"
)

// Without --full, this much is printed.
const (
	shownRecords = 20
	shownBytes   = 300 // of a record or another value
)

// printPack prints one message as a block of lines.
func printPack(w io.Writer, p *decodedPack, full bool) error {
	var b bytes.Buffer
	limit := shownBytes
	if full {
		limit = maxDecoded
	}
	line := func(key, value string) { fmt.Fprintf(&b, "  %-10s  %s\n", key, value) }
	b.WriteString(p.place())
	if !p.Time.IsZero() {
		b.WriteString("  " + p.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if p.Cluster != "" {
		b.WriteString("  cluster " + p.Cluster)
	}
	switch {
	case p.Err != nil:
		fmt.Fprintf(&b, "  DAMAGED up to %v: %v\n", p.Next, p.err)
	case p.err != nil:
		fmt.Fprintf(&b, "  %d bytes  DAMAGED: %v\n", len(p.Value), p.err)
		line("value", textOf(p.Value, limit, true))
	default:
		fmt.Fprintf(&b, "  %d bytes  version %d\n", len(p.Value), p.version)
	}
	if p.group != "" || p.stream != "" {
		line("stream", textOf([]byte(p.group), limit, false)+"."+textOf([]byte(p.stream), limit, false))
	}
	if !p.eventTime.IsZero() {
		line("event time", p.eventTime.UTC().Format(time.RFC3339))
	}
	if len(p.attr) > 0 {
		line("attributes", textOf(p.attr, 2*limit, false))
	}
	if p.lineageErr != nil {
		line("lineage", "DAMAGED: "+p.lineageErr.Error())
	}
	if p.lineage != nil {
		printLineage(line, p.lineage)
	}
	for _, h := range p.Headers {
		line("header", textOf([]byte(h.Key), limit, false)+"="+textOf([]byte(h.Value), limit, false))
	}
	if p.count != len(p.records) && p.err == nil {
		line("count", strconv.Itoa(p.count))
	}
	shown := p.records
	if !full && len(shown) > shownRecords {
		shown = shown[:shownRecords]
	}
	for _, r := range shown {
		text := textOf(r.data, limit, false)
		if r.origin != nil {
			text = fmt.Sprintf("%d@%d  %s", p.lineage.Sources[r.origin.Source].Partition, r.origin.Offset, text)
		}
		if r.attr != nil {
			text += "  [" + textOf(r.attr, limit, false) + "]"
		}
		line(fmt.Sprintf("record %d", r.n), text)
	}
	if rest := len(p.records) - len(shown); rest > 0 {
		line("...", fmt.Sprintf("%d more records; --full shows them", rest))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// printLineage prints a line for each source of a pack.
func printLineage(line func(key, value string), l *lineage.Lineage) {
	for i, s := range l.Sources {
		text := fmt.Sprintf("topic %s partition %d", s.Topic, s.Partition)
		if s.Named {
			text = fmt.Sprintf("topic with the hash %s partition %d", s.Topic, s.Partition)
		}
		if s.Cluster != (lineage.Cluster{}) {
			text = fmt.Sprintf("cluster %s %s", s.Cluster, text)
		}
		text += ", offsets"
		n := 0
		for _, span := range l.Spans {
			switch {
			case span.Source != i:
				continue
			case n == shownRecords:
				text += " ..."
			case n > shownRecords:
			case span.First == span.Last:
				text += fmt.Sprintf(" %d", span.First)
			default:
				text += fmt.Sprintf(" %d-%d", span.First, span.Last)
			}
			n++
		}
		if s.Committed != lineage.None {
			text += fmt.Sprintf(", committed %d", s.Committed)
		}
		if l.Requeued {
			text += ", requeued"
		}
		line("source", text)
	}
}

// textOf is bytes as one line: as they are if all of them is printable, quoted if they are text of several lines, else in hex. More
// than limit bytes are cut.
func textOf(data []byte, limit int, asHex bool) string {
	rest := ""
	if len(data) > limit {
		rest = fmt.Sprintf("... (%s bytes in all; --full shows them)", thousands(int64(len(data))))
	}
	whole := data
	data = data[:min(len(data), limit)]
	switch kind := kindOf(whole); {
	case asHex || kind == notText:
		return "0x" + hex.EncodeToString(data) + rest
	case kind == plain:
		return strings.ToValidUTF8(string(data), "") + rest // the cut may be in the middle of a character
	default:
		return strconv.Quote(strings.ToValidUTF8(string(data), "")) + rest
	}
}

type textKind int

const (
	plain  textKind = iota
	spaced          // text with line breaks or tabs, or that could be taken for something else
	notText
)

func kindOf(data []byte) textKind {
	kind := plain
	if len(data) == 0 || data[0] == '"' || bytes.HasPrefix(data, []byte("0x")) {
		kind = spaced
	}
	for rest := data; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			return notText
		case r == '\n' || r == '\r' || r == '\t':
			kind = spaced
		case !unicode.IsPrint(r):
			return notText
		}
		rest = rest[n:]
	}
	return kind
}
