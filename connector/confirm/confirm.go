package confirm

import (
	"context"
	"time"
)

// Sink is told what the reader found. *sdk.Sender implements it.
type Sink interface {
	Seen(seqs []uint64) // from several goroutines at once
	QueueAnswers(ok bool)
	// TopicMissing says whether the topic of a stream that is watched is missing in every cluster; a sink begins with topics that exist.
	TopicMissing(group, stream string, missing bool)
	// RepairsUnseen returns the number of packs that were sent again after a loss and have not been seen.
	RepairsUnseen() int
}

// Reader reads every cluster of the queue. It satisfies sdk.Confirmer. Nothing above this package
// knows which kind of queue it is.
type Reader interface {
	Watch(ctx context.Context, group, stream string) error
	// Unwatch stops watching a stream of which no pack is waited for, and stops reading its topics unless
	// another stream uses them. It waits for nothing, and is not called while Watch is under way for the
	// stream. The stream may be watched again later.
	Unwatch(group, stream string)
	Barrier(ctx context.Context) error
	// Run reads until ctx ends. It returns an error only when it can never go on.
	Run(ctx context.Context, sink Sink) error
	// Expect says that a cluster is going to join: until it has joined, or left, the queue counts as one that does not answer.
	Expect(cluster string)
	// Miss notes why a cluster could not join: until it joins, or leaves, the queue counts as one that does not answer.
	Miss(cluster string, err error) error
	// Leave stops reading the cluster of this name, unless it is the only one. Joining a cluster takes the adapter's own
	// configuration: see Join of the adapters' readers.
	Leave(cluster string) bool
	// Outputs lists the topics of Kafka that are watched, including those that a stream had before.
	Outputs() []Output
	// Topics lists the topics in which the packs of a watched stream are looked for, sorted.
	Topics(group, stream string) []StreamTopic
	Status() Status
	// Browsers reads topics beside what is watched, one for each cluster.
	Browsers() []Browser
	Close()
}

// Output is a topic into which the proxies write packs of this instance.
type Output struct {
	Cluster   string   // its name in the configuration
	ClusterID string   // "" where the brokers do not tell
	Topic     string   // it may not exist yet
	ID        [16]byte // zero where the brokers do not tell, or the topic does not exist yet
}

// Status is a snapshot of a reader for status pages and metrics.
type Status struct {
	Kind     string          `json:"kind"` // kafka or pulsar
	Answers  bool            `json:"answers"`
	Clusters []ClusterStatus `json:"clusters"`
}

// ClusterStatus is the status of one queue cluster.
type ClusterStatus struct {
	Name          string        `json:"name"`
	Answers       bool          `json:"answers"`
	LastError     string        `json:"last_error,omitempty"`
	Topics        int           `json:"topics"`
	Partitions    int           `json:"partitions"`
	MissingTopics []string      `json:"missing_topics,omitempty"` // watched, and not there yet
	Lag           int64         `json:"lag_messages"`             // -1 when unknown; of Pulsar in entries
	Messages      uint64        `json:"messages_total"`
	Mine          uint64        `json:"packs_seen_total"` // of this instance
	Foreign       uint64        `json:"foreign_total"`
	Unreadable    uint64        `json:"unreadable_total"`
	Missed        uint64        `json:"missed_total"`         // messages (Kafka) or entries (Pulsar, at least) that retention deleted before they were read
	Passed        uint64        `json:"batches_passed_total"` // unreadable batches that were passed over; their packs count as unseen
	LastBarrier   time.Duration `json:"last_barrier_ns"`
}
