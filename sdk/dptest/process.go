package dptest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"inlong-bridge/sdk/signal"
)

// process is one life of a Proxy, from a start to the next Kill. As in the real proxy, its memory has two parts: the
// channel, into which connections put packs, and the lines to the queue clusters, into which the runner moves packs from
// the channel.
//
// Goroutines: accept, runner, one per line, two per connection. All end in end.
type process struct {
	p       *Proxy
	ctx     context.Context // ends with the process
	cancel  context.CancelCauseFunc
	ln      net.Listener
	wg      sync.WaitGroup
	arrived signal.Poke // the channel has something new

	// Guarded by p.mu.
	dead        bool // nothing is stored or counted as acked any more
	terminating bool // nothing moves to the queue any more
	silent      bool // connections send nothing any more
	conns       map[*serverConn]struct{}
	channel     []*held // by due time
	lines       []*line
	inMemory    int // packs in channel and lines
}

// held is a pack in memory.
type held struct {
	group, stream string
	value         []byte
	records       int
	received      time.Time
	srcIP         string
	due           time.Time // when the runner may take it
}

// line holds the packs that wait for one queue cluster.
type line struct {
	cluster int // -1: the queue chooses
	fifo    []*held
	wake    signal.Poke
}

var errEnded = errors.New("proxy process ended")

// startProcess serves l. The caller holds p.mu.
func startProcess(p *Proxy, l net.Listener) *process {
	proc := &process{p: p, ln: l, arrived: signal.NewPoke(), conns: make(map[*serverConn]struct{})}
	proc.ctx, proc.cancel = context.WithCancelCause(context.Background())
	if q, ok := p.queue.(ClusterQueue); ok {
		for c := range q.Clusters() {
			proc.lines = append(proc.lines, &line{cluster: c, wake: signal.NewPoke()})
		}
	} else {
		proc.lines = []*line{{cluster: -1, wake: signal.NewPoke()}}
	}
	proc.wg.Go(proc.accept)
	if p.opts.delay == nil {
		proc.wg.Go(proc.runNaps)
	} else {
		proc.wg.Go(proc.runDelays)
	}
	for _, l := range proc.lines {
		proc.wg.Go(func() { proc.move(l) })
	}
	return proc
}

// end does what kill -9 does. It returns how much was in memory.
func (proc *process) end() (packs, records int) {
	p := proc.p
	p.mu.Lock()
	proc.dead = true
	conns := make([]*serverConn, 0, len(proc.conns))
	for c := range proc.conns {
		conns = append(conns, c)
	}
	p.mu.Unlock()

	proc.cancel(errEnded)
	_ = proc.ln.Close()
	for _, c := range conns {
		c.reset()
	}
	proc.wg.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	count := func(h []*held) {
		for _, h := range h {
			packs++
			records += h.records
		}
	}
	count(proc.channel)
	for _, l := range proc.lines {
		count(l.fifo)
	}
	p.stats.LostPacks += uint64(packs)
	p.stats.Lost += uint64(records)
	p.changed.Wake()
	return packs, records
}

func (proc *process) accept() {
	for {
		conn, err := proc.ln.Accept()
		if err != nil {
			if proc.ctx.Err() != nil || errors.Is(err, net.ErrClosed) || !proc.sleep(10*time.Millisecond) {
				return
			}
			continue
		}
		c := newServerConn(proc, conn)
		proc.p.mu.Lock()
		if proc.dead {
			proc.p.mu.Unlock()
			c.reset()
			return
		}
		proc.conns[c] = struct{}{}
		proc.p.stats.Accepted++
		proc.p.changed.Wake()
		proc.p.mu.Unlock()
		proc.wg.Go(c.serve)
	}
}

// sleep returns false if the process ended first.
func (proc *process) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-proc.ctx.Done():
		return false
	}
}

// Each function says whether a part of the process is held up. The caller holds p.mu.
func (proc *process) connHeld() bool { return proc.p.faults.frozen || proc.silent }
func (proc *process) runnerHeld() bool {
	return proc.p.faults.frozen || proc.p.faults.zombie || proc.terminating
}
func (proc *process) lineHeld() bool { return proc.runnerHeld() || proc.p.faults.stalled }

// pass waits until held returns false. It returns false if the process ended first.
func (proc *process) pass(held func() bool) bool {
	p := proc.p
	for {
		p.mu.Lock()
		turned, stop := p.turned.Next(), held()
		p.mu.Unlock()
		if !stop {
			return proc.ctx.Err() == nil
		}
		select {
		case <-turned:
		case <-proc.ctx.Done():
			return false
		}
	}
}

// store puts a pack into the channel. The caller holds p.mu and has checked the room.
func (proc *process) store(h *held) {
	h.due = h.received
	at := len(proc.channel)
	if delay := proc.p.opts.delay; delay != nil {
		h.due = h.received.Add(delay())
		for at > 0 && proc.channel[at-1].due.After(h.due) {
			at--
		}
	}
	proc.channel = slices.Insert(proc.channel, at, h)
	proc.inMemory++
	if proc.p.opts.delay != nil {
		proc.arrived.Poke()
	}
}

// take moves packs that are due from the channel to the lines, round robin. It returns how many it moved, and when the
// next one is due.
func (proc *process) take(now time.Time) (n int, next time.Time) {
	p := proc.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if proc.runnerHeld() || proc.dead {
		return 0, time.Time{}
	}
	for n < len(proc.channel) && !proc.channel[n].due.After(now) {
		l := proc.lines[p.next%len(proc.lines)]
		p.next++
		l.fifo = append(l.fifo, proc.channel[n])
		n++
	}
	if n == len(proc.channel) {
		proc.channel = nil
	} else {
		proc.channel = slices.Delete(proc.channel, 0, n)
		next = proc.channel[0].due
	}
	if n > 0 {
		for _, l := range proc.lines {
			l.wake.Poke()
		}
	}
	return n, next
}

// runNaps works like Flume's sink runner: it takes everything that it finds, and each time it finds nothing it sleeps a
// second longer than the last time, up to five.
func (proc *process) runNaps() {
	idle := 0
	for proc.pass(proc.runnerHeld) {
		if n, _ := proc.take(time.Now()); n > 0 {
			idle = 0
			continue
		}
		idle = min(idle+1, proc.p.opts.maxNaps)
		if !proc.sleep(time.Duration(idle) * proc.p.opts.nap) {
			return
		}
	}
}

// runDelays takes each pack when it is due.
func (proc *process) runDelays() {
	for proc.pass(proc.runnerHeld) {
		turned := proc.p.turned.Next()
		_, next := proc.take(time.Now())
		var due <-chan time.Time
		var timer *time.Timer
		if !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			due = timer.C
		}
		select {
		case <-due:
		case <-proc.arrived:
		case <-turned:
		case <-proc.ctx.Done():
		}
		stop(timer)
	}
}

// retryPause is how long a line waits after a Put that failed.
const retryPause = 100 * time.Millisecond

// move puts the packs of a line into the queue.
func (proc *process) move(l *line) {
	for proc.pass(proc.lineHeld) {
		batch := proc.front(l)
		if len(batch) == 0 {
			select {
			case <-l.wake:
			case <-proc.ctx.Done():
			}
			continue
		}
		messages := make([]QueueMessage, len(batch))
		for i, h := range batch {
			messages[i] = h.message(proc.p.ip)
		}
		var err error
		if l.cluster < 0 {
			err = proc.p.queue.Put(proc.ctx, messages)
		} else {
			err = proc.p.queue.(ClusterQueue).PutTo(proc.ctx, l.cluster, messages)
		}
		proc.stored(l, batch, err)
		if err != nil && !proc.sleep(retryPause) {
			return
		}
	}
}

// front returns the packs of the next Put. They stay in the line until they are stored.
func (proc *process) front(l *line) []*held {
	proc.p.mu.Lock()
	defer proc.p.mu.Unlock()
	n, size := 0, 0
	for n < len(l.fifo) && n < proc.p.opts.maxBatchPacks && size < proc.p.opts.maxBatchBytes {
		size += len(l.fifo[n].value)
		n++
	}
	return slices.Clone(l.fifo[:n])
}

// stored removes the packs that a Put stored from the line. The rest goes to its end, as in the real proxy.
func (proc *process) stored(l *line, batch []*held, err error) {
	p := proc.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var partly *PutError
	if err != nil {
		errors.As(err, &partly)
		p.stats.PutErrors++
	}
	rest := slices.Clone(l.fifo[len(batch):]) // a clone, so that stored packs can be freed
	for i, h := range batch {
		if err == nil || partly != nil && i < len(partly.Stored) && partly.Stored[i] {
			proc.inMemory--
			p.stats.Queued++
			p.stats.QueuedRecords += uint64(h.records)
		} else {
			rest = append(rest, h)
		}
	}
	l.fifo = rest
	p.changed.Wake()
}

// message returns the message that KafkaHandler writes: no key, six headers.
func (h *held) message(ip string) QueueMessage {
	return QueueMessage{Group: h.group, Stream: h.stream, Value: h.value, Headers: []Header{
		{"rt", strconv.FormatInt(h.received.UnixMilli(), 10)},
		{"st", strconv.FormatInt(time.Now().UnixMilli(), 10)},
		{"msgEnType", "2"},
		{"version", "2"},
		{"srcIp", h.srcIP},
		{"dpIp", ip},
	}}
}
