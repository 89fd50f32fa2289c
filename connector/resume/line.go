package resume

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// MaxLine is the size that a line stays below, in bytes. Brokers take 4,096 unless offset.metadata.max.bytes
// says otherwise.
const MaxLine = 512

// prefix begins every line of this version.
const prefix = "inlong-bridge/1"

// maxCluster is the longest cluster id that a line carries as it is; Kafka's own have 22 characters.
const maxCluster = 64

// TopicID is Kafka's id of a topic; the zero value means that the brokers do not tell.
type TopicID [16]byte

// String writes the id as Kafka's tools do: base64url without padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Line is the metadata of a commit.
type Line struct {
	Cluster string    // id of the Kafka cluster, "" when the brokers do not tell
	Topic   TopicID   // id of the topic
	Seen    Sight     // how the group first saw the topic; handed on from commit to commit
	At      time.Time // of the commit, to the millisecond
	Books   Books     // up to the offset that is committed
}

// Sight is how the group first saw a topic.
type Sight struct {
	Partitions int32     // so many partitions the topic had
	At         time.Time // when that was, to the millisecond
	Began      Origin    // where its partitions began
}

// Books account for every offset from From up to the offset that they are committed with. As JSON they are part of
// /status; see docs/migration.md.
type Books struct {
	From int64 `json:"from"` // where the books begin

	Final   int64 `json:"final"`           // delivered, as delivery.confirm understands it
	Skipped int64 `json:"skipped"`         // by a policy of the configuration
	Gap     int64 `json:"gap"`             // no record has the offset: compaction, transactions, control records
	Lost    int64 `json:"lost"`            // gone from Kafka before it was delivered, accepted by delivery.on_gap
	Dead    int64 `json:"dead_lettered"`   // written to a dead-letter topic
	Hand    int64 `json:"skipped_by_hand"` // skipped by hand

	// Offsets below From that Kafka had when the books began, by why they are in no book.
	Passed   int64 `json:"passed_over"` // kafka.start (latest, file) passed over them
	Unproven int64 `json:"not_proven"`  // they were committed by an offset without books
}

// Sum is how many offsets the books account for.
func (b Books) Sum() int64 { return b.Final + b.Skipped + b.Gap + b.Lost + b.Dead + b.Hand }

// Close reports whether the books account for every offset from From up to offset.
func (b Books) Close(offset int64) bool { return b.valid() && b.From+b.Sum() == offset }

// valid excludes numbers that no bridge writes, so that sums cannot overflow.
func (b Books) valid() bool {
	for _, n := range []int64{b.From, b.Final, b.Skipped, b.Gap, b.Lost, b.Dead, b.Hand, b.Passed, b.Unproven} {
		if n < 0 || n > 1<<60 {
			return false
		}
	}
	return true
}

// Add returns the sum of two books, of which the second begins where the first ends.
func (b Books) Add(more Books) Books {
	b.Final += more.Final
	b.Skipped += more.Skipped
	b.Gap += more.Gap
	b.Lost += more.Lost
	b.Dead += more.Dead
	b.Hand += more.Hand
	return b
}

// String writes the line: ASCII, and shorter than MaxLine whatever the fields hold.
func (l Line) String() string {
	buf := make([]byte, 0, 384)
	buf = append(buf, prefix...)
	word := func(key, value string) {
		buf = append(append(append(append(buf, ' '), key...), '='), value...)
	}
	number := func(key string, n int64) {
		buf = append(append(append(buf, ' '), key...), '=')
		buf = strconv.AppendInt(buf, n, 10)
	}
	if l.Cluster != "" {
		word("cluster", clusterWord(l.Cluster))
	}
	if l.Topic != (TopicID{}) {
		word("topic", l.Topic.String())
	}
	number("partitions", int64(l.Seen.Partitions))
	number("seen", l.Seen.At.UnixMilli())
	word("began", l.Seen.Began.String())
	number("at", l.At.UnixMilli())
	for _, f := range l.Books.fields() {
		number(f.key, *f.n)
	}
	return string(buf)
}

type field struct {
	key string
	n   *int64
}

// fields names the books' numbers as the line does.
func (b *Books) fields() []field {
	return []field{
		{"from", &b.From}, {"final", &b.Final}, {"skipped", &b.Skipped}, {"gap", &b.Gap}, {"lost", &b.Lost},
		{"dead", &b.Dead}, {"hand", &b.Hand}, {"passed", &b.Passed}, {"unproven", &b.Unproven},
	}
}

// clusterWord is the cluster's id as a line carries it: without blanks and bounded. An id that is too long or
// has other characters than Kafka's own is replaced by its hash, which tells clusters apart as well.
func clusterWord(id string) string {
	plain := len(id) <= maxCluster
	for _, c := range []byte(id) {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':')
	}
	if plain {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Parse reads the metadata of a commit. ok is false for whatever is no complete line of this version: the
// metadata of other tools, no metadata, a line that was cut off or damaged.
func Parse(metadata string) (l Line, ok bool) {
	if len(metadata) >= MaxLine {
		return Line{}, false
	}
	rest, found := strings.CutPrefix(metadata, prefix+" ")
	if !found {
		return Line{}, false
	}
	words := make(map[string]string, 16)
	for pair := range strings.FieldsSeq(rest) {
		key, value, _ := strings.Cut(pair, "=")
		if _, twice := words[key]; twice {
			return Line{}, false
		}
		words[key] = value
	}
	ok = true
	number := func(key string) int64 {
		n, err := strconv.ParseInt(words[key], 10, 64)
		ok = ok && err == nil
		return n
	}
	l.Cluster = words["cluster"]
	if word, has := words["topic"]; has {
		id, err := base64.RawURLEncoding.DecodeString(word)
		if err != nil || len(id) != len(l.Topic) {
			return Line{}, false
		}
		l.Topic = TopicID(id)
	}
	partitions := number("partitions")
	l.Seen.Partitions = int32(min(max(partitions, 0), 1<<30))
	l.Seen.At, l.At = time.UnixMilli(number("seen")), time.UnixMilli(number("at"))
	var known bool
	l.Seen.Began, known = parseOrigin(words["began"])
	for _, f := range l.Books.fields() {
		*f.n = number(f.key)
	}
	if !ok || !known || !l.Books.valid() {
		return Line{}, false
	}
	return l, true
}
