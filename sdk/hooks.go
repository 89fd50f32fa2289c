package sdk

import (
	"fmt"
	"time"
)

// Hooks are told what happens to packs and connections, for traces and metrics of one's own. A field
// that is nil costs nothing. They are called by the goroutine that calls tokens and callbacks, in the
// order things happened, never under a lock, never after Close returned; one that panics is logged. They
// must be quick: what is slow delays all news, and by that what is taken; see WithBacklog.
//
// A pack is sealed once, written each time it is sent, and then acked, final, lost, refused, or given up,
// as the pieces in it are told: final may come without acked, and after lost. One that is cut, or taken back by a Judge,
// ends without a call: its records come in other packs.
type Hooks struct {
	PackSealed  func(PackEvent) // it takes no more records
	PackWritten func(PackEvent) // its bytes are being written to Endpoint; Sends counts
	PackAcked   func(PackEvent) // WireTime is how long the proxy took
	PackFinal   func(PackEvent) // Age is how long all of it took
	PackLost    func(PackEvent) // acked, and gone with its proxy
	PackRefused func(PackEvent) // permanently; see Err
	PackGivenUp func(PackEvent) // by Close; Err is ErrClosed

	ConnOpened func(ConnEvent)
	ConnEnded  func(ConnEvent)
}

// PackEvent speaks of one pack at one moment.
type PackEvent struct {
	Stream   *Stream
	Seq      uint64        // names the pack among those of the sender; the second half of its mid
	Records  int           // in it
	Wire     int64         // bytes of its frame, 0 until it was encoded
	Sends    int           // how many times it was sent
	Endpoint string        // host:port of the proxy, empty until it was sent
	Age      time.Duration // since its first record was handed over
	WireTime time.Duration // since it was written last, 0 until then
	Err      error         // why it was refused or given up
}

// ConnEvent speaks of one connection.
type ConnEvent struct {
	Endpoint   string
	ID         uint64 // counts connections
	Lived      time.Duration
	Unanswered int    // packs in flight on it when it ended: they are sent again
	Acked      int    // packs it had acked that were not final when it ended
	Reason     string // why it ended
}

// WithHooks sets the hooks. Default none; of several only the last counts.
func WithHooks(h Hooks) Option { return optionFunc(func(o *options) { o.hooks = h }) }

// tellPackLocked posts a pack's news to a hook. Under mu.
func (s *Sender) tellPackLocked(hook func(PackEvent), p *pack, now time.Duration, err error) {
	if hook == nil {
		return
	}
	e := PackEvent{
		Stream: p.st, Seq: p.life.Seq(), Records: p.count, Wire: p.life.Wire(), Sends: p.life.Sends(),
		Endpoint: s.proxies.addrOfLocked(p.life.Endpoint()), Age: now - p.opened, Err: err,
	}
	if at, written := p.life.WroteAt(); written {
		e.WireTime = now - at
	}
	s.notify.post(event{ask: func() { s.callHook(func() { hook(e) }) }})
}

// tellConnLocked posts a connection's news to a hook. Under mu.
func (s *Sender) tellConnLocked(hook func(ConnEvent), c *conn, unanswered, acked int, now time.Duration, reason string) {
	if hook == nil {
		return
	}
	e := ConnEvent{
		Endpoint: c.ep.addr, ID: uint64(c.life.Epoch()), Lived: now - c.life.OpenedAt(), Unanswered: unanswered, Acked: acked, Reason: reason,
	}
	s.notify.post(event{ask: func() { s.callHook(func() { hook(e) }) }})
}

// callHook runs on the notifier's goroutine.
func (s *Sender) callHook(call func()) {
	defer func() {
		if r := recover(); r != nil {
			s.o.logger.Error("hook panicked", "panic", fmt.Sprint(r))
		}
	}()
	call()
}
