package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

// maxOpened bounds what one pack may unpack to.
const maxOpened = 256 << 20

// packLine is one pack in the output of devproxy; its names are API.
type packLine struct {
	Time    time.Time         `json:"time"`
	Group   string            `json:"group"`
	Stream  string            `json:"stream"`
	DT      int64             `json:"dt"` // event time, milliseconds
	Count   int               `json:"cnt"`
	Attrs   map[string]string `json:"attrs"`
	Records []recordText      `json:"records"`
	Error   string            `json:"error,omitempty"` // why the records cannot be read; a DataProxy acks such packs too
}

// recordText is a record as text if it is UTF-8, else as base64.
type recordText []byte

func (r recordText) MarshalJSON() ([]byte, error) {
	if utf8.Valid(r) {
		return marshalPlain(map[string]string{"text": string(r)})
	}
	return marshalPlain(map[string][]byte{"base64": r})
}

// marshalPlain leaves < > & as they are.
func marshalPlain(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return []byte(b.String()), err
}

// packWriter writes a line per pack, each with one Write, so that a kill leaves whole lines only. It is
// safe for concurrent use.
type packWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// write writes a pack, value being the InLongMsg it has become.
func (o *packWriter) write(group, stream string, value []byte) error {
	p, err := frame.OpenInLongMsg(value, maxOpened)
	line := packLine{
		Time: time.Now().UTC(), Group: group, Stream: stream,
		DT: p.DataMillis, Count: p.Count,
		Attrs: make(map[string]string), Records: make([]recordText, len(p.Records)),
	}
	if err != nil {
		line.Error = err.Error()
	}
	for pair := range strings.SplitSeq(string(p.Attr), "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			line.Attrs[k] = v
		}
	}
	for i, item := range p.Records {
		line.Records[i] = item
	}
	if lines := linesOf(&p); lines != nil {
		line.Records = lines
	}
	text, err := marshalPlain(line)
	if err != nil {
		return fmt.Errorf("writing a pack of %s.%s: %w", group, stream, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.w.Write(text); err != nil {
		return fmt.Errorf("writing a pack: %w", err)
	}
	return nil
}

// linesOf returns the records of a pack of type 3, which is one text of as many lines as it says; nil for any other pack.
func linesOf(p *frame.Opened) (lines []recordText) {
	if p.Version != 1 || len(p.Records) != 1 || bytes.Count(p.Records[0], []byte{'\n'})+1 != p.Count {
		return nil
	}
	for line := range bytes.SplitSeq(p.Records[0], []byte{'\n'}) {
		lines = append(lines, line)
	}
	return lines
}

// outQueue writes what reaches the queue, so that the output holds what a killed proxy did not take with
// it. next is the queue behind it, or nil when the output is the queue.
type outQueue struct {
	next   dptest.Queue
	out    *packWriter
	broken func(error) // called when the output cannot be written any more
}

func (q *outQueue) Put(ctx context.Context, messages []dptest.QueueMessage) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var failed error
	stored := func(int) bool { return true }
	if q.next != nil {
		failed = q.next.Put(ctx, messages)
		var partly *dptest.PutError
		switch {
		case errors.As(failed, &partly):
			stored = func(i int) bool { return i < len(partly.Stored) && partly.Stored[i] }
		case failed != nil:
			return failed
		}
	}
	for i := range messages {
		if !stored(i) {
			continue
		}
		m := &messages[i]
		if err := q.out.write(m.Group, m.Stream, m.Value); err != nil {
			q.broken(err)
			return err
		}
	}
	return failed
}
