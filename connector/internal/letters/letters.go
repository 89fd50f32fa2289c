// Package letters writes dead letters to their topic in the source's Kafka.
//
// A letter is written once, with all replicas' acks. One that cannot be written is given back with the reason: whoever
// asked for it reads its record again and tries again, so that what waits for a topic takes no memory.
package letters

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/kafkaclient"
)

// What is under way at most. Room looks at it before a letter is handed over, so a letter per goroutine may come on top.
const (
	maxLetters = 1000
	maxBytes   = 4 << 20
)

// What is produced at a time at most, but for a letter that is larger by itself.
const (
	groupLetters = 200
	groupBytes   = 256 << 10
)

// produceTime is how long a group may take. What is not acknowledged by then is given back, and may be written twice: a letter's key
// makes compaction keep one.
const produceTime = 30 * time.Second

// maxRecord is the largest letter that the client sends. Brokers take much less unless they are told otherwise.
const maxRecord = 90 << 20

// Item is a record that is to become a letter.
type Item struct {
	Original *kgo.Record
	Letter   deadletter.Letter // time and instance are filled in
	Done     func(err error)   // called once, by the writer's goroutine: nil once the letter is safe. It must not wait.
}

func (it *Item) size() int {
	n := len(it.Original.Key) + len(it.Original.Value)
	for i := range it.Original.Headers {
		n += len(it.Original.Headers[i].Key) + len(it.Original.Headers[i].Value)
	}
	return n
}

// Writer writes letters. Room and Write may be called from anywhere; Run is one goroutine.
type Writer struct {
	topic, instance string
	client          kafkaclient.Producer
	wake            chan struct{}

	mu    sync.Mutex
	queue []Item // guarded by mu
	open  int    // guarded by mu; letters that are queued or under way
	bytes int    // guarded by mu; of these
}

// New makes a writer to a topic. The client's options come from Options.
func New(topic, instance string, client kafkaclient.Producer) *Writer {
	return &Writer{topic: topic, instance: instance, client: client, wake: make(chan struct{}, 1)}
}

// Options are those of the client of a writer, after the ones of every client of the source. Topics are never created by it. It writes without
// idempotence: 1. the user has no right yet, and brokers refuse a producer id  2. the right is granted  3. kgo has the first answer for
// ever. What a retry repeats has the same key.
func Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite(), kgo.UnknownTopicRetries(1),
		kgo.MetadataMinAge(250 * time.Millisecond), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(maxRecord),
		kgo.MaxBufferedRecords(2 * groupLetters),
	}
}

// Room reports whether a letter may be handed over now.
func (w *Writer) Room() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open < maxLetters && w.bytes < maxBytes
}

// Write takes a letter. It never waits.
func (w *Writer) Write(it Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, it)
	w.open++
	w.bytes += it.size()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run writes letters until ctx ends. What is left then stays undecided.
func (w *Writer) Run(ctx context.Context) {
	for {
		group := w.take()
		if len(group) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
			continue
		}
		errs := w.produce(ctx, group)
		if ctx.Err() != nil {
			return // nothing was decided
		}
		for i := range group {
			w.done(&group[i], errs[i])
		}
	}
}

// take returns the letters that are produced next.
func (w *Writer) take() []Item {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, bytes := 0, 0
	for n < len(w.queue) && n < groupLetters {
		if bytes += w.queue[n].size(); bytes > groupBytes && n > 0 {
			break
		}
		n++
	}
	group := w.queue[:n:n]
	w.queue = w.queue[n:]
	if len(w.queue) == 0 {
		w.queue = nil // or the array would keep the records
	}
	return group
}

func (w *Writer) done(it *Item, err error) {
	w.mu.Lock()
	w.open--
	w.bytes -= it.size()
	w.mu.Unlock()
	it.Done(w.explain(err))
}

// produce writes a group and returns what became of each letter. A topic takes batches up to a size, and says no to the whole batch: so
// what it does not take is tried once more alone.
func (w *Writer) produce(ctx context.Context, group []Item) []error {
	errs := w.together(ctx, group)
	if len(group) == 1 {
		return errs
	}
	for i := range group {
		if errors.Is(errs[i], kerr.MessageTooLarge) || errors.Is(errs[i], kerr.RecordListTooLarge) {
			errs[i] = w.together(ctx, group[i:i+1])[0]
		}
	}
	return errs
}

func (w *Writer) together(ctx context.Context, group []Item) []error {
	ctx, cancel := context.WithTimeout(ctx, produceTime)
	defer cancel()
	recs := make([]*kgo.Record, len(group))
	for i := range group {
		l := group[i].Letter
		l.Time, l.Instance = time.Now(), w.instance
		recs[i] = deadletter.Encode(group[i].Original, l)
		recs[i].Topic = w.topic
	}
	return kafkaclient.Produce(ctx, w.client, recs)
}

// explain says why a letter was not written and what helps, nil for one that was.
func (w *Writer) explain(err error) error {
	what := "writing a dead letter to topic " + w.topic
	var hint string
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		hint = "the topic does not exist, or the user may not describe it; hint: create it (the bridge never does), or correct dead_letter.topic"
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		hint = "the user has no right to write to the topic; hint: grant WRITE and DESCRIBE on it"
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		hint = "the letter is larger than the topic takes; hint: raise max.message.bytes of the topic, to that of the source's topics and 4 KiB"
	case errors.Is(err, kerr.InvalidTimestamp):
		hint = "the topic does not take the record's timestamp, which a letter keeps; hint: set its message.timestamp.type to CreateTime, and remove its limits on the difference of timestamps"
	case errors.Is(err, kerr.InvalidRecord):
		hint = "the topic refuses the record; hint: look at the log of the brokers; schemas must not be enforced on it"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrRecordTimeout):
		hint = fmt.Sprintf("not acknowledged within %v; hint: look at the brokers that lead its partitions, and at min.insync.replicas", produceTime)
	default:
		return kafkaclient.Explain(err, what)
	}
	return &failure{what + ": " + hint, err}
}

// failure is an error whose text has the remedy.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }
