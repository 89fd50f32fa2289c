package dptest

import (
	"fmt"
	"time"
)

const (
	// highWater is how many bytes of answers the server holds for a client that does not read them.
	highWater = 64 << 10
	// unreadLimit is how long answers above highWater may wait before the connection is closed. The real server closes
	// it at once, but here the goroutine that writes may merely not have run yet.
	unreadLimit = time.Second
	// overtakeLimit is how long an answer waits for another to overtake it.
	overtakeLimit = 50 * time.Millisecond
)

// answer is one reply that waits to be written.
type answer struct {
	bytes []byte
	due   time.Time // zero: now
	data  bool      // it answers a pack, so a zombie does not send it
	acked bool      // it says that the pack was accepted
	late  bool      // the next answer overtakes it
	last  bool      // the connection is closed after it

	counted bool // in the backlog
}

// push queues an answer. It waits for a client that does not read its answers, and closes the connection after a while.
func (c *serverConn) push(a answer) {
	c.mu.Lock()
	if a.due.IsZero() {
		a.counted = true
		c.backlog += len(a.bytes)
	}
	c.queue = append(c.queue, a)
	if at := len(c.queue) - 2; at >= 0 && c.queue[at].late && !a.last {
		c.queue[at], c.queue[at+1] = c.queue[at+1], c.queue[at]
		c.queue[at+1].late, c.queue[at+1].due = false, a.due
	}
	over := c.backlog > highWater
	c.mu.Unlock()
	c.woken.Poke()
	if over {
		c.waitDrained()
	}
}

func (c *serverConn) waitDrained() {
	timer := time.NewTimer(unreadLimit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		over := c.backlog > highWater
		c.mu.Unlock()
		if !over {
			return
		}
		select {
		case <-c.drained:
		case <-c.proc.ctx.Done():
			return
		case <-timer.C:
			if !c.proc.pass(c.proc.connHeld) {
				return
			}
			c.deaf = true
			_ = c.conn.Close()
			return
		}
	}
}

// answerLoop writes answers when they are due, until the reader ends, the last answer is written, or writing fails.
func (c *serverConn) answerLoop() {
	var out []byte
	for {
		var n batch
		out, n = c.due(out[:0])
		if len(out) == 0 && !n.last {
			if !c.waitForAnswers(n.next) {
				return
			}
			continue
		}
		if !c.proc.pass(c.proc.connHeld) {
			return
		}
		if len(out) > 0 {
			if err := c.write(out, n); err != nil {
				_ = c.conn.Close() // the reader ends with it
				return
			}
		}
		if n.last {
			_ = c.conn.Close()
			return
		}
	}
}

// batch is the result of due.
type batch struct {
	acked   int
	backlog int // bytes of the backlog in it
	last    bool
	next    time.Time // when the next answer is due, if none is now
}

// due appends all answers that are due to dst.
func (c *serverConn) due(dst []byte) ([]byte, batch) {
	p := c.proc.p
	p.mu.Lock()
	zombie := p.faults.zombie
	p.mu.Unlock()

	var n batch
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	i := 0
	for ; i < len(c.queue) && !n.last; i++ {
		a := &c.queue[i]
		if a.due.After(now) {
			n.next = a.due
			break
		}
		if a.counted {
			n.backlog += len(a.bytes)
		}
		n.last = a.last
		if zombie && a.data {
			continue
		}
		dst = append(dst, a.bytes...)
		if a.acked {
			n.acked++
		}
	}
	c.queue = append(c.queue[:0], c.queue[i:]...)
	if len(dst) == 0 {
		c.backlog -= n.backlog
		n.backlog = 0
	}
	return dst, n
}

func (c *serverConn) write(out []byte, n batch) error {
	_, err := c.conn.Write(out)
	c.mu.Lock()
	c.backlog -= n.backlog
	c.mu.Unlock()
	c.drained.Poke()
	if err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	p := c.proc.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Acked += uint64(n.acked)
	p.changed.Wake()
	return nil
}

// waitForAnswers returns false if there is nothing more to write.
func (c *serverConn) waitForAnswers(next time.Time) bool {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-c.woken:
		return true
	case <-due:
		return true
	case <-c.gone:
		return false
	case <-c.proc.ctx.Done():
		return false
	}
}
