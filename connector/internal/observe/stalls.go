package observe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// stalls finds partitions that are behind and make no progress, in snapshots. It compares with the lag, never with traffic: what
// is idle at its end is well. It belongs to one goroutine.
type stalls struct {
	after time.Duration // 0 finds nothing
	marks map[uint64]*mark
	looks uint64
}

// mark is what is remembered of one assignment.
type mark struct {
	at    int64     // final offset when it last moved
	since time.Time // when that was, or when the lag began
	told  time.Time // when it was logged last, zero when it is not stuck
	code  reason.Code
	look  uint64 // the last one that saw the assignment
}

const tellAgain = 10 * time.Minute // a stall that stays is logged again after this time

// stall is what a look found about one partition that makes no progress, or did not.
type stall struct {
	part   *PartitionStatus
	found  []gate.Entry  // why; none when it is over
	code   reason.Code   // the first of them, or the one that was told
	text   string        // sentence
	since  time.Time     // it last made progress
	tell   bool          // it is to be logged
	lasted time.Duration // it goes on after so long; 0 while it does not
}

// look compares the partitions of a snapshot with what they were at the last look. why is asked only about those that make no
// progress; it returns the reasons, the nearest to the root first, and the sentence of the first.
func (w *stalls) look(now time.Time, parts []PartitionStatus, why func(*PartitionStatus) ([]gate.Entry, string)) []stall {
	if w.after <= 0 {
		return nil
	}
	var out []stall
	if w.marks == nil {
		w.marks = make(map[uint64]*mark, len(parts))
	}
	w.looks++
	for i := range parts {
		p := &parts[i]
		m := w.marks[p.Assignment]
		if m == nil {
			m = &mark{at: p.Final, since: now}
			w.marks[p.Assignment] = m
		}
		m.look = w.looks
		if p.Final != m.at || p.Behind <= 0 {
			if !m.told.IsZero() && p.Condition.Stop() == nil { // one that stopped makes no progress, and has said so
				out = append(out, stall{part: p, code: m.code, since: m.since, lasted: now.Sub(m.since)})
			}
			*m = mark{at: p.Final, since: now, look: w.looks}
			continue
		}
		if now.Sub(m.since) < w.after {
			continue
		}
		s := stall{part: p, since: m.since}
		if s.found, s.text = why(p); len(s.found) == 0 {
			continue
		}
		s.code = s.found[0].Code
		for j := range s.found {
			s.found[j].Behind = m.since
		}
		// A reason that changes is news, but not more often than stalls are found.
		if m.told.IsZero() || now.Sub(m.told) >= tellAgain || s.code != m.code && now.Sub(m.told) >= w.after {
			s.tell, m.told, m.code = true, now, s.code
		}
		out = append(out, s)
	}
	if len(w.marks) > len(parts) { // an assignment that ended is forgotten
		maps.DeleteFunc(w.marks, func(_ uint64, m *mark) bool { return m.look != w.looks })
	}
	return out
}

// index finds the shared reasons of a snapshot: a look asks for them for each partition that makes no progress.
type index struct {
	byCode   map[reason.Code][]*Condition
	byStream map[string]*Condition // the first reason of a stream, by group/stream
}

func indexOf(conditions []Condition) *index {
	ix := &index{make(map[reason.Code][]*Condition), make(map[string]*Condition)}
	for i := range conditions {
		c := &conditions[i]
		if c.Scope == reason.Partition {
			continue
		}
		ix.byCode[c.Code] = append(ix.byCode[c.Code], c)
		if c.Scope == reason.Stream && ix.byStream[c.Object] == nil {
			ix.byStream[c.Object] = c
		}
	}
	return ix
}

// whyStuck names the cause of a stall that is nearest to its root: keys of reasons that are posted already, or a reason that it
// adds. held says that nothing was fetched for want of room since the partition last made progress.
func whyStuck(s *Status, ix *index, p *PartitionStatus, held bool, now time.Time) (found []gate.Entry, text string) {
	posted := func(code reason.Code) (entries []gate.Entry, text string) {
		for _, c := range ix.byCode[code] {
			entries = append(entries, gate.Entry{Key: c.Key})
			text = cmp.Or(text, c.Text())
		}
		return entries, text
	}
	shared := func(code reason.Code, text string) ([]gate.Entry, string) {
		r := reason.New(reason.Key{Code: code, Scope: reason.Process}, now, text)
		return []gate.Entry{{Key: r.Key, Own: &r}}, text
	}
	own := func(code reason.Code, text string) ([]gate.Entry, string) {
		r := reason.New(reason.Key{Code: code, Scope: reason.Partition, Object: p.name()}, now, text)
		return []gate.Entry{{Key: r.Key, Own: &r}}, text
	}
	if found, text := posted(reason.Rebalance); found != nil {
		return found, text
	}
	if e := p.Condition.Find(reason.Fault); e != nil {
		return []gate.Entry{{Key: e.Key}}, e.Own.Text()
	}
	if p.Unfinal == 0 && p.OldestUnfinal == 0 && !held { // nothing of it is on its way, and nothing holds the fetching up
		if p.OpenTransaction {
			return own(reason.Transaction, "a producer's transaction is open; isolation: read_committed waits for its end; hint: kafka-transactions.sh names the producer")
		}
		if found, text := posted(reason.Source); found != nil {
			return found, text
		}
		return own(reason.NotFetched, "kafka has records of "+p.name()+" and returns none; hint: look at the broker that leads the partition, and at what lies between it and the bridge")
	}
	up, full, sick, unanswered, acked := 0, 0, 0, 0, 0
	for i := range s.Sender.Endpoints {
		e := &s.Sender.Endpoints[i]
		if e.Connections == 0 {
			continue
		}
		up++
		switch {
		case windowFull(e):
			full++
		case ill(e):
			sick++
		}
		unanswered += e.InFlightPacks
		acked += e.AckedPacks
	}
	switch {
	case up == 0:
		if found, text := posted(reason.NoProxy); found != nil {
			return found, text
		}
		return shared(reason.NoProxy, noProxy(s)+hintEndpoint)
	case s.Queue != nil && !s.Queue.Answers:
		if found, text := posted(reason.Queue); found != nil {
			return found, text
		}
		return shared(reason.NotSeen, "the queue behind the proxies does not answer")
	case sick == up: // what streams say of it follows
		if found, text := posted(reason.Endpoint); found != nil {
			return found, text
		}
	}
	if found, text := ownStream(ix, p); found != nil {
		return found, text
	}
	switch {
	case p.Repair:
		return shared(reason.Reread, "pieces that a proxy lost are not read again yet; hint: the log says why the source cannot be read")
	case full == up:
		return shared(reason.WindowFull, "every proxy holds as much unconfirmed data as it may: the queue behind them is slow; hint: look at the queue, and at its lag in the proxies' metrics")
	case sick > 0 && sick < up:
		if found, text := posted(reason.Endpoint); found != nil {
			return found, text
		}
	}
	switch {
	case s.Queue != nil && unanswered > acked: // frozen, or a zombie: the queue cannot show what they did not take
		return shared(reason.NoAck, fmt.Sprintf("the proxies do not answer: %d packs are in flight, %d acked and not seen in the queue yet", unanswered, acked)+hintProxies)
	case p.Condition.Has(reason.LetterWait):
		return []gate.Entry{{Key: reason.Key{Code: reason.LetterWait, Scope: reason.Process}}}, reason.KindOf(reason.LetterWait).Meaning
	case p.Condition.Has(reason.Budget):
		return []gate.Entry{{Key: reason.Key{Code: reason.Budget, Scope: reason.Process}}}, reason.KindOf(reason.Budget).Meaning
	}
	for _, code := range []reason.Code{reason.Budget, reason.MaxUnfinal} {
		if found, text := posted(code); found != nil {
			return found, text
		}
	}
	if s.Queue != nil {
		return shared(reason.NotSeen, "what the proxies acked is not seen in the queue behind them; hint: look at the queue of the proxies, and whether they write to the topic that the bridge reads")
	}
	return shared(reason.NoAck, "the proxies do not answer, or not in time"+hintProxies)
}

const hintProxies = "; hint: look at the proxies: a process that stands still, or garbage collection, looks like this"

// ownStream returns the stalled stream that holds a partition back: the one that its pending records wait for, or that of its
// oldest piece. A stream that stalls and has nothing of the partition is innocent.
func ownStream(ix *index, p *PartitionStatus) (found []gate.Entry, text string) {
	var object string
	if e := p.Condition.Find(reason.StreamFull); e != nil {
		object = e.Object
	} else if p.Oldest != nil {
		object = p.Oldest.Group + "/" + p.Oldest.Stream
	}
	if object == "" {
		return nil, ""
	}
	if c := ix.byStream[object]; c != nil {
		return []gate.Entry{{Key: c.Key}}, c.Text()
	}
	return nil, ""
}

// windowFull reports whether a proxy gets nothing because its window is full, which is no fault of its own.
func windowFull(e *sdk.EndpointStatus) bool { return e.Code == sdk.EndpointWindowFull }

// ill reports whether a proxy gets nothing because of its answers or its connections.
func ill(e *sdk.EndpointStatus) bool {
	return e.Code != sdk.EndpointOK && e.Code != sdk.EndpointRateReached && !windowFull(e)
}

// rateLimits reports whether records wait, no connected proxy may take more than it gets, and the rate is why.
func rateLimits(s *Status) bool {
	if !slices.ContainsFunc(s.Parts, func(p PartitionStatus) bool { return p.Condition.Has(reason.Budget, reason.StreamFull) }) {
		return false
	}
	limits := false
	for i := range s.Sender.Endpoints {
		switch e := &s.Sender.Endpoints[i]; {
		case e.Connections == 0 || windowFull(e) || ill(e):
		case e.Code != sdk.EndpointRateReached:
			return false
		default:
			limits = true
		}
	}
	return limits
}

// told groups what is to be logged by code, in the order of the table.
func told(found []stall, want func(*stall) bool) (out [][]*stall) {
	for _, k := range reason.Kinds() {
		var group []*stall
		for i := range found {
			if f := &found[i]; f.code == k.Code && want(f) {
				group = append(group, f)
			}
		}
		if len(group) > 0 {
			out = append(out, group)
		}
	}
	return out
}

func namesOf(group []*stall) string {
	names := make([]string, len(group))
	for i, f := range group {
		names[i] = f.part.name()
	}
	slices.Sort(names)
	return few(names)
}
