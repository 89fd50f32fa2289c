package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/absence"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/await"
	"inlong-bridge/connector/internal/certs"
	"inlong-bridge/connector/internal/commit"
	"inlong-bridge/connector/internal/faults"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/output"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/queue"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/internal/retention"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// Deps are what the connector does not make itself; the zero value is right for a real process.
type Deps struct {
	Log       *slog.Logger
	Registry  *prometheus.Registry
	KafkaOpts []kgo.Opt                                                         // further options of every Kafka client, for tests
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // to proxies, for tests
	Version   string
}

// Bridge is one running connector. It runs once: Run or Migrate.
type Bridge struct {
	cfg          *config.Config
	deps         Deps
	log          *slog.Logger
	limits       config.Limits
	refusedPause time.Duration // before a refused pack is tried again the first time; it grows
	lookAgain    time.Duration // whether stopped partitions may go on
	instance     string

	life context.Context // ends when everything stops, after the drain
	end  context.CancelFunc
	wg   sync.WaitGroup // goroutines of life
	fail context.CancelCauseFunc

	// Set by start, before any goroutine of the bridge runs.
	started   time.Time
	web       *web
	sender    outlet
	reader    confirm.Reader  // nil but in mode queue
	delay     *queue.Delay    // nil but in mode queue
	source    *managed.Source // nil unless the Manager names the queue
	direct    *kgo.Client     // without a group: listings and reading again
	admin     *kadm.Client
	kafka     *source.Source
	group     *kgo.Client
	routes    *route.Table
	reread    *replay.Reader
	committer *commit.Committer
	origin    string         // of this group, in the packs that it sends
	own       *output.Output // nil until the source has told its cluster id

	sessions    atomic.Uint64   // of the group, as often as one began to work
	look        chan struct{}   // the watch loop shall look at once
	progress    await.Condition // of pieces and commits
	gates       gate.Gates
	board       reason.Board // what partitions share
	observer    *observe.Observer
	loops       observe.Loops
	heldAt      atomic.Int64  // wall clock at which fetching was held last, unix nanoseconds
	assignments atomic.Uint64 // made so far
	unfinal     atomic.Int64  // pieces of all partitions that are not final
	pieces      atomic.Int64  // pieces of all partitions that are remembered: not final, or final and not committed
	pending     assign.PendingBytes
	turn        int // of the goroutine that offers pending chunks
	counters    counters
	retention   *retention.Watch
	certs       *certs.Watch

	watchFaults, groupFaults faults.Set

	absent absentees

	// See stopping.go.
	soft      context.Context             // ends when the bridge is told to stop
	inSession atomic.Bool                 // a session works: the group is not being joined
	seat      atomic.Pointer[commit.Seat] // in the session that began last
	cutGroup  context.CancelFunc          // ends everything that the group's client does
	leaving   chan struct{}               // closed when the bridge leaves the group

	draining atomic.Bool // nothing new is fetched
	drained  atomic.Bool // nothing is waited for any more
	ready    chan struct{}

	mu      sync.RWMutex
	parts   map[part.ID]*assign.Assignment // guarded by mu; assigned now
	mine    map[part.ID]struct{}           // guarded by mu; partitions that the group assigned, begun or not
	order   []*assign.Assignment           // guarded by mu; parts in order, made anew at each change
	topics  map[string]*assign.Topic       // guarded by mu; consumed
	again   map[string]*joining            // guarded by mu; topics that were created again and are joined anew
	ends    map[part.ID]planEnd            // guarded by mu; where a migration ends, nil without one
	missing []string                       // guarded by mu; topics named by routes that do not exist
	waits   string                         // guarded by mu; what the start waits for, "" while it does not

	migration *migration                 // nil but in Migrate
	onClose   func(p *assign.Assignment) // told of each assignment that ends
	unmatched []string                   // guarded by mu; patterns of routes that match no topic
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
		look: make(chan struct{}, 1), ready: make(chan struct{}), leaving: make(chan struct{}),
		certs: certs.New(certs.Files(cfg)),
		parts: make(map[part.ID]*assign.Assignment), mine: make(map[part.ID]struct{}), topics: make(map[string]*assign.Topic),
	}
	b.observer = observe.New(observed{b}, &b.board, observe.Config{Watchdog: b.watchdogAfter(), Overdue: b.stuckAfter()}, b.log)
	b.absent.rules, b.absent.last = absence.Default(), -1
	b.refusedPause, b.lookAgain = refusedRetryFirst, lookAgain
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
