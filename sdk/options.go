package sdk

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/choice"
	"inlong-bridge/sdk/manager"
)

// Option is given to New.
type Option interface{ apply(*options) }

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// Compression says when bodies are compressed with snappy.
type Compression uint8

const (
	Auto   Compression = iota // where it helps: see WithCompression
	Snappy                    // always and with the fast encoder, unless the body would grow
	None                      // never
)

// DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

type options struct {
	proxies   []string
	manager   nodeLister
	refresh   time.Duration
	cacheDir  string
	instance  string
	finality  finality.Config
	confirmer Confirmer

	packBytes    int
	packCount    int
	linger       time.Duration
	compression  Compression
	messageType  MessageType
	budget       int64
	repair       int64
	connections  int
	maxProxies   int
	maxLifetime  time.Duration // of a connection; 0 for none
	lifetimeSet  bool          // it was given
	maxFrame     int
	maxOpen      int
	dialTimeout  time.Duration
	writeTimeout time.Duration
	retryMin     time.Duration
	retryMax     time.Duration
	retryLimit   int
	refusedMin   time.Duration // of WithRefusedRetry
	refusedMax   time.Duration
	refusedRetry bool // it was given
	packAttrs    *PackAttrs
	trails       Trails // nil for none
	isolation    Isolation
	backlog      int64
	ahead        time.Duration // of WithAhead; 0 for the budget alone
	slowStart    time.Duration
	seed         mathrand.Source
	dial         DialFunc
	dialGiven    bool
	resolve      ResolveFunc // nil: names are dialled as they are
	resolveGiven bool
	logger       *slog.Logger

	hooks         Hooks
	metricsLog    time.Duration
	metricStreams int
}

func defaults() options {
	return options{
		refresh:      time.Minute,
		finality:     finality.DefaultConfig(finality.Ack),
		packBytes:    256 << 10,
		packCount:    frame.MaxCount,
		linger:       20 * time.Millisecond,
		messageType:  Type7,
		budget:       64 << 20,
		repair:       8 << 20,
		connections:  1,
		maxProxies:   choice.All,
		maxFrame:     512 << 10,
		maxOpen:      4096,
		dialTimeout:  5 * time.Second,
		writeTimeout: 15 * time.Second,
		retryMin:     100 * time.Millisecond,
		retryMax:     30 * time.Second,
		retryLimit:   NoRetryLimit,
		backlog:      256 << 10,
		slowStart:    10 * time.Second,
		seed:         mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()),
		dial:         (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext,
		logger:       slog.New(slog.DiscardHandler),

		metricStreams: defaultMetricStreams,
	}
}

// WithProxies names the proxies, host:port each. Every group goes to all of them.
func WithProxies(addrs ...string) Option {
	return optionFunc(func(o *options) { o.proxies = slices.Clone(addrs) })
}

// WithManager asks InLong's Manager for the proxies of each group.
func WithManager(c *manager.Client) Option {
	return optionFunc(func(o *options) {
		if o.manager = nil; c != nil {
			o.manager = c
		}
	})
}

// nodeLister is what the sender needs of a Manager.
type nodeLister interface {
	NodeList(ctx context.Context, group string) (manager.Nodes, error)
}

// WithRefresh is how often the Manager is asked again; a quarter of it is jitter. Default 1 minute.
func WithRefresh(d time.Duration) Option { return optionFunc(func(o *options) { o.refresh = d }) }

// WithCacheDir keeps the Manager's last good answers in dir, so that a start without the Manager works.
func WithCacheDir(dir string) Option { return optionFunc(func(o *options) { o.cacheDir = dir }) }

// WithInstance names the sender; see NewInstance, which is the default.
func WithInstance(name string) Option { return optionFunc(func(o *options) { o.instance = name }) }

// WithFinality says when an acked pack is final. Default finality.DefaultConfig(finality.Ack).
func WithFinality(cfg finality.Config) Option {
	return optionFunc(func(o *options) { o.finality = cfg })
}

// WithConfirmer is the reader of the queue behind the proxies; needed in mode Queue, and only there.
func WithConfirmer(c Confirmer) Option { return optionFunc(func(o *options) { o.confirmer = c }) }

// WithPack says when a pack is full: bytes of its frame before compression (see WithCompression), count records, or linger after its first record (0: at the end of each call).
// Default 256 KiB, 32767, 20 ms.
func WithPack(bytes, count int, linger time.Duration) Option {
	return optionFunc(func(o *options) { o.packBytes, o.packCount, o.linger = bytes, count, linger })
}

// WithCompression says when bodies are compressed. Auto, the default, compresses from 256 bytes on,
// and leaves a stream alone for a while whose packs do not shrink by at least a twentieth. While packs of a stream wait
// for a connection three quarters of the time, because of a rate bound, a full window or a slow proxy, it compresses them
// with a better encoder that takes two to three times as long, and fills them up to twice WithPack's bytes if they become
// half as long: more records fit through. Snappy keeps to the fast encoder and to that size.
func WithCompression(c Compression) Option { return optionFunc(func(o *options) { o.compression = c }) }

// WithBudget bounds the bytes that are held from the moment records are handed over to the proxy's ack: those
// of the records until their pack is encoded, those of its frame from then on, if they are fewer;
// repair of them are kept for batches with Repair set. Default 64 MiB and 8 MiB.
func WithBudget(bytes, repair int64) Option {
	return optionFunc(func(o *options) { o.budget, o.repair = bytes, repair })
}

// WithConnections is the number of connections to each proxy. Default 1.
func WithConnections(n int) Option { return optionFunc(func(o *options) { o.connections = n }) }

// WithMaxFrame is the largest frame the proxies take (max-msg-length). Where the Manager names a smaller one
// (maxPacketLength), that is what packs begun from then on keep to. Default 524288.
func WithMaxFrame(n int) Option { return optionFunc(func(o *options) { o.maxFrame = n }) }

// WithMaxOpenPacks bounds the packs that are being filled (streams x minutes); beyond it the oldest is
// sealed. Default 4096.
func WithMaxOpenPacks(n int) Option { return optionFunc(func(o *options) { o.maxOpen = n }) }

// WithDialTimeout bounds the opening of a connection. Default 5 s.
func WithDialTimeout(d time.Duration) Option {
	return optionFunc(func(o *options) { o.dialTimeout = d })
}

// WithWriteTimeout bounds one write of up to a megabyte; a connection that takes longer is closed.
// Default 15 s.
func WithWriteTimeout(d time.Duration) Option {
	return optionFunc(func(o *options) { o.writeTimeout = d })
}

// WithRetry is the first and the longest pause before something is tried again: a connection, a
// refused stream, a proxy that is full. Pauses double, with jitter. Dials that fail are 2 s apart at most, whatever the longest
// pause is. Default 100 ms and 30 s.
func WithRetry(shortest, longest time.Duration) Option {
	return optionFunc(func(o *options) { o.retryMin, o.retryMax = shortest, longest })
}

// WithBacklog bounds the news that wait for slow tokens and callbacks: with more than n pieces (or packs without any)
// that are not told yet, nothing new is taken, as if the byte budget were full. Default 262144.
func WithBacklog(n int) Option { return optionFunc(func(o *options) { o.backlog = int64(n) }) }

// WithAhead is for records that whoever hands them over can wait with, such as those of a log: once 16 MiB of all streams are
// sealed and wait for a connection, a stream takes nothing new while it has sealed more than it sent in about so long. That
// goes for an outage too. Default 0: such records wait as far as the budget goes.
func WithAhead(d time.Duration) Option { return optionFunc(func(o *options) { o.ahead = d }) }

// NoRetryLimit is the default of WithRetryLimit: a pack is tried until it is delivered or refused permanently.
const NoRetryLimit = -1

// WithRetryLimit gives a pack up, as Refused with a *RetryError, when n tries after the first one came to
// nothing too: its connection ended, the answer did not come in time, the proxy answered "not now", or no
// proxy at all was connected and one more could not be dialled. Default NoRetryLimit.
func WithRetryLimit(n int) Option { return optionFunc(func(o *options) { o.retryLimit = n }) }

// WithDial replaces the opening of connections. Names are given to it as they are, unless WithResolver is given too.
func WithDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return optionFunc(func(o *options) { o.dial, o.dialGiven = dial, true })
}

// WithLogger receives changes of state, never payloads. Default none.
func WithLogger(l *slog.Logger) Option { return optionFunc(func(o *options) { o.logger = l }) }

// validate says everything that is wrong at once.
func (o *options) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case len(o.proxies) > 0 && o.manager != nil:
		bad("WithProxies and WithManager are both given; leave one out")
	case len(o.proxies) == 0 && o.manager == nil:
		bad("neither WithProxies nor WithManager is given, so there is nothing to send to; give one")
	}
	seen := make(map[string]bool)
	for _, addr := range o.proxies {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			bad("WithProxies: %q is not host:port", addr)
		} else if seen[addr] {
			bad("WithProxies: %s is named twice", addr)
		}
		seen[addr] = true
	}
	if o.cacheDir != "" && o.manager == nil {
		bad("WithCacheDir without WithManager keeps nothing; leave it out")
	}
	if o.instance == "" || len(o.instance) > 64 || frame.CheckAttribute(frame.AttrMid, o.instance) != nil {
		bad("WithInstance: instance %q is not 1 to 64 printable ASCII characters without '&' and '='; use NewInstance", o.instance)
	}
	switch f := &o.finality; {
	case f.Mode > finality.Queue:
		bad("WithFinality: mode %d is not known", f.Mode)
	case f.Mode == finality.Queue && o.confirmer == nil:
		bad("WithFinality: mode queue needs WithConfirmer, the reader of the queue behind the proxies")
	case f.Mode != finality.Queue && o.confirmer != nil:
		bad("WithConfirmer is given, but mode %v of WithFinality asks no Confirmer; leave it out or use mode queue", f.Mode)
	}
	f := &o.finality
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"WithRefresh:", o.refresh}, {"WithDialTimeout:", o.dialTimeout}, {"WithWriteTimeout:", o.writeTimeout},
		{"WithRetry: first retry pause", o.retryMin}, {"WithFinality: AckTimeout", f.AckTimeout}, {"WithFinality: Timely", f.Timely},
		{"WithFinality: ClockGap", f.ClockGap}, {"WithFinality: SlowAck", f.SlowAck}, {"WithFinality: IdleBeat", f.IdleBeat},
		{"WithFinality: BusyBeat", f.BusyBeat}, {"WithFinality: PauseMin", f.PauseMin},
	} {
		if d.value <= 0 {
			bad("%s %v must be above zero", d.name, d.value)
		}
	}
	if o.retryMax < o.retryMin {
		bad("WithRetry: longest retry pause %v is below the first, %v", o.retryMax, o.retryMin)
	}
	if o.refusedRetry && (o.refusedMin <= 0 || o.refusedMax < o.refusedMin) {
		bad("WithRefusedRetry: pauses of %v to %v; the first must be above zero, the longest not below it", o.refusedMin, o.refusedMax)
	}
	if o.slowStart < 0 {
		bad("WithSlowStart: %v may not be negative", o.slowStart)
	}
	if o.backlog < 1 {
		bad("WithBacklog: %d is below 1", o.backlog)
	}
	if o.ahead < 0 {
		bad("WithAhead: %v may not be negative", o.ahead)
	}
	if o.isolation > IsolateGroupsShareList {
		bad("WithIsolation: isolation %d is not known", o.isolation)
	}
	if o.retryLimit < NoRetryLimit {
		bad("WithRetryLimit: %d retries is below 0; leave the option out for no limit", o.retryLimit)
	}
	if f.PauseMax < f.PauseMin {
		bad("WithFinality: PauseMax %v is below PauseMin, %v", f.PauseMax, f.PauseMin)
	}
	if f.Settle < 0 || f.LossGrace < 0 || f.Patience < 0 || f.Rate < 0 {
		bad("WithFinality: Settle %v, LossGrace %v, Patience %v and Rate %d may not be negative", f.Settle, f.LossGrace, f.Patience, f.Rate)
	}
	if f.WindowPacks < 1 || f.WindowBytes < 1 {
		bad("WithFinality: WindowPacks %d and WindowBytes %d let nothing through", f.WindowPacks, f.WindowBytes)
	}
	if o.linger < 0 || o.linger >= f.AckTimeout {
		bad("WithPack: linger %v is not between 0 and the AckTimeout of WithFinality, %v", o.linger, f.AckTimeout)
	}
	if o.maxFrame < minMaxFrame || o.maxFrame > maxMaxFrame {
		bad("WithMaxFrame: %d bytes is not between %d and %d", o.maxFrame, minMaxFrame, maxMaxFrame)
	}
	if o.packBytes < 1 || o.packBytes > o.maxFrame {
		bad("WithPack: pack of %d bytes is not between 1 and WithMaxFrame, %d", o.packBytes, o.maxFrame)
	}
	if o.packCount < 1 || o.packCount > frame.MaxCount {
		bad("WithPack: pack of %d records is not between 1 and %d", o.packCount, frame.MaxCount)
	}
	if !o.messageType.valid() {
		bad("WithMessageType: type %d is not 3, 5 or 7", o.messageType)
	}
	if o.compression > None {
		bad("WithCompression: compression %d is not known", o.compression)
	}
	if o.repair < int64(o.maxFrame) {
		bad("WithBudget: %d bytes for repairs is below WithMaxFrame, %d: a repair might never fit", o.repair, o.maxFrame)
	}
	if o.budget-o.repair < 2*int64(o.maxFrame) {
		bad("WithBudget: %d bytes less %d for repairs is below twice WithMaxFrame, %d: a stream may take half of it, and a record might never fit", o.budget, o.repair, o.maxFrame)
	}
	if o.connections < 1 || o.connections > 64 {
		bad("WithConnections: %d connections to each proxy is not between 1 and 64", o.connections)
	}
	if o.maxProxies < 1 {
		bad("WithMaxProxies: %d is below 1; leave the option out for all proxies", o.maxProxies)
	}
	if o.lifetimeSet && o.maxLifetime < minLifetime {
		bad("WithMaxConnLifetime: %v is below %v; leave the option out for no limit", o.maxLifetime, minLifetime)
	}
	if o.maxOpen < 1 {
		bad("WithMaxOpenPacks: %d is below 1", o.maxOpen)
	}
	if o.metricsLog < 0 || o.metricStreams < 1 {
		bad("WithMetricsLog %v may not be negative, and WithMetricStreams %d not below 1", o.metricsLog, o.metricStreams)
	}
	if o.metricsLog > 0 && o.logger != nil && o.logger.Handler() == slog.DiscardHandler {
		bad("WithMetricsLog %v without WithLogger logs nothing; give a logger", o.metricsLog)
	}
	if o.dial == nil || o.logger == nil {
		bad("WithDial and WithLogger may not be given nil; leave the option out for the default")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("invalid option: %w", err)
	}
	return nil
}

const (
	minMaxFrame = 4 << 10
	maxMaxFrame = 20 << 20 // DataProxy allows no more
)

func (o *options) backoff() backoff.Backoff {
	return backoff.Backoff{Min: o.retryMin, Max: o.retryMax}
}

// NewInstance returns a fresh name for a sender: 128 random bits, 22 characters.
func NewInstance() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
