package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

// env is proxies and a sender on an in-memory network, in virtual time.
type env struct {
	t       *testing.T
	net     *dptest.Network
	queue   *dptest.MemoryQueue // behind all proxies
	proxies []*dptest.Proxy
	sender  *sdk.Sender
	log     *ledger
	text    bool // the packs are of type 3 or 5
}

// bubble runs a story in virtual time. That the bubble ends shows that no goroutine is left.
func bubble(t *testing.T, story func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, story)
}

// setup starts n proxies and a sender to them. The sender is closed at the end unless the story did so.
func setup(t *testing.T, n int, opts ...sdk.Option) *env {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
	for i := range n {
		e.addProxy(fmt.Sprintf("dp%d:46801", i+1))
	}
	e.sender = e.newSender(append([]sdk.Option{sdk.WithProxies(e.addrs()...)}, opts...)...)
	return e
}

func (e *env) addProxy(addr string, opts ...dptest.Option) *dptest.Proxy {
	e.t.Helper()
	p := dptest.Start(e.t, append([]dptest.Option{
		dptest.WithNetwork(e.net), dptest.WithListen(addr), dptest.WithQueue(e.queue),
	}, opts...)...)
	e.proxies = append(e.proxies, p)
	return p
}

func (e *env) addrs() (addrs []string) {
	for _, p := range e.proxies {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

func (e *env) newSender(opts ...sdk.Option) *sdk.Sender {
	e.t.Helper()
	opts = append([]sdk.Option{sdk.WithDial(e.net.DialContext), sdk.WithSeed(1), sdk.WithLogger(slog.New(slog.NewTextHandler(e.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))}, opts...)
	s, err := sdk.New(e.t.Context(), opts...)
	if err != nil {
		e.t.Fatalf("New: %v", err)
	}
	e.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // the story checks its own
		if n := sdk.Lent(s); n != 0 {
			e.t.Errorf("%d buffers were not given back", n)
		}
		if n := sdk.Counted(s); n != 0 {
			e.t.Errorf("%d bytes are counted after Close", n)
		}
	})
	return s
}

// close closes the sender within d and wants nothing left.
func (e *env) close(d time.Duration) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := e.sender.Close(ctx); err != nil {
		e.t.Errorf("Close: %v\n%+v", err, e.sender.Status())
	}
}

func (e *env) stream(name string) *sdk.Stream {
	e.t.Helper()
	st, err := e.sender.Stream("g", name)
	if err != nil {
		e.t.Fatalf("Stream: %v", err)
	}
	return st
}

// send hands n records to the stream, each once in one batch of its own pack, and returns their payloads' prefix.
func (e *env) send(st *sdk.Stream, n int) {
	e.t.Helper()
	for range n {
		e.batch(st, 1)
		e.sender.Seal()
	}
}

// batch hands one batch of n fresh records to the stream.
func (e *env) batch(st *sdk.Stream, n int) {
	e.t.Helper()
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = e.log.fresh()
	}
	b := e.log.batch(st, payloads)
	if took, err := e.sender.SendBatch(e.t.Context(), b); err != nil || took != n {
		e.t.Fatalf("SendBatch = %d, %v, want %d, nil", took, err, n)
	}
}

// settle lets d of virtual time pass.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// arrived counts the payloads of a stream in the queue.
func (e *env) arrived(name string) map[string]int {
	e.t.Helper()
	records, err := e.queue.Records("g", name)
	if err != nil {
		e.t.Fatalf("reading the queue: %v", err)
	}
	count := make(map[string]int)
	for _, r := range records {
		count[string(r)]++
	}
	return count
}

// ledger is a token that keeps what it is told and checks that it may be told so.
type ledger struct {
	t       *testing.T
	mu      sync.Mutex
	next    int
	pieces  [][]string // payloads by piece
	streams []string   // of the pieces
	told    [][]sdk.Result
	forgot  bool // what Forgotten answers
	closed  bool
}

func newLedger(t *testing.T) *ledger { return &ledger{t: t} }

func (l *ledger) fresh() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return fmt.Appendf(nil, "record %d of a test, long enough to be worth something", l.next)
}

func (l *ledger) batch(st *sdk.Stream, payloads [][]byte) *sdk.Batch {
	return &sdk.Batch{
		Stream: st, Time: time.Now(), Payloads: payloads, Token: l,
		Packed: func(from, to int) uint64 {
			l.mu.Lock()
			defer l.mu.Unlock()
			var p []string
			for _, b := range payloads[from:to] {
				p = append(p, string(b))
			}
			l.pieces = append(l.pieces, p)
			l.told = append(l.told, nil)
			l.streams = append(l.streams, st.Name())
			return uint64(len(l.pieces) - 1)
		},
	}
}

func (l *ledger) Settled(piece uint64, r sdk.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.t.Errorf("piece %d told %v after Close", piece, r)
	}
	before := l.told[piece]
	legal, held := len(before) == 0, false
	for _, b := range before {
		switch b.Outcome {
		case sdk.Held:
			held, legal = true, r.Outcome == sdk.Released || errors.Is(r.Err, sdk.ErrClosed)
		case sdk.Released:
			held, legal = false, true
		case sdk.Acked:
			legal = r.Outcome == sdk.Final || r.Outcome == sdk.Lost || errors.Is(r.Err, sdk.ErrClosed)
		case sdk.Lost, sdk.TakenBack:
			legal = r.Outcome == sdk.Final
		default:
			legal = false
		}
	}
	if !legal || held != (r.Outcome == sdk.Released) && !errors.Is(r.Err, sdk.ErrClosed) {
		l.t.Errorf("piece %d told %v after %v", piece, r, before)
	}
	l.told[piece] = append(before, r)
}

func (l *ledger) Forgotten(uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forgot
}

// forget makes Forgotten true from now on.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgot = true
}

// payloads of the pieces whose last news is the outcome.
func (l *ledger) payloads(o sdk.Outcome) (payloads []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, told := range l.told {
		if len(told) > 0 && told[len(told)-1].Outcome == o {
			payloads = append(payloads, l.pieces[i]...)
		}
	}
	return payloads
}

func (l *ledger) want(o sdk.Outcome, n int) {
	l.t.Helper()
	if got := len(l.payloads(o)); got != n {
		l.t.Errorf("%d records %v, want %d", got, o, n)
	}
}

// config is DefaultConfig with changes.
func config(m finality.Mode, change func(*finality.Config)) sdk.Option {
	cfg := finality.DefaultConfig(m)
	if change != nil {
		change(&cfg)
	}
	return sdk.WithFinality(cfg)
}
