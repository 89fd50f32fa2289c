package lineage

import (
	"crypto/sha256"
	"encoding/base64"
	"iter"

	"inlong-bridge/connector/resume"
)

// Attr is the attribute of a pack that carries its lineage.
const Attr = "src"

// MaxChars is the most characters that a lineage takes.
const MaxChars = 768

// None stands for a committed offset that is not told: only packs of a bridge that confirms by the queue tell it.
const None int64 = -1

// maxRecords is how many records a pack has at most: its count is a signed short.
const maxRecords = 32767

// Cluster is a short hash of a Kafka cluster's id. The zero value means that the brokers do not tell the id.
type Cluster [6]byte

// ClusterOf returns the hash of a cluster's id: the first 6 bytes of its SHA-256.
func ClusterOf(id string) (c Cluster) {
	if id != "" {
		sum := sha256.Sum256([]byte(id))
		copy(c[:], sum[:])
	}
	return c
}

// String writes the hash in base64url, 8 characters.
func (c Cluster) String() string { return base64.RawURLEncoding.EncodeToString(c[:]) }

// Source is a partition of a topic that was read.
type Source struct {
	Cluster   Cluster
	Topic     resume.TopicID
	Named     bool // the brokers tell no topic ids: Topic is the first 16 bytes of the SHA-256 of the topic's name
	Partition int32
}

// SourceOf names a partition. Where the brokers tell no topic id, a hash of the topic's name takes its place.
func SourceOf(cluster Cluster, id resume.TopicID, name string, partition int32) Source {
	s := Source{Cluster: cluster, Topic: id, Partition: partition}
	if id == (resume.TopicID{}) {
		sum := sha256.Sum256([]byte(name))
		copy(s.Topic[:], sum[:])
		s.Named = true
	}
	return s
}

// Lineage is what a pack tells of its records.
type Lineage struct {
	Requeued bool // the records come from a dead-letter topic: they may lie below any committed offset
	Sources  []Position
	Spans    []Span // of the body, in order
}

// Position is a source of a pack's records.
type Position struct {
	Source
	// Committed is the offset that was committed for the source before the pack was sent: every record below it that was to
	// get into the queue lay there by then. None where the pack does not tell.
	Committed int64
}

// Span is neighbours of a source that follow each other in the body of a pack.
type Span struct {
	Source      int // index into Sources
	First, Last int64
}

// Record is where one record of a pack came from.
type Record struct {
	Source int // index into Sources
	Offset int64
}

// Records returns the origin of each record, in the order of the body.
func (l *Lineage) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, s := range l.Spans {
			for o := s.First; ; o++ {
				if !yield(Record{s.Source, o}) {
					return
				}
				if o == s.Last {
					break
				}
			}
		}
	}
}
