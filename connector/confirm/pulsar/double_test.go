package pulsar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/apache/pulsar-client-go/pulsar"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/signal"
)

// Double is a Pulsar cluster in place of the client. It behaves as the real client and
// broker do: a reader whose connection ends says so and then goes on without the rest of the batch it holds; an id
// in a ledger that is gone begins at the earliest message there is; nothing answers while the broker is down.
type Double struct {
	mu     sync.Mutex
	byName map[string]*doubleTopic
	ledger int64
	down   bool
	moved  signal.Broadcast
	opened int
	asked  int
	deny   error
	once   error // the next opening of a reader fails so
	hangs  int   // so many seeks to come are not answered
}

type doubleTopic struct{ parts []*doublePart } // one part and flat: not partitioned

type doublePart struct {
	entries []doubleEntry
	ledger  int64 // what is put goes into it
	entry   int64
	last    confirm.Bounds
	readers map[*doubleReader]bool
}

type doubleEntry struct {
	ledger, entry int64
	values        [][]byte
	at            time.Time
}

// doubleMessage is what a message tells beside its value.
type doubleMessage struct {
	client.Message
	at time.Time
}

func (m doubleMessage) PublishTime() time.Time      { return m.at }
func (doubleMessage) Properties() map[string]string { return nil }

type doubleReader struct {
	d      *Double
	part   *doublePart
	cursor confirm.Offset
	lost   func()
	closed bool
}

// NewOver makes a reader of doubles: pulsar://0 is the first.
func NewOver(cfg Config, doubles ...*Double) (*Reader, error) {
	return newReader(cfg, func(c Cluster) (conn, error) {
		i, err := strconv.Atoi(strings.TrimPrefix(c.ServiceURL, "pulsar://"))
		return doubles[i], err
	})
}

// NewDouble has no topics.
func NewDouble() *Double {
	return &Double{byName: map[string]*doubleTopic{}, ledger: 4}
}

func (d *Double) newPart() *doublePart {
	d.ledger++
	return &doublePart{ledger: d.ledger, last: confirm.Bounds{Start: confirm.Unknown}, readers: map[*doubleReader]bool{}}
}

// SetPartitions makes a topic or adds partitions to it; 0 is a topic without any.
func (d *Double) SetPartitions(topic string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.byName[topic]
	if t == nil {
		t = &doubleTopic{}
		d.byName[topic] = t
	}
	for len(t.parts) < max(n, 1) {
		t.parts = append(t.parts, d.newPart())
	}
	if n == 0 {
		t.parts = t.parts[:1:1]
		d.byName[topic] = &doubleTopic{parts: append([]*doublePart(nil), t.parts...)}
		d.byName[topic].parts = append(d.byName[topic].parts, nil) // marks a topic without partitions
	}
	d.moved.Wake()
}

func (t *doubleTopic) flat() bool { return len(t.parts) == 2 && t.parts[1] == nil }

// DeleteTopic deletes a topic; its readers are disconnected.
func (d *Double) DeleteTopic(topic string) {
	d.mu.Lock()
	t := d.byName[topic]
	delete(d.byName, topic)
	d.mu.Unlock()
	for _, p := range t.parts {
		d.disconnect(p)
	}
}

// PutBatch puts values into a partition as one entry.
func (d *Double) PutBatch(topic string, partition int, values ...[]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.byName[topic]
	switch {
	case d.down:
		return errors.New("the broker is down")
	case t == nil || partition >= len(t.parts) || len(values) == 0:
		return fmt.Errorf("no partition %d of %s", partition, topic)
	}
	p := t.parts[partition]
	p.entries = append(p.entries, doubleEntry{p.ledger, p.entry, slices.Clone(values), time.Now()})
	p.last = confirm.Bounds{Start: confirm.Unknown, End: confirm.Offset{Ledger: p.ledger, Entry: p.entry, Batch: int32(len(values))}}
	p.entry++
	d.moved.Wake()
	return nil
}

// ExpireAll takes away what is in a partition, with its ledger.
func (d *Double) ExpireAll(topic string, partition int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.byName[topic].parts[partition]
	d.ledger++
	p.entries, p.ledger, p.entry = nil, d.ledger, 0
	empty := confirm.Offset{Ledger: d.ledger}
	p.last = confirm.Bounds{Start: empty, End: empty}
	d.moved.Wake()
}

// SetDown makes the broker go, with all connections, or come back.
func (d *Double) SetDown(down bool) {
	d.mu.Lock()
	d.down = down
	topics := slices.Collect(maps.Values(d.byName))
	d.moved.Wake()
	d.mu.Unlock()
	if down {
		for _, t := range topics {
			for _, p := range t.parts {
				d.disconnect(p)
			}
		}
	}
}

// Disconnect ends the connections of all readers for a moment.
func (d *Double) Disconnect(topic string) {
	d.mu.Lock()
	parts := d.byName[topic].parts
	d.mu.Unlock()
	for _, p := range parts {
		d.disconnect(p)
	}
}

// Opened is how many readers were opened.
func (d *Double) Opened() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

// Asked is how many questions came.
func (d *Double) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// Deny has all questions answered with an error.
func (d *Double) Deny(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deny = err
}

// FailOnce has the next opening of a reader fail.
func (d *Double) FailOnce(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.once = err
}

// HangSeeks has so many seeks to come get no answer.
func (d *Double) HangSeeks(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs = n
}

func (d *Double) disconnect(p *doublePart) {
	if p == nil {
		return
	}
	d.mu.Lock()
	readers := slices.Collect(maps.Keys(p.readers))
	d.mu.Unlock()
	for _, r := range readers {
		r.lost()
		d.mu.Lock()
		if r.cursor.Batch > 0 { // the rest of the batch in hand
			r.cursor = confirm.Offset{Ledger: r.cursor.Ledger, Entry: r.cursor.Entry + 1, Batch: 0}
		}
		d.moved.Wake()
		d.mu.Unlock()
	}
}

// up waits until the broker answers.
func (d *Double) up(ctx context.Context) error {
	d.mu.Lock()
	d.asked++
	d.mu.Unlock()
	for {
		d.mu.Lock()
		down, deny, moved := d.down, d.deny, d.moved.Next()
		d.mu.Unlock()
		if !down {
			return deny
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *Double) partitions(ctx context.Context, topic string) (names []string, err error) {
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.byName[topic]
	switch {
	case t == nil:
		return nil, nil
	case t.flat():
		return []string{topic}, nil
	}
	for i := range t.parts {
		names = append(names, fmt.Sprintf("%s-partition-%d", topic, i))
	}
	return names, nil
}

func (d *Double) topics(ctx context.Context, namespace string) (names []string, err error) {
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, t := range d.byName {
		for i := range t.parts {
			switch {
			case !strings.HasPrefix(name, "persistent://"+namespace+"/"), t.parts[i] == nil:
			case t.flat():
				names = append(names, name)
			default:
				names = append(names, fmt.Sprintf("%s-partition-%d", name, i))
			}
		}
	}
	return names, nil
}

func (d *Double) find(name string) *doublePart {
	for topic, t := range d.byName {
		if n, ok := partitionOf(topic, name); ok && max(int(n), 0) < len(t.parts) && (n < 0) == t.flat() {
			return t.parts[max(int(n), 0)]
		}
	}
	return nil
}

func (d *Double) last(ctx context.Context, name string) (confirm.Bounds, error) {
	if err := d.up(ctx); err != nil {
		return confirm.Bounds{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.find(name)
	if p == nil {
		return confirm.Bounds{}, fmt.Errorf("%s is gone", name)
	}
	return p.last, nil
}

func (d *Double) read(ctx context.Context, name string, at confirm.Offset, lost func()) (partitionReader, error) {
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.once; err != nil {
		d.once = nil
		return nil, err
	}
	p := d.find(name)
	if p == nil {
		return nil, fmt.Errorf("%s is gone", name)
	}
	r := &doubleReader{d: d, part: p, cursor: at, lost: lost}
	p.readers[r] = true
	d.opened++
	return r, nil
}

func (d *Double) seek(ctx context.Context, name string, at time.Time) (confirm.Offset, error) {
	if err := d.up(ctx); err != nil {
		return confirm.Offset{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hangs > 0 {
		d.hangs--
		d.mu.Unlock()
		<-ctx.Done()
		d.mu.Lock()
		return confirm.Offset{}, context.Cause(ctx)
	}
	p := d.find(name)
	if p == nil {
		return confirm.Offset{}, fmt.Errorf("%s is gone", name)
	}
	for _, e := range p.entries {
		if !e.at.Before(at) {
			return confirm.Offset{Ledger: e.ledger, Entry: e.entry}, nil
		}
	}
	return confirm.Offset{}, errors.New("no message is as new")
}

func (d *Double) close() {}

func (r *doubleReader) next(ctx context.Context) (message, error) {
	for {
		r.d.mu.Lock()
		m, ok := r.take()
		closed, moved := r.closed, r.d.moved.Next()
		r.d.mu.Unlock()
		switch {
		case closed:
			return message{}, errors.New("closed")
		case ok:
			return m, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		}
	}
}

func (r *doubleReader) take() (message, bool) {
	if r.d.down {
		return message{}, false
	}
	first, _ := slices.BinarySearchFunc(r.part.entries, r.cursor, func(e doubleEntry, o confirm.Offset) int {
		return confirm.Offset{Ledger: e.ledger, Entry: e.entry, Batch: int32(len(e.values))}.Compare(confirm.Offset{Ledger: o.Ledger, Entry: o.Entry, Batch: o.Batch + 1})
	})
	if first == len(r.part.entries) {
		return message{}, false
	}
	e, i := r.part.entries[first], 0
	if e.ledger == r.cursor.Ledger && e.entry == r.cursor.Entry {
		i = int(r.cursor.Batch)
	}
	r.cursor = confirm.Offset{Ledger: e.ledger, Entry: e.entry, Batch: int32(i) + 1}
	if i+1 == len(e.values) {
		r.cursor = confirm.Offset{Ledger: e.ledger, Entry: e.entry + 1, Batch: 0}
	}
	return message{confirm.Offset{Ledger: e.ledger, Entry: e.entry, Batch: int32(i)}, e.values[i], doubleMessage{at: e.at}}, true
}

func (r *doubleReader) close() {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	r.closed = true
	delete(r.part.readers, r)
	r.d.moved.Wake()
}

// Readers are how many readers a topic has.
func (d *Double) Readers(t *testing.T, topic string) (n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.byName[topic]
	if at == nil {
		return 0
	}
	for _, p := range at.parts {
		if p != nil {
			n += len(p.readers)
		}
	}
	return n
}
