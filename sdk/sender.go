package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/internal/bufpool"
	"inlong-bridge/sdk/internal/choice"
	"inlong-bridge/sdk/internal/encode"
	"inlong-bridge/sdk/internal/fill"
	"inlong-bridge/sdk/internal/lists"
	"inlong-bridge/sdk/internal/losses"
	"inlong-bridge/sdk/internal/names"
	"inlong-bridge/sdk/manager"
	"inlong-bridge/sdk/signal"
)

// Sender is safe for concurrent use.
//
// Lock order: Stream.mu, then mu, then the leaves (open, encoder, notifier). No lock is held across
// a dial, a write, a callback, or a question to Manager or Confirmer.
type Sender struct {
	o     options
	start time.Time // origin of the engine's times

	ctx    context.Context // ends when the sender stops
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine but the notifier's

	bufs        bufpool.Pool
	pieces      listPool[piece]
	segments    sync.Pool // of *buffers, empty
	calls       listPool[func(Result)]
	budget      fill.Budget
	warmer      signal.Broadcast // for connections
	open        fill.OpenList[pack]
	enc         encoder
	notify      notifier
	clockWake   signal.Poke
	packNumbers atomic.Uint32 // see Batch.OnePack
	end         shutdown

	mu         sync.Mutex
	e          *engine.Engine
	packs      slots[pack] // that the engine knows
	conns      slots[conn] // the same
	origin     string      // constant from the first stream on; see SetOrigin
	streams    map[streamKey]*Stream
	streamList []*Stream
	openings   openings
	proxies    directory
	losses     losses.Log
	forgetting forgetting
	barrierErr error
}

// shutdown is how far Close has come.
type shutdown struct {
	closing  atomic.Bool    // nothing new is taken
	naming   sync.WaitGroup // calls that still name their pieces; see pack.pins
	idle     chan struct{}  // closed when everything is sealed and nothing is pending
	idleTold bool           // guarded by Sender.mu
	stopped  bool           // no goroutine is started any more; guarded by Sender.mu
	told     chan struct{}  // closed when the notifier's goroutine has ended

	closeOnce sync.Once
	closed    chan struct{} // closed when Close is through
	closeErr  error
}

// New checks the options together and starts the sender; ctx bounds the start only.
func New(ctx context.Context, opts ...Option) (*Sender, error) {
	o := defaults()
	o.instance = NewInstance()
	for _, opt := range opts {
		opt.apply(&o)
	}
	if !o.dialGiven && !o.resolveGiven {
		o.resolve = names.System
	}
	o.finality.TrialPause = o.retryMax
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting sender: %w", context.Cause(ctx))
	}
	s := &Sender{
		o: o, start: time.Now(), e: engine.New(o.engine()),
		clockWake: signal.NewPoke(), streams: make(map[streamKey]*Stream), proxies: newDirectory(),
		end: shutdown{told: make(chan struct{}), idle: make(chan struct{}), closed: make(chan struct{})},
	}
	s.budget.Init(o.budget-o.repair, o.repair, int64(4*runtime.GOMAXPROCS(0)*o.packBytes), o.ahead)
	if o.cacheDir != "" {
		store, err := manager.OpenStore(o.cacheDir)
		if damaged, ok := errors.AsType[*manager.DamagedError](err); ok {
			o.logger.Warn("the proxies kept on disk are lost; beginning without", "err", damaged)
		} else if err != nil {
			return nil, fmt.Errorf("starting sender: %w", err)
		}
		s.proxies.store = store
	}
	if o.resolve != nil {
		s.proxies.names = names.New(o.logger)
	}
	s.proxies.clusters = lists.NewClusters(o.isolation == IsolateGroupsShareList, o.refresh)
	rankSeed := uint64(0)
	if o.maxProxies != choice.All {
		rankSeed = o.seed.Uint64()
	}
	s.proxies.choice = choice.New(o.maxProxies, rankSeed)
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.enc.Init()
	s.enc.Frames = encode.Frames{Type: uint8(o.messageType), Max: o.maxFrame, Pool: &s.bufs}
	s.notify.init(s)
	go func() {
		defer close(s.end.told)
		s.notify.loop()
	}()
	for range runtime.GOMAXPROCS(0) {
		s.wg.Go(s.encodeLoop)
	}
	s.wg.Go(s.clockLoop)
	if o.metricsLog > 0 {
		s.wg.Go(s.metricsLoop)
	}
	if len(o.proxies) > 0 && o.isolation == ShareConnections {
		s.mu.Lock()
		s.proxies.static = new(proxyList)
		s.e.AddList(&s.proxies.static.life)
		s.applyLocked(s.proxies.static, o.proxies)
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	}
	return s, nil
}

// now is the state machine's time.
func (s *Sender) now() time.Duration { return time.Since(s.start) }

// tick is how often the state machine is told that time passes.
const tick = 100 * time.Millisecond

// clockLoop seals packs at their linger and lets time pass for the state machine. It ends with ctx.
func (s *Sender) clockLoop() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	nextTick := s.now() + tick
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		case <-s.clockWake:
		}
		next := s.sealExpired(s.now())
		if now := s.now(); now >= nextTick {
			nextTick = now + tick
			s.budget.CaughtUp()
			s.mu.Lock()
			s.e.Tick(s.now())
			s.askForgottenLocked(now)
			s.askHeldLocked(now)
			s.losses.Tell(s.o.logger, now, false)
			s.reviewProxiesLocked(now)
			todo := s.progressLocked()
			s.mu.Unlock()
			todo.perform()
		}
		if next == 0 || next > nextTick {
			next = nextTick
		}
		timer.Reset(max(next-s.now(), 0))
	}
}

// Close takes nothing new, seals, and waits until every message has its verdict or ctx ends. Then it
// stops whatever still runs, tells ErrClosed to those that have no verdict, and returns an error that
// says how many they were. No callback runs after it returned. It must not be called from one.
// A second call waits for the first one and returns the same.
func (s *Sender) Close(ctx context.Context) error {
	s.end.closeOnce.Do(func() {
		s.end.closeErr = s.close(ctx)
		close(s.end.closed)
	})
	<-s.end.closed
	return s.end.closeErr
}

func (s *Sender) close(ctx context.Context) error {
	// 1. a caller has seen closing unset and appends  2. we set it  3. we seal
	// The order of 1 and 3 is the stream's lock, under which callers look: what was taken is sealed.
	s.end.closing.Store(true)
	s.mu.Lock()
	streams := slices.Clone(s.streamList)
	s.mu.Unlock()
	for _, st := range streams {
		st.mu.Lock()
		st.open.all(s.sealLocked)
		st.mu.Unlock()
	}
	s.end.naming.Wait()
	s.mu.Lock()
	s.e.Flush()
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	var cause error
	select {
	case <-s.end.idle:
	case <-ctx.Done():
		select {
		case <-s.end.idle:
		default:
			cause = context.Cause(ctx)
		}
	}
	s.stop()
	packs, records := s.abandon()
	s.notify.close()
	<-s.end.told
	if packs == 0 {
		return nil
	}
	if cause == nil {
		cause = errHeld // anything else was waited for
	}
	return fmt.Errorf("closing sender: %s (%s) not final: %w", count(packs, "pack"), count(records, "record"), cause)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// stop ends all goroutines but the notifier's, and waits for them.
func (s *Sender) stop() {
	s.mu.Lock()
	s.end.stopped = true
	s.cancel()
	s.e.Stop("closing")
	s.losses.Tell(s.o.logger, s.now(), true)
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	s.enc.Close()
	s.wg.Wait()
}

// abandon tells ErrClosed for every pack without a verdict and returns their number and records.
func (s *Sender) abandon() (packs, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enc.Drain(s.freeBuffers)
	s.e.Abandon()
	todo := s.progressLocked() // closes nothing: all connections ended
	return todo.abandoned, todo.records
}

var errHeld = errors.New("proxies refuse them")
