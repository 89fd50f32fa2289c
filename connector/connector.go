package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/absence"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/byhand"
	"inlong-bridge/connector/internal/certs"
	"inlong-bridge/connector/internal/consume"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/output"
	"inlong-bridge/connector/internal/queue"
	"inlong-bridge/connector/internal/retention"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// Deps are what the connector does not make itself; the zero value is right for a real process.
type Deps struct {
	Log       *slog.Logger
	Registry  *prometheus.Registry
	KafkaOpts []kgo.Opt                                                         // further options of every Kafka client, for tests
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // to proxies, for tests
	Version   string
	Skip      []HandSkip // single records that a person skips
}

// HandSkip is a record to skip, if its partition stops there.
type HandSkip = byhand.Request

// Bridge is one running connector. It runs once: Run or Migrate.
type Bridge struct {
	cfg      *config.Config
	deps     Deps
	log      *slog.Logger
	limits   config.Limits
	instance string
	pace
	lifetime
	startWait

	table     *consume.Table
	board     reason.Board // what partitions share
	observer  *observe.Observer
	loops     observe.Loops
	certs     *certs.Watch
	migration *migration     // nil but in Migrate
	sources   *mapping.Table // the topics that are consumed: those of the routes, or of a requeue the dead letters
	requeue   *requeuing     // nil but in a requeue
	ready     chan struct{}

	// Set by the start, before any goroutine of the bridge runs.
	web       *web
	sender    outlet
	routes    *route.Table
	origin    string         // of this group, in the packs that it sends
	own       *output.Output // the topics that the bridge writes itself
	byHand    *byhand.Skips
	consumer  *consume.Consumer
	retention *retention.Watch
	sourceSide
	queueSide
}

// pace is how long the bridge waits between tries; tests wait for less.
type pace struct {
	refusedPause time.Duration // before a refused pack is tried again the first time; it grows
	lookAgain    time.Duration // whether stopped partitions may go on
	absence      absence.Rules // when a topic is believed to be deleted
}

// lifetime is the life of the bridge's goroutines.
type lifetime struct {
	life context.Context // ends when everything stops, after the drain
	end  context.CancelFunc
	wg   sync.WaitGroup // goroutines of life
	fail context.CancelCauseFunc
}

// startWait is what the start waits for.
type startWait struct {
	started time.Time // set before anything waits

	mu    sync.RWMutex
	waits string // guarded by mu; "" while the start does not wait
}

// sourceSide asks the source's brokers outside the group.
type sourceSide struct {
	direct *kgo.Client
	admin  *kadm.Client
	kafka  *source.Source

	letterClient *kgo.Client     // nil where no rule wants dead letters
	letters      *letters.Writer // likewise
}

// queueSide reads the queue behind the proxies.
type queueSide struct {
	reader confirm.Reader  // nil but in mode queue
	delay  *queue.Delay    // nil but in mode queue
	source *managed.Source // nil unless the Manager names the queue
}

// outlet is what the bridge needs of *sdk.Sender.
type outlet interface {
	assign.Sender
	Stream(group, stream string) (*sdk.Stream, error)
	SetOrigin(name string) error
	Room() <-chan struct{}
	Seal()
	Status() sdk.Status
	ForgetStream(s *sdk.Stream) bool
	Close(ctx context.Context) error
	confirm.Sink
}

// ErrUnfinished is returned by Run when a drain ended with work that is not final: exit code 3.
var ErrUnfinished = errors.New("drained with unfinished work")

// New checks what can be checked without a network: files of TLS and secrets, and what the parts make of
// the configuration. Nothing runs before Run or Migrate.
func New(cfg *config.Config, deps Deps) (*Bridge, error) {
	if cfg == nil || cfg.Routes == nil {
		return nil, errors.New("creating bridge: the configuration has no routes; hint: read it with config.Load")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Registry == nil {
		deps.Registry = newRegistry()
	}
	b := &Bridge{
		cfg: cfg, deps: deps, log: deps.Log, limits: cfg.Limits(), instance: sdk.NewInstance(),
		ready: make(chan struct{}), table: consume.NewTable(),
		certs: certs.New(certs.Files(cfg)), sources: cfg.Routes,
	}
	b.observer = observe.New(observed{b}, &b.board, observe.Config{Watchdog: b.watchdogAfter(), Overdue: b.stuckAfter()}, b.log)
	b.refusedPause, b.lookAgain, b.absence = refusedRetryFirst, consume.LookAgain, absence.Default()
	var err error
	if b.byHand, err = byhand.New(b.log, deps.Skip); err != nil {
		return nil, err
	}
	if _, err := b.clientOpts(); err != nil {
		return nil, fmt.Errorf("creating bridge: %w", err)
	}
	if err := b.queue().Check(); err != nil {
		return nil, fmt.Errorf("creating bridge: %w", err)
	}
	if _, err := b.managerClient(); err != nil {
		return nil, fmt.Errorf("creating bridge: %w", err)
	}
	return b, nil
}

// Run moves records until ctx ends, then drains (delivery.drain). Cancelling hard ends the drain at once.
// It returns nil after a clean drain, an error that wraps ErrUnfinished when something was left, and one
// clear sentence for whatever keeps the bridge from starting or going on.
func (b *Bridge) Run(ctx, hard context.Context) error {
	return b.run(ctx, hard, nil)
}

// Ready is closed once the bridge has started: its status can be asked for.
func (b *Bridge) Ready() <-chan struct{} { return b.ready }

// AdminAddr is the address the admin server listens on, "" without one; valid once Ready is closed.
func (b *Bridge) AdminAddr() string {
	if b.web == nil {
		return ""
	}
	return b.web.addr()
}
