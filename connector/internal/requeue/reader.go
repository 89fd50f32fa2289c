package requeue

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/deadletter"
	"inlong-bridge/mapping"
)

// Verdict says what a run does with a record of the dead-letter topic.
type Verdict uint8

// The verdicts.
const (
	Chosen     Verdict = iota // the original is delivered
	NotChosen                 // the choice leaves it out
	Older                     // a newer letter of the same original is in the run, and counts
	Withdrawn                 // a null: it withdraws the letters of its key
	Unreadable                // no letter, or the letter of a whole batch
)

var verdictNames = [...]string{"chosen", "not chosen", "older letter", "withdrawn", "unreadable"}

// String returns the verdict as reports name it.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// Letter is what a letter said, and what becomes of it.
type Letter struct {
	deadletter.Letter
	Verdict Verdict
	Mapping *mapping.Topic // of the original; set if it is chosen
	Err     error          // why it is unreadable
	skip    bool           // pass over it although it is unreadable
}

// Way is where the routes take a letter's original. A nil topic means that result and err hold for it.
func (l *Letter) Way() (topic *mapping.Topic, result mapping.Result, err error) {
	switch {
	case l.Verdict == Chosen:
		return l.Mapping, 0, nil
	case l.Verdict == Unreadable && !l.skip:
		return nil, mapping.Fail, l.Err
	}
	return nil, mapping.Skip, nil
}

// SameHome reports whether the originals of two letters come from one partition.
func (l *Letter) SameHome(o *Letter) bool {
	return l.Partition == o.Partition && l.TopicID == o.TopicID && l.Topic == o.Topic && l.Cluster == o.Cluster
}

// Again is the letter of an original that failed once more, after so many tries. Reason and sentence are to be set.
func (l *Letter) Again(attempts int) deadletter.Letter {
	again := l.Letter
	again.Attempts += max(attempts, 1)
	return again
}

// Config is what a Reader needs.
type Config struct {
	Topic          string // of the dead letters
	Choice         Choice
	SkipUnreadable bool
	Routes         *mapping.Table // of the originals
}

// maxTopics is how many topics of originals are remembered.
const maxTopics = 1000

// Reader opens letters. It is safe for concurrent use once Scan has ended.
type Reader struct {
	c      Config
	newest newest

	mu     sync.Mutex
	topics map[string]*mapping.Topic // guarded by mu
}

// NewReader makes a reader that has seen nothing yet.
func NewReader(c Config) *Reader {
	return &Reader{c: c, newest: newest{at: make(map[string]int64), most: maxKeys}, topics: make(map[string]*mapping.Topic)}
}

var errBatch = errors.New("the letter holds a whole batch that could not be read, and no record can be taken out of it; " +
	"hint: look at it with Kafka's tools; --skip-unreadable passes over it and leaves it in the topic")

// Open returns what a record of the dead-letter topic says, and the original if the record is a letter.
func (rd *Reader) Open(r *kgo.Record) (*Letter, *kgo.Record) {
	if Withdraws(r) {
		return &Letter{Verdict: Withdrawn}, nil
	}
	l := &Letter{skip: rd.c.SkipUnreadable}
	var original *kgo.Record
	if l.Letter, original, l.Err = deadletter.Decode(r); l.Err != nil {
		l.Verdict = Unreadable
		l.Err = fmt.Errorf("%w; hint: take what does not belong there out of the topic; --skip-unreadable passes over it", l.Err)
		return l, nil
	}
	switch {
	case rd.newest.newer(r):
		l.Verdict = Older
	case !rd.c.Choice.Takes(&l.Letter):
		l.Verdict = NotChosen
	case l.Last != l.Offset:
		l.Verdict, l.Err = Unreadable, errBatch
	default:
		l.Mapping = rd.mapping(l.Topic)
	}
	return l, original
}

// mapping returns the rules for a topic of originals.
func (rd *Reader) mapping(topic string) *mapping.Topic {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	t := rd.topics[topic]
	if t == nil {
		if len(rd.topics) >= maxTopics {
			clear(rd.topics)
		}
		t = rd.c.Routes.ForTopic(topic)
		rd.topics[topic] = t
	}
	return t
}

type contextKey struct{}

// Of returns what the letter said that a record was taken out of, nil for a record that was in none.
func Of(r *kgo.Record) *Letter {
	if r.Context == nil {
		return nil
	}
	l, _ := r.Context.Value(contextKey{}).(*Letter)
	return l
}

// OnFetchRecordBuffered replaces a letter by its original, as a hook of a Kafka client. Topic, partition and offset stay those of the letter.
func (rd *Reader) OnFetchRecordBuffered(r *kgo.Record) {
	if r.Topic != rd.c.Topic || r.Attrs.IsControl() {
		return
	}
	l, original := rd.Open(r)
	if original != nil {
		r.Key, r.Value, r.Headers, r.Timestamp = original.Key, original.Value, original.Headers, original.Timestamp
	}
	ctx := r.Context
	if ctx == nil {
		ctx = context.Background()
	}
	r.Context = context.WithValue(ctx, contextKey{}, l)
}
