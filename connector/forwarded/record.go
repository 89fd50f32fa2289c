package forwarded

import (
	"fmt"
)

// NoTimestamp is the Timestamp of a record that has none, as in Kafka.
const NoTimestamp = -1

// MaxHeaders is how many bytes the headers of one record take at most: in the attributes of the record with the '&' before
// each, or as the list in the envelope.
const MaxHeaders = 4 << 10

// Record is a Kafka record, or as much of it as travelled.
type Record struct {
	Key       []byte // nil: it has none, or keys do not travel
	Headers   []Header
	Timestamp int64  // milliseconds since 1970; NoTimestamp: it has none, or timestamps do not travel
	Origin    Origin // zero: it does not travel
	Value     []byte // nil: it is null. Only an envelope has it; beside attributes it is the record itself
}

// Header is one header of a record. Names may repeat.
type Header struct {
	Name  string
	Value []byte // nil: null
}

// Origin is the place of a record in Kafka. It never names two records, not even after a topic was deleted and created again,
// unless the brokers give topics no ids.
type Origin struct {
	Cluster   string // hash of the id of the cluster, 8 characters
	Topic     string
	TopicID   [16]byte // zeros: the brokers give topics none
	Partition int32
	Offset    int64
}

// Fields says which parts of a record are written.
type Fields struct{ Key, Headers, Timestamp, Origin bool }

// HeadersTooLargeError says that the headers of a record take more than MaxHeaders bytes.
type HeadersTooLargeError struct {
	Headers int // how many
	Size    int // bytes that they take at least
}

func (e *HeadersTooLargeError) Error() string {
	return fmt.Sprintf("its %d forwarded headers take %d bytes or more, and at most %d may travel", e.Headers, e.Size, MaxHeaders)
}

// minHeader is the least that a header takes beside its name and value, in either form.
const minHeader = len("&h.=")

// checkHeaders refuses headers that are too large in any form, so that what is built of others stays small.
func checkHeaders(hs []Header) error {
	size := 0
	for i := range hs {
		size += minHeader + len(hs[i].Name) + len(hs[i].Value)
	}
	if size > MaxHeaders {
		return &HeadersTooLargeError{len(hs), size}
	}
	return nil
}
