package connector

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/sdk"
)

// Why a partition with a lag makes no progress, a bounded set for labels.
const (
	stuckBudget      = "budget"      // the byte budget is full
	stuckWindow      = "window"      // the windows of the proxies are full, or max_unfinal is reached
	stuckRoute       = "route"       // its stream stalls
	stuckEndpoint    = "endpoint"    // proxies are away or do not answer in time
	stuckQueue       = "queue"       // the queue behind the proxies does not answer, or does not show what was acked
	stuckBroker      = "broker"      // the source cannot be read
	stuckRebalance   = "rebalance"   // the group session is at fault
	stuckTransaction = "transaction" // a producer's transaction is open, and read_committed waits for it
)

// stuck says that a partition with a lag has made no progress for delivery.watchdog.
type stuck struct {
	since  time.Time // when it last made progress
	reason string    // code
	detail string    // sentence
}

// watchdog finds partitions that are behind and make no progress. It compares with the lag, never with
// traffic: what is idle at its end is well. It belongs to one goroutine.
type watchdog struct {
	after time.Duration
	marks map[*partition]*mark
}

type mark struct {
	at     int64     // watermark when it last moved
	since  time.Time // when that was, or when the lag began
	barked time.Time // when it was logged last, zero when it is not stuck
	reason string    // that was logged
}

const barkAgain = 10 * time.Minute // a stall that stays is logged again after this time

// verdict is what a look found about one partition that is stuck, or was.
type verdict struct {
	p      *partition
	lag    int64
	stuck  stuck
	bark   bool          // log it
	lasted time.Duration // it goes on after so long; 0 while it is stuck
}

// look compares partitions with what they were at the last look. lag tells how far each is behind, 0 for
// one that is not to be watched; why is asked only about those that are stuck.
func (w *watchdog) look(now time.Time, parts []*partition, lag func(*partition) int64, why func(*partition) (code, detail string)) []verdict {
	var out []verdict
	seen := make(map[*partition]*mark, len(parts))
	for _, p := range parts {
		m, at, behind := w.marks[p], p.wm.Watermark(), lag(p)
		if m == nil {
			m = &mark{at: at, since: now}
		}
		seen[p] = m
		if at != m.at || behind <= 0 {
			if !m.barked.IsZero() {
				out = append(out, verdict{p: p, lag: behind, stuck: stuck{reason: m.reason}, lasted: now.Sub(m.since)})
			}
			*m = mark{at: at, since: now}
			continue
		}
		if now.Sub(m.since) < w.after {
			continue
		}
		v := verdict{p: p, lag: behind, stuck: stuck{since: m.since}}
		v.stuck.reason, v.stuck.detail = why(p)
		// A reason that changes is news, but not more often than stalls are found.
		if m.barked.IsZero() || now.Sub(m.barked) >= barkAgain || v.stuck.reason != m.reason && now.Sub(m.barked) >= w.after {
			v.bark, m.barked, m.reason = true, now, v.stuck.reason
		}
		out = append(out, v)
	}
	w.marks = seen // an assignment that ended is forgotten
	return out
}

// watchdogLoop looks after partitions until ctx ends.
func (b *Bridge) watchdogLoop(ctx context.Context) {
	w := &watchdog{after: b.watchdogAfter()}
	every := min(max(w.after/8, 100*time.Millisecond), 10*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var open map[tp]bool
	asked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if b.draining.Load() {
			for _, p := range b.assigned() {
				p.stalled.Store(nil)
			}
			return // the drain has a time of its own
		}
		if time.Since(asked) >= w.after/2 {
			open = b.askEnds(ctx, w.after/2)
			asked = time.Now()
		}
		b.watch(w, time.Now(), open)
	}
}

// watchdogAfter is how long a partition may make no progress: in settle nothing is final before settle.
func (b *Bridge) watchdogAfter() time.Duration {
	after := b.cfg.Delivery.Watchdog
	if b.cfg.Delivery.Confirm == "settle" {
		after += b.cfg.Delivery.Settle
	}
	return after
}

// watch looks once, and tells.
func (b *Bridge) watch(w *watchdog, now time.Time, open map[tp]bool) {
	var s *Status // asked for only when something is stuck
	why := func(p *partition) (code, detail string) {
		if s == nil {
			taken := b.Status()
			s = &taken
		}
		st := p.status(now)
		ask := stuckIn{part: &st, open: open[p.id], repair: b.reread.has([]*partition{p})}
		if r := p.router.fixed; r != nil {
			ask.route = &RouteStatus{r.target.Group, r.target.Stream}
		}
		return whyStuck(s, ask)
	}
	found := w.look(now, b.assigned(), (*partition).behind, why)
	barks, ends := make(map[string][]verdict), make(map[string][]verdict)
	still := make(map[*partition]*stuck)
	for i := range found {
		v := &found[i]
		if v.lasted > 0 {
			ends[v.stuck.reason] = append(ends[v.stuck.reason], *v)
			continue
		}
		still[v.p] = &v.stuck
		if v.bark {
			barks[v.stuck.reason] = append(barks[v.stuck.reason], *v)
		}
	}
	for p := range w.marks {
		p.stalled.Store(still[p])
	}
	for _, reason := range slices.Sorted(maps.Keys(barks)) {
		vs := barks[reason]
		var lag int64
		first := now
		for _, v := range vs {
			lag += v.lag
			if v.stuck.since.Before(first) {
				first = v.stuck.since
			}
		}
		b.log.Warn("partitions are behind and make no progress", "reason", reason, "detail", vs[0].stuck.detail,
			"partitions", len(vs), "which", which(vs), "lag", lag, "for", now.Sub(first).Round(time.Second))
	}
	for _, reason := range slices.Sorted(maps.Keys(ends)) {
		vs := ends[reason]
		var longest time.Duration
		for _, v := range vs {
			longest = max(longest, v.lasted)
		}
		b.log.Info("partitions make progress again", "reason", reason, "partitions", len(vs), "which", which(vs),
			"after", longest.Round(time.Second))
	}
}

// which names the first few of many partitions.
func which(vs []verdict) string {
	var names []string
	for i, v := range vs {
		if i == 5 {
			names = append(names, "...")
			break
		}
		names = append(names, v.p.id.String())
	}
	return strings.Join(names, " ")
}

// behind is the lag the watchdog goes by: none of what a migration does not want, and none of a partition
// that has stopped and said so.
func (p *partition) behind() int64 {
	if p.halted.Load() != nil {
		return 0
	}
	end, done := p.high.Load(), p.wm.Watermark()
	if p.limit >= 0 {
		end = min(end, p.limit)
	}
	return max(0, end-max(done, p.logStart.Load()))
}

// askEnds asks for the ends of the logs of partitions of which nothing was heard for a while: a client that
// is stuck would show no lag. It returns those whose next record belongs to an open transaction.
func (b *Bridge) askEnds(ctx context.Context, quiet time.Duration) (open map[tp]bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var topics []string
	var parts []*partition
	now := time.Now()
	for _, p := range b.assigned() {
		if p.halted.Load() == nil && (now.Sub(p.fetchedAt()) >= quiet || p.behind() > 0 && p.wm.Unfinal() == 0) {
			parts = append(parts, p)
			if !slices.Contains(topics, p.id.topic) {
				topics = append(topics, p.id.topic)
			}
		}
	}
	if len(parts) == 0 {
		return nil
	}
	ends, err := b.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil // the fetches see the same, and say so
	}
	var stable kadm.ListedOffsets
	if b.cfg.Kafka.Isolation == "read_committed" {
		if stable, err = b.admin.ListCommittedOffsets(ctx, topics...); err != nil {
			return nil
		}
	}
	open = make(map[tp]bool)
	for _, p := range parts {
		end, ok := ends.Lookup(p.id.topic, p.id.partition)
		if !ok || end.Err != nil {
			continue
		}
		for high := p.high.Load(); high < end.Offset && !p.high.CompareAndSwap(high, end.Offset); {
			high = p.high.Load()
		}
		if s, ok := stable.Lookup(p.id.topic, p.id.partition); ok && s.Err == nil && s.Offset < end.Offset && p.expects() >= s.Offset {
			open[p.id] = true
		}
	}
	return open
}

// stuckIn is what is known about a stuck partition beside the status of all.
type stuckIn struct {
	part   *PartitionStatus
	route  *RouteStatus // where all its records go, nil when that depends on the record
	open   bool         // what comes next belongs to an open transaction
	repair bool         // it has lost pieces that are not read again yet
}

// whyStuck names the cause of a stall that is nearest to its root.
func whyStuck(s *Status, in stuckIn) (code, detail string) {
	p := in.part
	if s.Group.Error != "" {
		return stuckRebalance, s.Group.Error
	}
	if p.Stall == stallFault {
		return stuckBroker, p.Reason
	}
	if p.Unfinal == 0 && p.OldestUnfinal == 0 { // nothing of it is on its way: it is not read
		switch {
		case s.Memory.Hold == reasonUnfinal:
			return stuckWindow, s.Memory.Hold
		case s.Memory.Hold != "":
			return stuckBudget, s.Memory.Hold
		case in.open:
			return stuckTransaction, "a producer's transaction is open; isolation: read_committed waits for its end"
		}
		return stuckBroker, "kafka has records and returns none"
	}
	up, full, ill, bad := 0, 0, 0, ""
	unanswered, acked := 0, 0 // packs
	for i := range s.Sender.Endpoints {
		e := &s.Sender.Endpoints[i]
		if e.Connections == 0 {
			continue
		}
		switch {
		case e.Code == sdk.EndpointWindowFull:
			full++
		case e.Reason != "":
			ill++
			bad = cmp.Or(bad, "proxy "+e.Address+": "+e.Reason)
		}
		up++
		unanswered += e.InFlightPacks
		acked += e.AckedPacks
	}
	stream := ""
	for i := range s.Sender.Streams {
		st := &s.Sender.Streams[i]
		mine := in.route == nil || st.Group == in.route.Group && st.Stream == in.route.Stream
		if st.Stall != "" && mine && stream == "" {
			stream = "stream " + st.Group + "." + st.Stream + ": " + st.Stall
		}
	}
	switch {
	case up == 0:
		return stuckEndpoint, noProxy(s)
	case s.Queue != nil && !s.Queue.Answers:
		return stuckQueue, silentQueue(s)
	case ill == up: // what streams say of it follows
		return stuckEndpoint, bad
	case stream != "" && (in.route != nil || p.Stall == stallStream):
		return stuckRoute, stream
	case in.repair:
		return stuckBroker, "pieces that a proxy lost are not read again yet"
	case full == up:
		return stuckWindow, "every proxy holds as much unconfirmed data as it may: the queue behind them is slow"
	case bad != "":
		return stuckEndpoint, bad
	case s.Queue != nil && unanswered > acked: // frozen, or a zombie: the queue cannot show what they did not take
		return stuckEndpoint, fmt.Sprintf("the proxies do not answer: %d packs are in flight, %d acked and not seen in the queue yet", unanswered, acked)
	case s.Memory.Hold == reasonBudget || p.Stall == stallBudget:
		return stuckBudget, reasonBudget
	case s.Memory.Hold != "":
		return stuckWindow, s.Memory.Hold
	case stream != "":
		return stuckRoute, stream
	case s.Queue != nil:
		return stuckQueue, "what the proxies acked is not seen in the queue behind them"
	}
	return stuckEndpoint, "the proxies do not answer, or not in time"
}

// silentQueue says which queue clusters do not answer.
func silentQueue(s *Status) string {
	var silent []string
	for _, c := range s.Queue.Clusters {
		if !c.Answers {
			silent = append(silent, strings.TrimSuffix(c.Name+": "+c.LastError, ": "))
		}
	}
	if len(silent) == 0 {
		return "the queue behind the proxies does not answer"
	}
	return "queue cluster does not answer: " + strings.Join(silent, "; ")
}

// stuckText is what readiness says of a partition that is stuck.
func stuckText(p *PartitionStatus) string {
	return fmt.Sprintf("partition %s: no progress for %v with a lag of %d (%s: %s)",
		tp{p.Topic, p.Partition}, p.Stuck.Round(time.Second), p.Lag, p.StuckCode, p.StuckReason)
}
