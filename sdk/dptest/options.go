package dptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"inlong-bridge/sdk/frame"
)

// Option configures a Proxy; see the With functions.
type Option func(*options)

type options struct {
	queue   Queue // for Start
	network *Network
	addr    string

	maxFrame    int
	memory      int
	idleTimeout time.Duration

	delay   func() time.Duration // nil: the naps of the sink runner
	nap     time.Duration
	maxNaps int

	seed    uint64
	streams map[string]bool // nil: every stream has a topic
	onPack  func(PackInfo)
	answer  func(Asked) int

	maxBatchPacks int
	maxBatchBytes int
}

func defaults() options {
	return options{
		addr:          "127.0.0.1:0",
		maxFrame:      524288,
		memory:        50000,
		idleTimeout:   180 * time.Second,
		nap:           time.Second,
		maxNaps:       5,
		seed:          1,
		maxBatchPacks: 1000,
		maxBatchBytes: 8 << 20,
	}
}

// validate reports all mistakes at once.
func (o *options) validate() error {
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf("invalid option: "+format, args...)) }
	if o.maxFrame < 5 {
		complain("a largest frame of %d bytes lets nothing through; the shipped server accepts 524288", o.maxFrame)
	}
	if o.memory < 0 {
		complain("memory for %d packs: it must not be negative", o.memory)
	}
	if o.idleTimeout <= 0 {
		complain("read idle time-out %v: it must be positive", o.idleTimeout)
	}
	return errors.Join(errs...)
}

// listen opens the proxy's own port.
func (o *options) listen(addr string) (net.Listener, error) {
	if o.network != nil {
		return o.network.Listen("tcp", addr)
	}
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", addr)
}

// WithListen chooses the address, host:port; the default is a free port of 127.0.0.1.
func WithListen(addr string) Option { return func(o *options) { o.addr = addr } }

// WithNetwork makes the proxy listen on an in-memory network instead of TCP.
func WithNetwork(n *Network) Option { return func(o *options) { o.network = n } }

// WithQueue chooses the queue of a proxy made by Start.
func WithQueue(q Queue) Option { return func(o *options) { o.queue = q } }

// WithMaxFrame sets the server's max-msg-length in bytes, length field included (524288).
func WithMaxFrame(n int) Option { return func(o *options) { o.maxFrame = n } }

// WithMemory sets how many packs the proxy holds before it answers 114 (50000).
func WithMemory(packs int) Option { return func(o *options) { o.memory = packs } }

// WithIdleTimeout sets how long a connection may send no whole frame before it is closed (180 s).
func WithIdleTimeout(d time.Duration) Option { return func(o *options) { o.idleTimeout = d } }

// WithQueueDelay moves every pack to the queue d after its arrival, instead of the naps of 1 s to 5 s
// that the real server takes whenever it finds its memory empty.
func WithQueueDelay(d time.Duration) Option {
	return WithQueueDelayFunc(func() time.Duration { return d })
}

// WithQueueDelayFunc is WithQueueDelay with a separate delay for each pack. One goroutine at a time calls delay under a
// lock of the proxy: it must be quick and must not call the proxy.
func WithQueueDelayFunc(delay func() time.Duration) Option {
	return func(o *options) { o.delay = delay }
}

// WithSeed seeds the generator that chooses packs for faults with a share.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = seed } }

// WithStreams lists the streams that have a topic, as "group.stream", or "group" for all of a group;
// every other gets 115. Without this option every stream has one.
func WithStreams(ids ...string) Option {
	return func(o *options) {
		o.streams = make(map[string]bool, len(ids))
		for _, id := range ids {
			o.streams[id] = true
		}
	}
}

// WithOnPack calls f for every pack that was put into memory, before its ack is sent. The call comes from the
// connection's goroutine and delays that connection. The memory that PackInfo refers to is valid during the call.
func WithOnPack(f func(PackInfo)) Option { return func(o *options) { o.onPack = f } }

// WithAnswer calls f for every pack that the proxy would take. The proxy answers with the code that f returns, takes
// the pack if the code is 0, or closes the connection if it is CloseConnection. The calls come one at a time, and f must not
// call the proxy.
func WithAnswer(f func(Asked) (code int)) Option { return func(o *options) { o.answer = f } }

// Asked is what the function of WithAnswer learns about a pack.
type Asked struct {
	Group, Stream string
	Mid           string // attribute that names the pack, empty without one

	pack *frame.Pack
}

// CloseConnection has a proxy close the connection instead of answering; see WithAnswer.
const CloseConnection = -1

// Payloads returns the records of a pack of type 7, nil if they cannot be read. They are valid during the call.
func (a Asked) Payloads() [][]byte {
	items, err := a.pack.Items(1 << 26)
	if err != nil {
		return nil
	}
	return items
}

// PackInfo is a pack that arrived.
type PackInfo struct {
	Group, Stream string
	Records       int // as the header says; an empty field counts as 1
	Pack          frame.Pack
	Text          *frame.TextPack // for the types 2 to 6, instead of Pack, which is then empty
	Value         []byte          // the InLongMsg made of it
	Received      time.Time
	From          string // host:port of the sender
}
