package confirm

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
)

// PulsarDouble is a Pulsar cluster behind the seam of the reader. It does what was seen of the real client and
// broker: a reader whose connection ends says so and then goes on without the rest of the batch it holds; an id
// in a ledger that is gone begins at the earliest message there is; nothing answers while the broker is down.
type PulsarDouble struct {
	mu     sync.Mutex
	topics map[string]*doubleTopic
	ledger int64
	down   bool
	moved  signal
	opened int
	asked  int
	deny   error
	once   error // the next opening of a reader fails so
}

type doubleTopic struct{ parts []*doublePart } // one part and flat: not partitioned

type doublePart struct {
	entries []doubleEntry
	ledger  int64 // what is put goes into it
	entry   int64
	last    Bounds
	readers map[*doubleReader]bool
}

type doubleEntry struct {
	ledger, entry int64
	values        [][]byte
}

type doubleReader struct {
	d      *PulsarDouble
	part   *doublePart
	cursor Offset
	lost   func()
	closed bool
}

// NewPulsarOver makes a reader of doubles: that of pulsar://0 is the first.
func NewPulsarOver(cfg PulsarConfig, doubles ...*PulsarDouble) (*Pulsar, error) {
	return newPulsar(cfg, func(c PulsarCluster) (pulsarConn, error) {
		i, err := strconv.Atoi(strings.TrimPrefix(c.ServiceURL, "pulsar://"))
		return doubles[i], err
	})
}

// NewPulsarDouble has no topics.
func NewPulsarDouble() *PulsarDouble {
	return &PulsarDouble{topics: map[string]*doubleTopic{}, ledger: 4}
}

func (d *PulsarDouble) newPart() *doublePart {
	d.ledger++
	return &doublePart{ledger: d.ledger, last: Bounds{Start: Unknown}, readers: map[*doubleReader]bool{}}
}

// SetPartitions makes a topic or adds partitions to it; 0 is a topic without any.
func (d *PulsarDouble) SetPartitions(topic string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topics[topic]
	if t == nil {
		t = &doubleTopic{}
		d.topics[topic] = t
	}
	for len(t.parts) < max(n, 1) {
		t.parts = append(t.parts, d.newPart())
	}
	if n == 0 {
		t.parts = t.parts[:1:1]
		d.topics[topic] = &doubleTopic{parts: append([]*doublePart(nil), t.parts...)}
		d.topics[topic].parts = append(d.topics[topic].parts, nil) // marks a topic without partitions
	}
	d.moved.happened()
}

func (t *doubleTopic) flat() bool { return len(t.parts) == 2 && t.parts[1] == nil }

// DeleteTopic deletes a topic; its readers are disconnected.
func (d *PulsarDouble) DeleteTopic(topic string) {
	d.mu.Lock()
	t := d.topics[topic]
	delete(d.topics, topic)
	d.mu.Unlock()
	for _, p := range t.parts {
		d.disconnect(p)
	}
}

// PutBatch puts values into a partition as one entry.
func (d *PulsarDouble) PutBatch(topic string, partition int, values ...[]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topics[topic]
	switch {
	case d.down:
		return errors.New("the broker is down")
	case t == nil || partition >= len(t.parts) || len(values) == 0:
		return fmt.Errorf("no partition %d of %s", partition, topic)
	}
	p := t.parts[partition]
	p.entries = append(p.entries, doubleEntry{p.ledger, p.entry, slices.Clone(values)})
	p.last = Bounds{Unknown, Offset{p.ledger, p.entry, int32(len(values))}}
	p.entry++
	d.moved.happened()
	return nil
}

// ExpireAll takes away what is in a partition, with its ledger.
func (d *PulsarDouble) ExpireAll(topic string, partition int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.topics[topic].parts[partition]
	d.ledger++
	p.entries, p.ledger, p.entry = nil, d.ledger, 0
	empty := Offset{Ledger: d.ledger}
	p.last = Bounds{empty, empty}
	d.moved.happened()
}

// SetDown makes the broker go, with all connections, or come back.
func (d *PulsarDouble) SetDown(down bool) {
	d.mu.Lock()
	d.down = down
	topics := slices.Collect(maps.Values(d.topics))
	d.moved.happened()
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
func (d *PulsarDouble) Disconnect(topic string) {
	d.mu.Lock()
	parts := d.topics[topic].parts
	d.mu.Unlock()
	for _, p := range parts {
		d.disconnect(p)
	}
}

// Opened is how many readers were opened.
func (d *PulsarDouble) Opened() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

// Asked is how many questions came.
func (d *PulsarDouble) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// Deny has all questions answered with an error.
func (d *PulsarDouble) Deny(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deny = err
}

// FailOnce has the next opening of a reader fail.
func (d *PulsarDouble) FailOnce(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.once = err
}

func (d *PulsarDouble) disconnect(p *doublePart) {
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
			r.cursor = Offset{r.cursor.Ledger, r.cursor.Entry + 1, 0}
		}
		d.moved.happened()
		d.mu.Unlock()
	}
}

// up waits until the broker answers.
func (d *PulsarDouble) up(ctx context.Context) error {
	d.mu.Lock()
	d.asked++
	d.mu.Unlock()
	for {
		d.mu.Lock()
		down, deny, moved := d.down, d.deny, d.moved.wait()
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

func (d *PulsarDouble) partitions(ctx context.Context, topic string) (names []string, err error) {
	if err := d.up(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topics[topic]
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

func (d *PulsarDouble) find(name string) *doublePart {
	for topic, t := range d.topics {
		if n, ok := partitionOf(topic, name); ok && max(int(n), 0) < len(t.parts) && (n < 0) == t.flat() {
			return t.parts[max(int(n), 0)]
		}
	}
	return nil
}

func (d *PulsarDouble) last(ctx context.Context, name string) (Bounds, error) {
	if err := d.up(ctx); err != nil {
		return Bounds{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.find(name)
	if p == nil {
		return Bounds{}, fmt.Errorf("%s is gone", name)
	}
	return p.last, nil
}

func (d *PulsarDouble) read(ctx context.Context, name string, at Offset, lost func()) (pulsarReader, error) {
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

func (d *PulsarDouble) close() {}

func (r *doubleReader) next(ctx context.Context) (pulsarMessage, error) {
	for {
		r.d.mu.Lock()
		m, ok := r.take()
		closed, moved := r.closed, r.d.moved.wait()
		r.d.mu.Unlock()
		switch {
		case closed:
			return pulsarMessage{}, errors.New("closed")
		case ok:
			return m, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return pulsarMessage{}, context.Cause(ctx)
		}
	}
}

func (r *doubleReader) take() (pulsarMessage, bool) {
	if r.d.down {
		return pulsarMessage{}, false
	}
	first, _ := slices.BinarySearchFunc(r.part.entries, r.cursor, func(e doubleEntry, o Offset) int {
		return Offset{e.ledger, e.entry, int32(len(e.values))}.compare(Offset{o.Ledger, o.Entry, o.Batch + 1})
	})
	if first == len(r.part.entries) {
		return pulsarMessage{}, false
	}
	e, i := r.part.entries[first], 0
	if e.ledger == r.cursor.Ledger && e.entry == r.cursor.Entry {
		i = int(r.cursor.Batch)
	}
	r.cursor = Offset{e.ledger, e.entry, int32(i) + 1}
	if i+1 == len(e.values) {
		r.cursor = Offset{e.ledger, e.entry + 1, 0}
	}
	return pulsarMessage{Offset{e.ledger, e.entry, int32(i)}, e.values[i]}, true
}

func (r *doubleReader) close() {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	r.closed = true
	delete(r.part.readers, r)
	r.d.moved.happened()
}

// Readers are how many readers a topic has.
func (d *PulsarDouble) Readers(t *testing.T, topic string) (n int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.topics[topic]
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
