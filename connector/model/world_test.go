package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// tick is the step of simulated time.
const tick = 100 * time.Millisecond

// recordID names a record of the source.
type recordID struct {
	partition int
	offset    int64
}

type record struct {
	recordID
	route, minute int32
}

// source is a Kafka topic: offsets have holes.
type source struct {
	records   [][]record // per partition, ascending offsets
	end       []int64    // per partition, after the last offset, holes included
	committed []int64
}

func (s *source) produce(r *rand.Rand, p, n, routes int, minute int32) {
	for range n {
		if r.IntN(8) == 0 {
			s.end[p] += int64(1 + r.IntN(4)) // compacted away, or a control record
		}
		s.records[p] = append(s.records[p], record{
			recordID: recordID{p, s.end[p]}, route: int32(r.IntN(routes)), minute: minute,
		})
		s.end[p]++
	}
}

// from returns up to n records at or after offset.
func (s *source) from(p int, offset int64, n int) []record {
	i, _ := slices.BinarySearchFunc(s.records[p], offset, func(r record, o int64) int { return int(r.offset - o) })
	return s.records[p][i:min(i+n, len(s.records[p]))]
}

// message is a pack on its way: what a frame carries.
type message struct {
	instance int
	pack     finality.Pack
	route    int32
	records  []recordID
}

// packName names a pack in the whole world.
type packName struct {
	instance int
	pack     finality.Pack
}

func (m message) name() packName { return packName{m.instance, m.pack} }

// value is what lands in the queue. The records are not in it: nobody looks.
func (m message) value() []byte {
	attr := frame.AppendMid([]byte("groupId=g&streamId=s&rtms=1&mid="), instanceName(m.instance), uint64(m.pack))
	p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Flags: frame.FlagSnappy, Body: []byte{0}, Attr: attr}
	v, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		panic(err)
	}
	return v
}

func instanceName(i int) string { return fmt.Sprintf("instance%014d", i) }

// cluster is one cluster of the queue behind the proxies.
type cluster struct {
	partitions [][]queued
	stalled    bool // takes nothing and answers nothing
}

// queued is a message as it lies in the queue: an InLongMsg whose body nobody opens.
type queued struct{ value []byte }

// conn is one connection as both ends see it.
type conn struct {
	epoch   finality.ConnEpoch
	proxy   *proxy
	up      []upFrame // to the proxy
	down    []reply   // to the bridge
	endedAt int       // the proxy's side ended at this tick, 0 while it lives
}

type upFrame struct {
	heartbeat bool
	msg       message
	at        int
}

type reply struct {
	heartbeat bool
	pack      finality.Pack
	code      int
	at        int
}

// held is an acked message in a proxy's memory.
type held struct {
	msg     message
	due     int
	cluster int
}

type proxy struct {
	id          finality.Endpoint
	up          bool
	conns       []*conn
	left        []*conn // closed by the bridge; what they had received is still served
	memory      []held
	stored      map[packName]bool // what it took in since it was started
	frozen      bool
	zombie      bool       // answers heartbeats only
	drops       int32      // acks this route's packs and throws them away; -1 for none
	slow        bool       // keeps everything in memory
	code        int        // answers this code to a share of packs
	lapsedUntil int        // it stands still, or did shortly before: what it did not answer may be sent twice
	faultEnded  int        // the tick before which the last of these faults ended
	faults      int        // zombie, drops, slow and the like that last: what it gets may be sent twice
	delay       func() int // ticks from ack to queue
	r           *rand.Rand
}

// world is everything outside the bridge.
type world struct {
	r        *rand.Rand
	mode     finality.Mode
	now      int // ticks
	routes   int
	src      *source
	proxies  []*proxy
	clusters []*cluster
	inQueue  map[recordID]int // copies
	events   int

	instances         int // bridge processes so far
	duplicatesAllowed int // explained by the faults so far

	log []string // of this schedule, for a failure's report
}

func (w *world) time() time.Duration { return time.Duration(w.now) * tick }

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%6.1fs ", w.time().Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) queueAnswers() bool {
	for _, c := range w.clusters {
		if c.stalled {
			return false
		}
	}
	return true
}

// step lets the proxies work for one tick.
func (w *world) step() {
	w.now++
	for _, p := range w.proxies {
		if !p.up || p.frozen {
			continue
		}
		for _, c := range p.conns {
			p.serve(w, c)
		}
		for _, c := range p.left {
			p.serve(w, c)
		}
		p.left = slices.DeleteFunc(p.left, func(c *conn) bool { return len(c.up) == 0 })
		if !p.zombie && !p.slow {
			p.flush(w)
		}
	}
}

func (p *proxy) serve(w *world, c *conn) {
	for len(c.up) > 0 && c.up[0].at < w.now && c.endedAt == 0 {
		f := c.up[0]
		w.events++
		if f.heartbeat {
			c.up = c.up[1:]
			c.down = append(c.down, reply{heartbeat: true, at: w.now})
			continue
		}
		if p.zombie {
			// Data is read and never answered.
			c.up = c.up[1:]
			continue
		}
		c.up = c.up[1:]
		if p.code != 0 && p.r.IntN(3) == 0 {
			c.down = append(c.down, reply{pack: f.msg.pack, code: p.code, at: w.now})
			continue
		}
		c.down = append(c.down, reply{pack: f.msg.pack, at: w.now + p.r.IntN(2)})
		if p.drops == f.msg.route {
			continue
		}
		p.stored[f.msg.name()] = true
		p.memory = append(p.memory, held{f.msg, w.now + p.delay(), p.r.IntN(len(w.clusters))})
	}
}

// flush moves what is due to the queue; a message for a stalled cluster waits.
func (p *proxy) flush(w *world) {
	p.memory = slices.DeleteFunc(p.memory, func(h held) bool {
		c := w.clusters[h.cluster]
		if h.due > w.now || c.stalled {
			return false
		}
		i := p.r.IntN(len(c.partitions))
		c.partitions[i] = append(c.partitions[i], queued{h.msg.value()})
		for _, id := range h.msg.records {
			w.inQueue[id]++
		}
		w.events++
		return true
	})
}

// kill ends a proxy as kill -9 does.
func (p *proxy) kill(w *world) {
	p.reset(w)
	p.memory, p.left = nil, nil
	clear(p.stored)
	p.up, p.frozen, p.zombie, p.slow, p.drops, p.code = false, false, false, false, -1, 0
}

// reset cuts all connections; the process lives on.
func (p *proxy) reset(w *world) {
	for _, c := range p.conns {
		c.endedAt = w.now
		c.up = nil
		if w.r.IntN(2) == 0 {
			c.down = nil // answers on their way are lost too
		}
	}
	p.conns = nil
}
