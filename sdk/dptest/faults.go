package dptest

import (
	"bytes"
	"slices"
	"time"
)

// faults are the switches of a proxy, guarded by its mutex.
type faults struct {
	frozen, zombie, stalled, stopped, unready bool

	dropped, denied map[string]bool // by group.stream
	codes           []codeShare
	bad             map[string]int // codes by what a record begins with
	ackDelay        time.Duration
	swallow         int

	closeMidAck, duplicateAcks, wrongUniq, outOfOrder float64
}

type codeShare struct {
	code  int
	share float64
}

// set changes faults, and wakes those who wait for a fault to end.
func (p *Proxy) set(f func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.faults)
	p.turned.Wake()
}

// Freeze stops everything and leaves the sockets open, as SIGSTOP does: the kernel still accepts connections and buffers
// bytes, but the proxy answers nothing and moves nothing to the queue.
func (p *Proxy) Freeze(on bool) { p.set(func(f *faults) { f.frozen = on }) }

// Zombie makes the proxy behave like a DataProxy after an OutOfMemoryError: it answers heartbeats, even on new
// connections, neither acks nor keeps data, and moves nothing out of its memory.
func (p *Proxy) Zombie(on bool) { p.set(func(f *faults) { f.zombie = on }) }

// StallQueue keeps everything in memory. A Put under way still ends.
func (p *Proxy) StallQueue(on bool) { p.set(func(f *faults) { f.stalled = on }) }

// StopService answers data with code 2, as after the admin command stopService. Packs in memory still go to the queue.
func (p *Proxy) StopService(on bool) { p.set(func(f *faults) { f.stopped = on }) }

// Unready answers data with code 1, like a node that has no queue cluster yet.
func (p *Proxy) Unready(on bool) { p.set(func(f *faults) { f.unready = on }) }

// DropStream acks a stream's packs and throws them away.
func (p *Proxy) DropStream(group, stream string, on bool) {
	p.set(func(f *faults) { mark(&f.dropped, group, stream, on) })
}

// DenyStream answers a stream's packs with 115, like a node that does not know the stream.
func (p *Proxy) DenyStream(group, stream string, on bool) {
	p.set(func(f *faults) { mark(&f.denied, group, stream, on) })
}

func mark(m *map[string]bool, group, stream string, on bool) {
	if *m == nil {
		*m = make(map[string]bool)
	}
	(*m)[group+"."+stream] = on
}

// Code answers a share of the packs, 0 to 1, with code instead of storing them. Each code has its own
// share; 0 ends it. As with a DataProxy, the answer echoes nothing for an error that is found before the attributes are
// read (94, 95, 104 to 107).
func (p *Proxy) Code(code int, share float64) {
	p.set(func(f *faults) {
		f.codes = slices.DeleteFunc(f.codes, func(c codeShare) bool { return c.code == code })
		if share > 0 {
			f.codes = append(f.codes, codeShare{code, share})
		}
	})
}

// BadRecord answers packs of type 7 with code if one of their records begins with prefix, or closes the connection if code is
// CloseConnection. Code 0 ends it.
func (p *Proxy) BadRecord(prefix string, code int) {
	p.set(func(f *faults) {
		if f.bad == nil {
			f.bad = make(map[string]int)
		}
		if f.bad[prefix] = code; code == 0 {
			delete(f.bad, prefix)
		}
	})
}

// badIn returns the code for a bad record in the pack, 0 if there is none.
func (f *faults) badIn(a Asked) int {
	if len(f.bad) == 0 {
		return 0
	}
	for _, record := range a.Payloads() {
		for prefix, code := range f.bad {
			if bytes.HasPrefix(record, []byte(prefix)) {
				return code
			}
		}
	}
	return 0
}

// AckDelay answers every data frame d after it arrived. Pipelined frames wait together, not one after
// the other.
func (p *Proxy) AckDelay(d time.Duration) { p.set(func(f *faults) { f.ackDelay = d }) }

// SwallowAck stores the next n packs and does not answer them.
func (p *Proxy) SwallowAck(n int) { p.set(func(f *faults) { f.swallow = n }) }

// CloseMidAck stores a share of the packs, sends half of the ack and closes the connection.
func (p *Proxy) CloseMidAck(share float64) { p.set(func(f *faults) { f.closeMidAck = share }) }

// DuplicateAcks sends a share of the acks twice.
func (p *Proxy) DuplicateAcks(share float64) { p.set(func(f *faults) { f.duplicateAcks = share }) }

// WrongUniq stores a share of the packs and answers with another uniq (the highest bit is flipped). Text packs have no
// uniq, so their answer echoes nothing.
func (p *Proxy) WrongUniq(share float64) { p.set(func(f *faults) { f.wrongUniq = share }) }

// AcksOutOfOrder lets the answer to the next frame overtake a share of the acks. If no frame comes within 50 ms, the ack
// is sent in order.
func (p *Proxy) AcksOutOfOrder(share float64) { p.set(func(f *faults) { f.outOfOrder = share }) }

// ResetConnections cuts all connections once. Memory stays.
func (p *Proxy) ResetConnections() {
	p.mu.Lock()
	var conns []*serverConn
	if p.proc != nil {
		for c := range p.proc.conns {
			conns = append(conns, c)
		}
	}
	p.mu.Unlock()
	for _, c := range conns {
		c.reset()
	}
}

// CloseConnections closes all connections once in an orderly way: acks that were written still arrive. Memory stays.
func (p *Proxy) CloseConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != nil {
		for c := range p.proc.conns {
			_ = c.conn.Close()
		}
	}
}

// chance decides about one pack. The caller holds mu.
func (p *Proxy) chance(share float64) bool {
	return share > 0 && (share >= 1 || p.rand.Float64() < share)
}
