package model

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// packName names a pack in the whole world.
type packName struct {
	instance int
	seq      uint64
}

// sent is one copy of a pack that a bridge wrote to a connection.
type sent struct {
	packName
	m       *member
	p       *pack
	route   int32
	records []int
	conn    *conn
	at      int  // the tick it was written
	order   int  // among all copies
	heard   bool // its ack came back
	refused bool // another answer did
	ended   bool // the bridge is done with the pack
	charged bool // it is in what may be there twice
}

// value is what lands in the queue. The records are not in it: nobody looks.
func (s *sent) value() []byte {
	attr := frame.AppendMid([]byte("groupId=g&streamId=s&rtms=1&mid="), instanceName(s.instance), s.seq)
	p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Flags: frame.FlagSnappy, Body: []byte{0}, Attr: attr}
	v, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		panic(err)
	}
	return v
}

func instanceName(i int) string { return fmt.Sprintf("instance%014d", i) }

// upFrame is on its way to a proxy, or half of it is.
type upFrame struct {
	of *sent // nil for a heartbeat
	at int   // it is there whole after this tick
}

type reply struct {
	heartbeat bool
	pack      uint64
	code      int
	at        int
}

// held is an acked pack in a proxy's memory.
type held struct {
	of      *sent
	due     int
	cluster *cluster
}

type proxy struct {
	id          finality.Endpoint
	up          bool
	conns       []*conn // that live on the proxy's side, closed by the bridge or not
	memory      []held
	stored      map[packName]bool // what it took in since it was started
	frozen      bool
	zombie      bool          // answers heartbeats only
	drops       int32         // acks this route's packs and throws them away; -1 for none
	slow        bool          // keeps everything in memory
	doubles     bool          // stores some packs twice
	code        int           // answers this code to a share of packs
	always      bool          // or to all of them
	row         map[int32]int // packs by route that it refused without taking one in between
	codes       map[int32]int // answers a code to all packs of a route
	lapsedUntil int           // it stands still, or did shortly before: what it did not answer may be sent twice
	faultEnded  int           // the tick before which the last of these faults ended
	shadowed    int           // until this tick it may be suspected for a pack that vanished in the queue
	faults      int           // zombie, drops, slow and the like that last: what it gets may be sent twice
	r           *rand.Rand
}

// serveProxies lets the proxies work for one tick.
func (w *world) serveProxies() {
	for _, p := range w.proxies {
		if !p.up || p.frozen {
			continue
		}
		for _, c := range slices.Clone(p.conns) {
			p.serve(w, c)
		}
		p.conns = slices.DeleteFunc(p.conns, func(c *conn) bool { return c.endedAt > 0 || c.left && len(c.up) == 0 })
		if !p.zombie && !p.slow {
			p.flush(w)
		}
	}
}

func (p *proxy) serve(w *world, c *conn) {
	for len(c.up) > 0 && c.up[0].at < w.now && c.endedAt == 0 {
		f := c.up[0]
		c.up = c.up[1:]
		w.events++
		if f.of == nil {
			c.down = append(c.down, reply{heartbeat: true, at: w.now})
			continue
		}
		if p.zombie {
			continue // data is read and never answered
		}
		if w.chokes(p, f.of) {
			w.happened(packClosedConnection)
			f.of.p.closedBy[p] = true
			if w.badCode < 0 { // it stores the pack all the same
				w.happened(packStoredUnanswered)
				p.stored[f.of.packName] = true
				p.store(w, f.of)
			}
			w.logf("proxy %d closes a connection at pack %d", p.id, f.of.seq)
			p.end(w, c)
			return
		}
		if code := p.answer(w, f.of); code != 0 {
			c.down = append(c.down, reply{pack: f.of.seq, code: code, at: w.now})
			continue
		}
		c.down = append(c.down, reply{pack: f.of.seq, at: w.now + p.r.IntN(2)})
		if p.drops == f.of.route {
			continue
		}
		p.stored[f.of.packName] = true
		p.store(w, f.of)
		if p.doubles && p.r.IntN(3) == 0 {
			w.allowed += len(f.of.records)
			w.happened(packDoubled)
			p.store(w, f.of)
		}
	}
}

func (p *proxy) store(w *world, of *sent) {
	var writes []*cluster
	for _, c := range w.clusters {
		if c.written {
			writes = append(writes, c)
		}
	}
	p.memory = append(p.memory, held{of, w.now + p.r.IntN(9), writes[p.r.IntN(len(writes))]})
}

// answer is the error code for a pack, 0 for an ack.
func (p *proxy) answer(w *world, of *sent) int {
	switch {
	case w.refuses(p, of):
		w.happened(packRefusedForGood)
		of.p.rejectedBy[p] = true
		return w.badCode
	case p.codes[of.route] != 0:
		w.happened(streamRefused)
		w.checkBackingOff(p, of.route)
		return p.codes[of.route]
	case p.code != 0 && (p.always || p.r.IntN(3) == 0):
		w.happened(packRefused)
		w.checkBackingOff(p, of.route)
		return p.code
	}
	p.row[of.route] = 0
	return 0
}

// flush moves what is due to the queue; a pack for a cluster that takes nothing waits.
func (p *proxy) flush(w *world) {
	p.memory = slices.DeleteFunc(p.memory, func(h held) bool { return h.due <= w.now && w.put(h.cluster, h.of) })
}

// kill ends a proxy as kill -9 does.
func (p *proxy) kill(w *world) {
	p.reset(w)
	p.memory = nil
	clear(p.stored)
	p.up, p.frozen, p.zombie, p.slow, p.doubles, p.drops, p.code = false, false, false, false, false, -1, 0
	clear(p.codes)
}

// reset ends all connections; the process lives on.
func (p *proxy) reset(w *world) {
	for _, c := range p.conns {
		p.end(w, c)
	}
	p.conns = nil
}

// end ends one connection on the proxy's side. What it stored and did not answer is sent again.
func (p *proxy) end(w *world, c *conn) {
	if c.endedAt > 0 {
		return
	}
	w.chargeInFlight(c)
	if len(c.up) > 0 && c.up[0].of != nil && c.up[0].at >= w.now {
		w.happened(packHalfSent)
	}
	c.endedAt, c.up = w.now, nil
	if w.r.IntN(2) == 0 {
		c.down = nil // answers on their way are lost too
	}
}

// leave closes the bridge's side: what the proxy received it still serves, but nobody hears the answer. A frame of
// which a part was not written is never whole.
func (c *conn) leave(w *world) {
	if !c.left {
		c.left, c.leftAt = true, w.now+w.r.IntN(2)
	}
	c.up = slices.DeleteFunc(c.up, func(f upFrame) bool { return f.at > w.now })
}
