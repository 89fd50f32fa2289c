package requeue

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/deadletter"
)

// Of the originals of which so many letters are in a run, the newest letter is found. They take some 30 MB.
const maxKeys = 200_000

// maxKey is the longest key that is remembered. That of a letter is shorter.
const maxKey = 512

// newest remembers where the newest letter of each original lies. All letters of an original are in one partition, because their key
// says so. Compaction would leave the newest as well, only later.
type newest struct {
	at   map[string]int64 // offset by partition and key
	most int
	full bool // some key is not remembered: older letters of its original are not found
}

// Withdraws reports whether a record is a null that withdraws the letters of its key.
func Withdraws(r *kgo.Record) bool { return r.Value == nil && len(r.Headers) == 0 && r.Key != nil }

func keyOf(r *kgo.Record) string {
	return string(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(r.Key)), uint32(r.Partition)), r.Key...))
}

// saw takes in a record of the run.
func (n *newest) saw(r *kgo.Record) {
	if len(r.Key) == 0 || len(r.Key) > maxKey {
		return
	}
	if l, _, err := deadletter.Decode(r); !Withdraws(r) && (err != nil || l.Last != l.Offset) {
		return // what cannot be delivered takes no letter's place
	}
	k := keyOf(r)
	at, known := n.at[k]
	if !known && len(n.at) >= n.most {
		n.full = true
		return
	}
	if !known || r.Offset > at {
		n.at[k] = r.Offset
	}
}

// newer reports whether a newer letter of the same original is in the run.
func (n *newest) newer(r *kgo.Record) bool {
	if len(n.at) == 0 || len(r.Key) > maxKey {
		return false
	}
	at, known := n.at[keyOf(r)]
	return known && at > r.Offset
}
