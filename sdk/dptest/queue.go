package dptest

import (
	"context"
	"fmt"
)

// QueueMessage is the message in the queue behind a proxy for one pack: InLongMsg and headers.
type QueueMessage struct {
	Group, Stream string
	Value         []byte
	Headers       []Header
}

// Header of a queue message, as KafkaHandler writes it: rt, st, msgEnType, version, srcIp, dpIp.
type Header struct{ Key, Value string }

// Queue is where a proxy moves its packs. Put returns once all messages are stored; on an error the
// proxy tries again, so a message may be stored twice, unless the error is a *PutError that says which
// were stored. Put spreads messages over clusters and partitions. When ctx ends, Put returns soon, and
// nothing of m is stored after it returned. Put keeps no reference to m but may keep the values.
type Queue interface {
	Put(ctx context.Context, m []QueueMessage) error
}

// ClusterQueue is a Queue that lets the proxy choose the cluster. The proxy then has one line per cluster, so that a
// cluster that stalls delays only its own messages.
type ClusterQueue interface {
	Queue
	Clusters() int
	// PutTo is Put for one cluster, 0 to Clusters()-1.
	PutTo(ctx context.Context, cluster int, m []QueueMessage) error
}

// PutError says that a Put stored only some of its messages. Stored is as long as the messages given to Put.
type PutError struct {
	Stored []bool
	Err    error
}

func (e *PutError) Error() string {
	n := 0
	for _, ok := range e.Stored {
		if ok {
			n++
		}
	}
	return fmt.Sprintf("putting %d messages: stored only %d: %v", len(e.Stored), n, e.Err)
}

func (e *PutError) Unwrap() error { return e.Err }

// QueueFunc is a function that serves as a Queue.
type QueueFunc func(ctx context.Context, m []QueueMessage) error

// Put calls f.
func (f QueueFunc) Put(ctx context.Context, m []QueueMessage) error { return f(ctx, m) }

// Discard is a Queue that stores nothing.
var Discard Queue = QueueFunc(func(ctx context.Context, _ []QueueMessage) error { return ctx.Err() })
