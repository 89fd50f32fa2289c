package confirm

import (
	"context"
	"time"
)

// Cluster is one cluster of the queue: what an adapter for a kind of queue implements. The adapter does all I/O; where
// to read and when a barrier is passed is decided here. An adapter embeds the [Tracker] that [Engine.Track] gives it,
// which implements Name, Answers and Status.
type Cluster interface {
	Member
	// Watch fixes the positions of a topic, through [Tracker.Decide]: at the ends of its partitions or, with a since that is
	// not zero and where the cluster can tell, before what was put into it after that time.
	Watch(ctx context.Context, topic string, since time.Time) error
	// List asks for the partitions and end offsets of topics, past every cache; see [Tracker.Ask].
	List(ctx context.Context, fresh Ticket, topics []string) (Listing, error)
	// Start has partitions read from other offsets, or not any more. It must not block: the decision is held until it returns.
	Start(starts []Start)
	// Run reads until ctx ends, and reports through [Tracker.Report].
	Run(ctx context.Context, sink Sink)
	// Answers reports whether the cluster answers, and if not why.
	Answers() (bool, error)
	Status() ClusterStatus
	// Close ends the connections. Run has ended.
	Close()
}

// KafkaCluster is a Cluster whose topics may be among those that the bridge consumes.
type KafkaCluster interface {
	// ClusterID returns the id that the brokers give their cluster, "" where they do not tell.
	ClusterID() string
}
