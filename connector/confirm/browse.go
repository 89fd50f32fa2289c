package confirm

import (
	"context"
	"errors"
	"regexp"
	"time"
)

// Browser reads what the topics of one cluster hold, for people and proofs: beside the positions, from any place, and without
// effect on what is final. The clusters of every adapter implement it. It needs no Run.
type Browser interface {
	// Name of the cluster.
	Name() string
	// Topic returns the whole name of a stream's topic; named is what TopicOf gave for the stream.
	Topic(named, group, stream string) string
	// Whole returns the whole name of a topic, whose name may leave out what the cluster's configuration says.
	Whole(topic string) string
	// Topics lists the topics whose whole name matches, or returns ErrCannotList.
	Topics(ctx context.Context, match *regexp.Regexp) ([]string, error)
	// Holds asks what a topic holds. Start is Unknown where the cluster cannot tell.
	Holds(ctx context.Context, topic string) (TopicListing, error)
	// Since asks for each partition of a topic where the first message lies that the cluster stored at a time or later; the end of a
	// partition that has none. Where producers set the times, or their order is not that of the messages, it may be off.
	Since(ctx context.Context, topic string, at time.Time) (map[int32]Offset, error)
	// Browse calls f for each message of a stretch, in order. What it is given stays valid. An error of f ends it. Messages that cannot be
	// read are told too, see Message.Err; an error means that the stretch was not read to its end.
	Browse(ctx context.Context, s Stretch, f func(*Message) error) error
}

// Stretch is a part of one partition. The zero From, and Unknown, stand for its beginning.
type Stretch struct {
	Place
	TopicID  [16]byte // zero when the cluster does not tell
	From, To Offset   // To is the End that the partition had
	// Since and Until further bound the stretch by the times of the messages, as the cluster stored them, unless they are zero.
	Since, Until time.Time
}

// Message is one message of the queue.
type Message struct {
	Place
	At      Offset
	Next    Offset // where the next message may begin
	Time    time.Time
	Key     []byte
	Headers []MessageHeader // in Pulsar properties
	Value   []byte
	// Err says why what lies between At and Next cannot be read. Nothing else is set then.
	Err error
}

// MessageHeader is a header of a message.
type MessageHeader struct{ Key, Value string }

// ErrCannotList says that nobody can list the topics that streams may have.
var ErrCannotList = errors.New("the topics of this cluster cannot be listed")

// ErrExpired says that messages were deleted while they were to be read.
var ErrExpired = errors.New("deleted by the queue's retention before it was read")

// Browsers implements [Reader].
func (e *Engine) Browsers() (out []Browser) {
	for _, c := range e.Clusters() {
		if b, ok := c.(Browser); ok {
			out = append(out, b)
		}
	}
	return out
}
