// Package part names the partitions of topics, and says why one of them stops.
package part

import (
	"cmp"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/reason"
)

// ID names a partition of a topic.
type ID struct {
	Topic string
	Num   int32
}

func (id ID) String() string { return fmt.Sprintf("%s/%d", id.Topic, id.Num) }

// Compare orders partitions by topic and number.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Topic, other.Topic), cmp.Compare(id.Num, other.Num))
}

// OtherTopic reports whether both topic ids are known and are not the same. Brokers before Kafka 2.8 have no topic ids; the id
// is all zeros then.
func OtherTopic(a, b [16]byte) bool { return a != b && a != [16]byte{} && b != [16]byte{} }

// Key is the key of a reason of one partition.
func Key(id ID, code reason.Code) reason.Key {
	return reason.Key{Code: code, Scope: reason.Partition, Object: id.String()}
}

// Stop makes the reason that stops a partition. text may end with a hint after "; hint: ". offset is that of the first
// record that is not delivered because of the stop, -1 if unknown.
func Stop(id ID, code reason.Code, offset int64, text string) *reason.Reason {
	r := reason.New(Key(id, code), time.Now(), text)
	r.Offset = offset
	return &r
}

// JumpsStart reports whether fetched records that were to begin at want begin behind offsets that are gone. kgo does not report
// offsets below the log's start when it had to list the partition's offsets first, as it does when its metadata came late: it fetches
// from the log's start. A gap that compaction left lies behind the log's start.
func JumpsStart(recs []*kgo.Record, logStart, want int64) bool {
	return len(recs) > 0 && recs[0].Offset > want && logStart > want
}

// Extent is where the log of a partition begins and ends, and the id of its topic, all zeros if the brokers do not tell.
type Extent struct {
	Topic      [16]byte
	Start, End int64
}
