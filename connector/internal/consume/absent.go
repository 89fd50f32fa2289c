package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/absence"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
)

// A partition that Kafka does not find is paused and asked about by name, another broker each time. A broker that lags, or a
// right that is missing for a moment, ends with the next good answer. Several answers that agree prove a deletion
// (package absence); it stops the partition until its topic is back under the same id.

// errAbsent says that a partition was not found and is asked about by name.
var errAbsent = errors.New("the partition is not found, and asked about by name")

// absentees are the partitions that are asked about by name.
type absentees struct {
	rules absence.Rules

	mu      sync.Mutex
	of      map[part.ID]*absentee // guarded by mu
	recent  map[part.ID]pace      // guarded by mu; of those that were found a moment ago
	brokers []int32               // guarded by mu; of the cluster, as the last answer said
	last    int32                 // guarded by mu; the broker that was asked last
}

// pace is how often was asked about a partition, and when last.
type pace struct {
	asked int
	at    time.Time
}

// absentee is one partition that was not found.
type absentee struct {
	p       *assign.Assignment // the assignment that is asked about
	why     missedBy           // guarded by the mu of absentees
	err     error              // guarded by the mu of absentees; what a fetch said last, nil for nothing
	pace    pace               // guarded by the mu of absentees
	tracker absence.Tracker    // of the watch loop
}

// missedBy says what did not find a partition, and so what is to be tried when it is found.
type missedBy uint8

const (
	byList     missedBy = iota // the list of topics, or a commit: fetching works as far as is known
	byFetch                    // a fetch
	byPosition                 // the look for its position in the log
	byBegin                    // the look for where it begins: there is no position yet
)

// miss has a partition asked about by name that Kafka does not find. It never waits.
func (c *Consumer) miss(p *assign.Assignment, why missedBy, err error) {
	if p.Gate().Condition().Has(reason.Recreated, reason.Truncated) {
		return // these never end
	}
	var said error
	if why == byFetch {
		said = kafkaclient.Explain(err, "fetching "+p.ID().String())
	}
	c.absent.add(p, why, said, time.Now())
	if why != byList && !p.Gate().Condition().Has(reason.Deleted) { // a list may leave a topic out; an answer by name decides
		c.faultAbsent(p, err)
	}
	c.Look()
}

// missTopic is miss for all partitions of a topic that the client's metadata does not have. That is no error of the group.
func (c *Consumer) missTopic(topic string, err error) {
	for _, p := range c.table.Assigned() {
		if p.ID().Topic == topic {
			c.miss(p, byList, err)
		}
	}
}

func (as *absentees) add(p *assign.Assignment, why missedBy, said error, now time.Time) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a := as.of[p.ID()]; a != nil && a.p == p {
		a.why = max(a.why, why)
		if said != nil {
			a.err = said
		}
		return
	}
	if as.of == nil {
		as.of = make(map[part.ID]*absentee)
	}
	a := &absentee{p: p, why: why, err: said}
	if r := as.recent[p.ID()]; now.Sub(r.at) <= as.rules.Last {
		a.pace = r // it may be found and missed again and again
	}
	as.of[p.ID()] = a
}

// dueNow returns those to ask about now, without those whose assignment has ended.
func (as *absentees) dueNow(now time.Time) []*absentee {
	as.mu.Lock()
	defer as.mu.Unlock()
	maps.DeleteFunc(as.of, func(_ part.ID, a *absentee) bool { return a.p.Gate().Ended() })
	maps.DeleteFunc(as.recent, func(_ part.ID, r pace) bool { return now.Sub(r.at) > as.rules.Last })
	var due []*absentee
	for _, a := range as.of {
		if a.pace.asked == 0 || now.Sub(a.pace.at) >= as.rules.Pause(a.pace.asked-1) {
			a.pace = pace{a.pace.asked + 1, now}
			due = append(due, a)
		}
	}
	return due
}

// forget takes an absentee off the list, and returns what missed it.
func (as *absentees) forget(a *absentee) (why missedBy, said error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.of[a.p.ID()] == a {
		delete(as.of, a.p.ID())
	}
	if as.recent == nil {
		as.recent = make(map[part.ID]pace)
	}
	as.recent[a.p.ID()] = a.pace
	return a.why, a.err
}

// next returns the broker whose turn it is; ok is false while none is known.
func (as *absentees) next() (broker int32, ok bool) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if broker, ok = absence.Next(as.brokers, as.last); ok {
		as.last = broker
	}
	return broker, ok
}

// know remembers the brokers of the cluster, nil when they are to be asked for.
func (as *absentees) know(brokers []int32) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.brokers = brokers
}

// Absent returns how many partitions are asked about by name.
func (c *Consumer) Absent() int {
	c.absent.mu.Lock()
	defer c.absent.mu.Unlock()
	return len(c.absent.of)
}

// askForAbsent asks one broker about all partitions that were not found, and acts on the answer.
func (w *watcher) askForAbsent(ctx context.Context) {
	if w.draining.Load() {
		return
	}
	due := w.absent.dueNow(time.Now())
	if len(due) == 0 {
		return
	}
	names := make(map[string]bool)
	for _, a := range due {
		names[a.p.ID().Topic] = true
	}
	m, broker, err := w.identifyInTurn(ctx, slices.Sorted(maps.Keys(names)))
	if err != nil {
		w.absent.know(nil)
		if ctx.Err() == nil && w.faults.Begin("names") { // no reason for all partitions: another broker is asked next
			w.log.Warn("asking for topics by name fails, trying again", "topics", len(names), "err", kafkaclient.Explain(err, "asking for topics by name"))
		}
		return
	}
	w.absent.know(m.Brokers)
	var begin []*absentee
	for _, a := range due {
		if w.heardOf(a, m, broker, time.Now()) {
			begin = append(begin, a)
		}
	}
	if len(begin) > 0 {
		w.beginFound(ctx, begin)
	}
}

// identifyInTurn asks the broker whose turn it is, so that answers come from all of them.
func (w *watcher) identifyInTurn(ctx context.Context, names []string) (m *source.Metadata, broker int32, err error) {
	broker, ok := w.absent.next()
	if !ok { // whoever answers says which there are
		ctx, cancel := context.WithTimeout(ctx, source.IdentifyTime)
		defer cancel()
		if m, err = w.deps.Kafka.Identify(ctx, names); err != nil {
			return nil, 0, err
		}
		w.absent.know(m.Brokers)
		if broker, ok = w.absent.next(); !ok {
			return nil, 0, errors.New("a broker's answer names no broker")
		}
	}
	m, err = w.deps.Kafka.IdentifyAt(ctx, broker, names)
	return m, broker, err
}

// answerAbout is what an answer says of one partition.
func answerAbout(id part.ID, t source.TopicMetadata) (absence.Answer, error) {
	switch {
	case errors.Is(t.Err, kerr.TopicAuthorizationFailed):
		return absence.Denied, t.Err
	case t.Err != nil:
		return absence.Missing, t.Err
	case !slices.Contains(t.Partitions, id.Num):
		return absence.Missing, kerr.UnknownTopicOrPartition
	}
	return absence.Present, nil
}

// heardOf acts on one broker's answer about one partition. It reports whether the partition was found and is to begin.
func (w *watcher) heardOf(a *absentee, m *source.Metadata, broker int32, now time.Time) (begins bool) {
	p, t := a.p, m.Topics[a.p.ID().Topic]
	answer, err := answerAbout(p.ID(), t)
	a.tracker.Saw(broker, answer, now)
	switch {
	case p.Gate().Condition().Has(reason.Recreated, reason.Truncated): // no answer ends these
		w.found(a)
	case answer == absence.Present && p.From.Absent != nil:
		return true
	case answer == absence.Present && part.OtherTopic(p.TopicID(), t.ID):
		p.StopRecreated()
		w.found(a)
	case answer == absence.Present:
		w.found(a)
	case p.Gate().Condition().Has(reason.Deleted):
	default:
		w.faultAbsent(p, err)
		if a.tracker.Believed(w.absent.rules, len(m.Brokers)) {
			p.Stop(part.Deleted(p.ID()))
			p.Gate().Drop(part.Key(p.ID(), reason.Fault))
		}
	}
	return false
}

// found ends the absence of a partition that had begun: it goes on from its own position.
func (w *watcher) found(a *absentee) {
	p := a.p
	why, said := w.absent.forget(a)
	gone := part.Key(p.ID(), reason.Deleted)
	switch wasGone := p.Gate().Condition().Has(reason.Deleted); {
	case p.Gate().Condition().Has(reason.Recreated, reason.Truncated):
		p.Retry.Store(nil)
		p.Gate().Drop(gone)
		p.Gate().Drop(part.Key(p.ID(), reason.Fault))
	case wasGone, why == byPosition:
		// Its log is looked at before anything of it is fetched.
		w.tryAgain(p, fmt.Errorf("topic %s is found again; looking at its log", p.ID().Topic), true)
		if wasGone {
			w.GoOn(assign.Ending{Assignment: p, Key: gone})
		}
	case why == byFetch:
		// The topic is there: what the fetch itself said is the cause.
		err := said
		if err == nil {
			err = fmt.Errorf("topic %s is found; trying to fetch again", p.ID().Topic)
		}
		w.tryAgain(p, err, false)
	default:
		w.recovered(p)
	}
}

// faultAbsent pauses a partition that was not found, until an answer by name says more.
func (c *Consumer) faultAbsent(p *assign.Assignment, err error) {
	now := time.Now()
	r := reason.New(part.Key(p.ID(), reason.Fault), now, absentText(p.ID(), err))
	began := p.Gate().Add(r, true)
	p.Retry.Store(&assign.Retry{Last: now, Absent: true, Told: true}) // after the gate has closed: see tryAgain
	if began {
		c.deps.Causes.Began(r)
	}
}

// absentText says what is known of a partition that was not found. A missing right is no missing topic.
func absentText(id part.ID, err error) string {
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return fmt.Sprintf("the right to read topic %s is missing (TOPIC_AUTHORIZATION_FAILED); asking again; hint: grant READ and DESCRIBE on it", id.Topic)
	}
	return fmt.Sprintf("topic %s or its partition %d is not found; asking again", id.Topic, id.Num)
}

// beginFound begins assignments whose log was not found before. What is still not found is asked about again.
func (w *watcher) beginFound(ctx context.Context, list []*absentee) {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	parts := make(map[string][]int32)
	for _, a := range list {
		parts[a.p.ID().Topic] = append(parts[a.p.ID().Topic], a.p.ID().Num)
	}
	s, err := w.deps.Kafka.Survey(ctx, parts)
	if err != nil {
		if err = kafkaclient.Explain(err, "listing offsets"); ctx.Err() == nil && w.sourceFault("offsets", err) {
			w.log.Warn("listing the offsets of partitions that were found fails, trying again", "partitions", len(list), "err", err)
		}
		return
	}
	var opened []*assign.Assignment
	for _, a := range list {
		if err := s.Logs[a.p.ID()].Err; err != nil {
			w.faultAbsent(a.p, err)
			continue
		}
		p, err := w.openLater(s, a.p)
		if err != nil {
			w.log.Error("a partition that was found cannot begin", "topic", a.p.ID().Topic, "partition", a.p.ID().Num, "err", err)
			continue
		}
		if p != nil { // else the assignment ends
			_, _ = w.absent.forget(a)
			opened = append(opened, p)
		}
	}
	w.opener.sayBegins(s, opened)
	w.Committer.CommitStarts(ctx, opened) // what fails is tried again before the partition is fetched
}

// openLater makes the object of an assignment in the place of one whose log was not found. It returns nil when the assignment
// has ended meanwhile.
func (w *watcher) openLater(s *source.Survey, old *assign.Assignment) (*assign.Assignment, error) {
	t, err := w.table.topic(old.ID().Topic)
	if err != nil {
		return nil, err
	}
	t = w.table.withID(t, s.Topics[old.ID().Topic].ID)
	rt, err := route.NewRouter(t.Mapping, w.deps.Routes)
	if err != nil {
		return nil, err
	}
	p := w.opener.open(s, old.ID(), t, rt)
	p.RewindFirst() // kgo has had another offset since the assignment
	if p.Stopped() == nil {
		if f := old.Gate().Condition().Find(reason.Fault); f != nil { // it has lasted since then
			p.Retry.Store(&assign.Retry{Told: true})
			p.Gate().Add(reason.New(f.Key, f.Since, f.Own.Text()), true)
		}
		w.tryAgain(p, fmt.Errorf("topic %s is found; looking at its log", p.ID().Topic), true)
	}
	p.ReachedEnd()
	if !w.Succeed(old, p) {
		return nil, nil
	}
	if e := old.Gate().Condition().Find(reason.Deleted); e != nil {
		w.Counters.GoneOn.Add(string(reason.Deleted), 1)
		w.deps.Causes.Ended(*e.Own)
	}
	w.Gates.Begin(p.Gate())
	if h := p.Stopped(); h != nil && !p.From.Again {
		w.Stopped(p, h.Own)
	}
	return p, nil
}
