package model

import (
	"fmt"
	"slices"

	"inlong-bridge/connector/confirm"
)

// cluster is one cluster of the queue behind the proxies.
type cluster struct {
	w       *world
	name    string
	topics  map[string]*queueTopic
	stalled bool // takes nothing and answers nothing
	written bool // proxies write to it
	since   int  // tick since which they do
}

type queueTopic struct {
	id   [16]byte
	logs []*queueLog
}

type queueLog struct {
	entries []*entry // from start on
	start   int64
	cuts    []int64 // offsets at which it was cut off
}

// entry is a message as it lies in the queue: an InLongMsg whose body nobody opens. value is nil for a damaged one.
type entry struct {
	value []byte
	of    *sent
	read  bool
}

func (l *queueLog) end() int64 { return l.start + int64(len(l.entries)) }

func (w *world) topicName(route int32) string {
	if w.knobs.topicPerRoute {
		return fmt.Sprint("t", route)
	}
	return "t"
}

func (w *world) topicNames() (names []string) {
	for route := range w.routes {
		if name := w.topicName(int32(route)); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (w *world) newCluster() *cluster {
	w.named++
	c := &cluster{w: w, name: fmt.Sprint("cluster", w.named), topics: make(map[string]*queueTopic), written: true, since: w.now}
	for _, name := range w.topicNames() {
		w.createTopic(c, name)
	}
	w.clusters = append(w.clusters, c)
	return c
}

func (w *world) createTopic(c *cluster, name string) {
	w.topicIDs++
	t := &queueTopic{id: [16]byte{byte(w.topicIDs), byte(w.topicIDs >> 8), 2}}
	for range 1 + w.r.IntN(2) {
		t.logs = append(t.logs, new(queueLog))
	}
	c.topics[name] = t
}

// unread calls f for the entries of a cluster that the member that sent them has not read.
func (c *cluster) unread(f func(of *sent)) {
	for _, t := range c.topics {
		for _, l := range t.logs {
			for _, e := range l.entries {
				if !e.read {
					f(e.of)
				}
			}
		}
	}
}

// put appends a pack to a topic of a cluster, and reports whether it could.
func (w *world) put(c *cluster, of *sent) bool {
	t := c.topics[w.topicName(of.route)]
	if c.stalled || t == nil {
		return false
	}
	l := t.logs[w.r.IntN(len(t.logs))]
	e := &entry{value: of.value(), of: of}
	if w.damages > 0 && w.r.IntN(3) == 0 {
		w.damages--
		e.value = nil
		w.vanished(of)
		w.happened(queueDamaged)
	}
	l.entries = append(l.entries, e)
	if e.value != nil {
		w.checkOrder(of.records)
	}
	if rd := of.m.reader; !c.written && rd != nil && !slices.Contains(rd.roster.Members(), c) {
		w.vanished(of) // nobody looks there any more
	}
	for _, id := range of.records {
		w.facts[id].puts++
		w.facts[id].present++
	}
	w.events++
	return true
}

// vanished says that a pack reached the queue and is not going to be seen there. Its proxy looks like one whose packs
// vanish, and what it is given meanwhile may be given up, too.
func (w *world) vanished(of *sent) {
	w.charge(of)
	if of.ended {
		return
	}
	p := of.conn.proxy
	w.chargeAll(p)
	p.shadowed = w.now + shadow
}

// shadow is how many ticks a rule may go on suspecting a proxy for a pack that vanished.
const shadow = 300

// remove takes entries out of the queue. What no bridge read may be sent once more.
func (w *world) remove(entries []*entry) {
	for _, e := range entries {
		if !e.read {
			w.vanished(e.of)
		}
		for _, id := range e.of.records {
			w.facts[id].present--
		}
	}
}

func (w *world) removeTopic(c *cluster, name string) {
	if t := c.topics[name]; t != nil {
		for _, l := range t.logs {
			w.remove(l.entries)
		}
		delete(c.topics, name)
	}
}

// retainQueue is the queue's own retention, which does not wait for readers.
func (w *world) retainQueue(l *queueLog, n int) {
	if n = min(n, len(l.entries)); n > 0 {
		if !l.entries[n-1].read {
			w.happened(queueOvertook)
		}
		w.remove(l.entries[:n])
		l.entries = slices.Delete(l.entries, 0, n)
		l.start += int64(n)
	}
}

// cutQueue is an unclean election of the queue's.
func (w *world) cutQueue(l *queueLog, n int) {
	if n = min(n, len(l.entries)); n > 0 {
		w.remove(l.entries[len(l.entries)-n:])
		l.entries = l.entries[:len(l.entries)-n]
		l.cuts = append(l.cuts, l.end())
		w.happened(queueTruncated)
	}
}

// list is what a cluster answers now to a question with this ticket.
func (c *cluster) list(ticket confirm.Ticket, names []string, starts bool) confirm.Listing {
	l := confirm.Listing{Fresh: ticket, Topics: make(map[string]confirm.TopicListing)}
	for _, name := range names {
		t := c.topics[name]
		if t == nil {
			l.Topics[name] = confirm.TopicListing{}
			continue
		}
		parts := make(map[int32]confirm.Bounds)
		for n, log := range t.logs {
			b := confirm.Bounds{Start: confirm.Unknown, End: confirm.At(log.end())}
			if starts {
				b.Start = confirm.At(log.start)
			}
			parts[int32(n)] = b
		}
		l.Topics[name] = confirm.TopicListing{Exists: true, ID: t.id, Partitions: parts}
	}
	return l
}
