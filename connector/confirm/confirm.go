// Package confirm reads the queue behind the proxies and says which packs arrived there.
package confirm

import (
	"context"
	"time"
)

// Sink is told what the reader found; *sdk.Sender is one.
type Sink interface {
	Seen(seqs []uint64) // from several goroutines at once
	QueueAnswers(ok bool)
	// TopicMissing says whether the topic of a stream that is watched is missing in every cluster; it begins as there.
	TopicMissing(group, stream string, missing bool)
	// RepairsUnseen is how many packs that were sent again for a loss have not been seen.
	RepairsUnseen() int
}

// Reader reads every cluster of the queue. It satisfies sdk.Confirmer. Nothing above this package
// knows which kind of queue it is.
type Reader interface {
	Watch(ctx context.Context, group, stream string) error
	// Unwatch ends the watching of a stream no pack of which is waited for, and the reading of its topics unless
	// another stream uses them. It does not wait for anything, and is not called while Watch is under way for the
	// stream. After it the stream may be watched again.
	Unwatch(group, stream string)
	Barrier(ctx context.Context) error
	// Run reads until ctx ends. It returns an error only when it can never go on.
	Run(ctx context.Context, sink Sink) error
	// Expect says that a cluster is going to join: until it has, or left, the queue counts as one that does not answer.
	Expect(cluster string)
	// Leave ends the reading of the cluster of this name, unless it is the only one. Joining one takes what only the
	// kind of the queue knows: see Kafka.Join and Pulsar.Join.
	Leave(cluster string) bool
	// Outputs lists the topics of Kafka that are watched, those that a stream had before included.
	Outputs() []Output
	// Topics says where the packs of a stream that is watched are looked for, sorted.
	Topics(group, stream string) []StreamTopic
	Status() Status
	Close()
}

// Output is a topic into which the proxies write packs of this instance.
type Output struct {
	Cluster   string   // its name in the configuration
	ClusterID string   // "" where the brokers do not tell
	Topic     string   // may not exist yet
	ID        [16]byte // all 0 where the brokers do not tell, or it does not exist yet
}

// Status is a snapshot for status pages and metrics.
type Status struct {
	Kind     string          `json:"kind"` // kafka or pulsar
	Answers  bool            `json:"answers"`
	Clusters []ClusterStatus `json:"clusters"`
}

// ClusterStatus speaks of one queue cluster.
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
	Missed        uint64        `json:"missed_total"`         // messages (Kafka) or entries (Pulsar, at least) that retention took before they were read
	Passed        uint64        `json:"batches_passed_total"` // batches that cannot be read and were passed over; what they held counts as unseen
	LastBarrier   time.Duration `json:"last_barrier_ns"`
}
