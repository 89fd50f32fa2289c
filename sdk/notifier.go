package sdk

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// notifier tells tokens and callbacks what became of their pieces: one goroutine, in the order things
// happened, under no lock. Its own lock is a leaf.
type notifier struct {
	log     *slog.Logger
	pieces  *listPool[piece] // take the lists that nobody will need again
	calls   *listPool[func(Result)]
	limit   int64        // more pending than this, and nothing new is taken
	caught  func()       // called when it is that many or less again
	pending atomic.Int64 // events, and pieces in them, that are not told yet

	mu     sync.Mutex
	more   sync.Cond
	queue  []event
	closed bool
}

// event is one thing that happened to a pack.
type event struct {
	pieces []piece
	calls  []func(Result) // nil where a record has none
	result Result
	last   bool   // nothing more will be told of these pieces
	ask    func() // instead: asks tokens whether they forgot
}

func (n *notifier) init(s *Sender) {
	n.log, n.pieces, n.calls, n.limit, n.caught = s.o.logger, &s.pieces, &s.calls, s.o.backlog, s.budget.MadeRoom
	n.more.L = &n.mu
}

// behind reports whether callbacks are so slow that nothing new may be taken. The pieces of what was
// taken before are bounded by the byte budget, up to their ack; these bound them from there on.
func (n *notifier) behind() bool { return n.pending.Load() > n.limit }

// size is what an event counts for in pending.
func (e *event) size() int64 { return 1 + int64(len(e.pieces)) + int64(len(e.calls)) }

func (n *notifier) post(e event) {
	n.pending.Add(e.size())
	n.mu.Lock()
	n.queue = append(n.queue, e)
	n.mu.Unlock()
	n.more.Signal()
}

// close lets loop end once everything posted before was told.
func (n *notifier) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.more.Broadcast()
}

func (n *notifier) loop() {
	var work []event
	for {
		n.mu.Lock()
		for len(n.queue) == 0 && !n.closed {
			n.more.Wait()
		}
		work, n.queue = n.queue, work[:0]
		n.mu.Unlock()
		if len(work) == 0 {
			return
		}
		for i := range work {
			n.deliver(&work[i])
		}
		clear(work)
	}
}

func (n *notifier) deliver(e *event) {
	told := e.size()
	defer func() {
		if left := n.pending.Add(-told); left <= n.limit && left+told > n.limit {
			n.caught()
		}
	}()
	if e.ask != nil {
		e.ask()
		return
	}
	for i := 0; i < len(e.pieces); {
		i = n.deliverFrom(e, i)
	}
	if e.last {
		n.pieces.put(e.pieces)
	}
	for i := 0; i < len(e.calls); {
		i = n.callFrom(e, i)
	}
	n.calls.put(e.calls)
}

// deliverFrom tells the pieces from i on. A panic harms only the piece whose callback panicked.
func (n *notifier) deliverFrom(e *event, i int) (next int) {
	defer n.survive(e, &i, &next)
	for ; i < len(e.pieces); i++ {
		e.pieces[i].token.Settled(e.pieces[i].id, e.result)
	}
	return i
}

// callFrom is deliverFrom for callbacks.
func (n *notifier) callFrom(e *event, i int) (next int) {
	defer n.survive(e, &i, &next)
	for ; i < len(e.calls); i++ {
		if done := e.calls[i]; done != nil {
			done(e.result)
		}
	}
	return i
}

// survive is deferred while number i is told, and lets the next one have its turn after a panic.
func (n *notifier) survive(e *event, i, next *int) {
	if r := recover(); r != nil {
		n.log.Error("callback panicked", "outcome", e.result.Outcome.String(), "panic", fmt.Sprint(r))
		*next = *i + 1
	}
}

// forgotten reports whether no piece wants more news. A token that panics has forgotten.
func (n *notifier) forgotten(pieces []piece) (all bool) {
	defer func() {
		if r := recover(); r != nil {
			n.log.Error("token panicked when asked whether it forgot a piece", "panic", fmt.Sprint(r))
			all = true
		}
	}()
	for _, p := range pieces {
		if !p.token.Forgotten(p.id) {
			return false
		}
	}
	return true
}
