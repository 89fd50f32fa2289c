package sdk

import "context"

// Client is what most programs need of a Sender. A program that takes a Client can be tested with a sender that it makes up
// itself; UnboundStream gives that one the handles for its Stream.
type Client interface {
	Stream(group, stream string) (*Stream, error)
	Send(ctx context.Context, m Message) error
	SendAsync(ctx context.Context, m Message, done func(Result)) error
	SendBatch(ctx context.Context, b *Batch) (n int, err error)
	Close(ctx context.Context) error
}

var _ Client = (*Sender)(nil)

// UnboundStream checks the ids as Sender.Stream does and returns a handle that belongs to no sender: it tells its ids, and
// every Sender refuses what is sent to it. It is for a Client made for tests.
func UnboundStream(group, stream string) (*Stream, error) {
	if err := checkIDs(group, stream); err != nil {
		return nil, err
	}
	return &Stream{text: group + "." + stream, groupLen: int32(len(group))}, nil
}
