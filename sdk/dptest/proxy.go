package dptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"inlong-bridge/sdk/signal"
)

// Proxy is one DataProxy: an address at which processes start and end. All methods are safe for concurrent use.
type Proxy struct {
	opts  options
	queue Queue
	addr  string
	ip    string
	ends  sync.WaitGroup // processes that are being ended

	mu     sync.Mutex
	proc   *process // nil while killed
	closed bool
	faults faults
	rand   *rand.Rand
	next   int // queue cluster of the next pack
	stats  Stats

	turned  signal.Broadcast // a fault was switched
	changed signal.Broadcast // stats changed
}

// NewProxy starts a proxy on a new listener. A nil queue discards everything.
func NewProxy(q Queue, opts ...Option) (*Proxy, error) {
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	if q == nil {
		q = Discard
	}
	l, err := o.listen(o.addr)
	if err != nil {
		return nil, fmt.Errorf("starting proxy: %w", err)
	}
	p := &Proxy{
		opts:  o,
		queue: q,
		addr:  l.Addr().String(),
		rand:  rand.New(rand.NewPCG(o.seed, 0)),
		stats: Stats{Errors: make(map[int]uint64)},
	}
	p.ip, _, _ = net.SplitHostPort(p.addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proc = startProcess(p, l)
	return p, nil
}

// Addr returns host:port. It stays the same across Kill and Restart.
func (p *Proxy) Addr() string { return p.addr }

// Kill ends the process as kill -9 does: connections are reset, memory is lost, the port is closed. It returns how many
// packs and records were in that memory, including those whose ack was still on its way. It waits for a running Put, so
// the counts are exact and nothing reaches the queue afterwards. On a killed proxy it does nothing.
func (p *Proxy) Kill() (packs, records int) {
	proc := p.takeProcess()
	if proc == nil {
		return 0, 0
	}
	defer p.ends.Done()
	return proc.end()
}

// How long Term still acks packs, and how long it is silent after that.
const (
	termGrace   = 100 * time.Millisecond
	termSilence = 500 * time.Millisecond
)

// Term ends the process as SIGTERM does: nothing moves to the queue any more, packs are still acked for a moment, then
// the sockets are silent for a while, and then the process ends as after Kill. Term returns when it has ended.
func (p *Proxy) Term() (packs, records int) {
	p.mu.Lock()
	proc := p.proc
	if proc == nil || proc.terminating {
		p.mu.Unlock()
		return 0, 0
	}
	proc.terminating = true
	p.turned.Wake()
	p.mu.Unlock()

	for _, step := range []struct {
		d     time.Duration
		after func()
	}{
		{termGrace, func() { proc.silent = true }},
		{termSilence, func() {}},
	} {
		timer := time.NewTimer(step.d)
		select {
		case <-timer.C:
		case <-proc.ctx.Done(): // it was killed meanwhile, and Kill has returned the counts
			timer.Stop()
			return 0, 0
		}
		p.mu.Lock()
		step.after()
		p.turned.Wake()
		p.mu.Unlock()
	}
	p.mu.Lock()
	if p.proc != proc {
		p.mu.Unlock()
		return 0, 0
	}
	p.proc = nil
	p.ends.Add(1)
	p.mu.Unlock()
	defer p.ends.Done()
	return proc.end()
}

// Restart opens the same port again, with an empty memory. Faults stay, except those that end with a process: Freeze,
// Zombie, StopService and Unready.
func (p *Proxy) Restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return errors.New("restarting proxy: it was closed")
	case p.proc != nil:
		return errors.New("restarting proxy: it is running; call Kill or Term first")
	}
	l, err := p.opts.listen(p.addr)
	if err != nil {
		return fmt.Errorf("restarting proxy: %w", err)
	}
	p.faults.frozen, p.faults.zombie, p.faults.stopped, p.faults.unready = false, false, false, false
	p.turned.Wake()
	p.proc = startProcess(p, l)
	return nil
}

// Close ends the proxy and waits for its goroutines. Packs in its memory do not reach the queue; Stats counts them as
// lost. Close may be called again.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Kill()
	p.ends.Wait()
	return nil
}

func (p *Proxy) takeProcess() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	proc := p.proc
	if proc != nil {
		p.proc = nil
		p.ends.Add(1)
	}
	return proc
}
