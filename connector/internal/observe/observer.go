package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
)

// Source is the bridge as the observer sees it.
type Source interface {
	// Snapshot returns what is known of the bridge without Ready and Conditions.
	Snapshot() Status
	// Stalled tells which assignments make no progress and why; of all others that goes for none.
	Stalled(found map[uint64][]gate.Entry)
}

// Config says when something counts as stuck.
type Config struct {
	Watchdog time.Duration // a partition that is behind may make no progress for so long; 0 finds no stalls
	Overdue  time.Duration // records may wait so long to become final
}

// Observer makes status, readiness and metrics of snapshots, and logs causes: one line for each, however many partitions it holds
// back.
type Observer struct {
	src   Source
	board *reason.Board
	cfg   Config
	log   *slog.Logger

	stalls stalls                   // of Run's goroutine
	lasts  map[reason.Code]*lasting // of Run's goroutine; shared reasons that were logged and last

	// completing makes what a snapshot says and what is posted one: another snapshot may say otherwise a moment later.
	completing sync.Mutex

	mu     sync.Mutex
	events map[reason.Code]*events // guarded by mu; of partitions
}

// New returns an observer that reads src and board.
func New(src Source, board *reason.Board, cfg Config, log *slog.Logger) *Observer {
	return &Observer{src: src, board: board, cfg: cfg, log: log, stalls: stalls{after: cfg.Watchdog}}
}

// Status is a snapshot with everything that follows from it.
func (o *Observer) Status() Status { return o.complete(time.Now()) }

func (o *Observer) complete(now time.Time) Status {
	o.completing.Lock()
	defer o.completing.Unlock()
	s := o.src.Snapshot()
	starting := reason.Key{Code: reason.Starting, Scope: reason.Process}
	if s.State == "starting" && s.Starting == "" {
		s.Starting = "the bridge is about to start"
	}
	if s.Starting != "" {
		o.board.Set(reason.New(starting, now, s.Starting))
	} else {
		o.board.Clear(starting)
	}
	if s.State != "starting" {
		o.board.Replace("snapshot", derived(&s, now))
	}
	posted := o.board.Snapshot()
	for _, r := range posted { // in the order of their codes: the rate, which says more than the budget, comes last
		switch r.Code {
		case reason.Rebalance:
			s.Group.Error = r.Text()
		case reason.Budget, reason.MaxUnfinal, reason.Rate:
			s.Memory.Hold = r.Text()
		}
	}
	assemble(&s, posted, now)
	addLags(&s)
	s.Ready = readiness(s.Conditions, s.Parts)
	return s
}

// Run looks at the bridge until ctx ends.
func (o *Observer) Run(ctx context.Context) {
	look := min(max(o.cfg.Watchdog/8, 100*time.Millisecond), 10*time.Second)
	if o.cfg.Watchdog <= 0 {
		look = 10 * time.Second
	}
	tick := time.NewTicker(min(look, flushPauses.Min))
	defer tick.Stop()
	defer o.Flush()
	looked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			o.flush(now, false)
			if now.Sub(looked) >= look {
				looked = now
				o.look(now)
			}
		}
	}
}

// look finds partitions that make no progress, and tells.
func (o *Observer) look(now time.Time) {
	s := o.complete(now)
	if s.State != "running" { // a drain has a time of its own
		o.src.Stalled(nil)
		o.board.Replace("stalls", nil)
		return
	}
	ix := indexOf(s.Conditions)
	found := o.stalls.look(now, s.Parts, func(p *PartitionStatus) ([]gate.Entry, string) {
		return whyStuck(&s, ix, p, now.Sub(s.HeldAt) < o.cfg.Watchdog, now)
	})
	var posted []reason.Reason
	entries := make(map[uint64][]gate.Entry, len(found))
	for i := range found {
		f := &found[i]
		for j := range f.found { // what several partitions share is posted once
			if e := &f.found[j]; e.Own != nil && e.Scope != reason.Partition {
				posted, e.Own = append(posted, *e.Own), nil
			}
		}
		entries[f.part.Assignment] = f.found
	}
	for i := range s.Parts {
		if p := &s.Parts[i]; entries[p.Assignment] == nil && p.OldestUnfinal > o.cfg.Overdue && p.Condition.Stop() == nil {
			r := reason.New(reason.Key{Code: reason.Overdue, Scope: reason.Partition, Object: p.name()}, now,
				"its oldest records wait for "+p.OldestUnfinal.Round(time.Second).String()+" to become final")
			entries[p.Assignment] = []gate.Entry{{Key: r.Key, Own: &r, Behind: now.Add(-p.OldestUnfinal)}}
		}
	}
	o.tellShared(s.Conditions, now)
	o.board.Replace("stalls", posted)
	o.src.Stalled(entries)
	for _, group := range told(found, func(f *stall) bool { return f.tell }) {
		var lag int64
		first := now
		for _, f := range group {
			lag += f.part.Behind
			if f.since.Before(first) {
				first = f.since
			}
		}
		o.log.Warn("partitions are behind and make no progress", "code", string(group[0].code), "reason", reason.KindOf(group[0].code).Stuck, "detail", group[0].text,
			"partitions", len(group), "which", namesOf(group), "lag", lag, "for", now.Sub(first).Round(time.Second))
	}
	for _, group := range told(found, func(f *stall) bool { return f.lasted > 0 }) {
		var longest time.Duration
		for _, f := range group {
			longest = max(longest, f.lasted)
		}
		o.log.Info("partitions make progress again", "code", string(group[0].code), "reason", reason.KindOf(group[0].code).Stuck, "partitions", len(group), "which", namesOf(group),
			"after", longest.Round(time.Second))
	}
}

// toldShared are the codes of shared reasons that nobody else logs when they begin and end.
var toldShared = []reason.Code{
	reason.Hung, reason.NoProxy, reason.StreamStalled, reason.UnknownStream, reason.Refused, reason.NotInQueue, reason.MissingTopics,
}

// lasting is a code that was logged.
type lasting struct {
	since time.Time
	told  time.Time // last
	most  int       // objects
}

// tellShared logs when a shared reason begins, and when no object has it any more: one line per code. One that comes back within
// tellPause is not told again.
func (o *Observer) tellShared(conditions []Condition, now time.Time) {
	if o.lasts == nil {
		o.lasts = make(map[reason.Code]*lasting)
	}
	for _, code := range toldShared {
		var objects []string
		var first *Condition
		for i := range conditions {
			if c := &conditions[i]; c.Code == code && c.Scope != reason.Partition {
				if objects = append(objects, c.Object); first == nil {
					first = c
				}
			}
		}
		l := o.lasts[code]
		switch {
		case first != nil && l == nil:
			o.lasts[code] = &lasting{since: first.Since, told: now, most: len(objects)}
			o.log.Warn("records do not move", "code", string(code), "scope", string(first.Scope), "objects", len(objects), "which", few(objects),
				"reason", clip(first.Sentence, maxSentence), "hint", first.Hint)
		case first != nil:
			l.most = max(l.most, len(objects))
		case l != nil && now.Sub(l.told) >= tellPause:
			o.log.Info("records move again", "code", string(code), "objects", l.most, "after", now.Sub(l.since).Round(time.Second))
			delete(o.lasts, code)
		}
	}
}

const tellPause = time.Minute // a reason that comes and goes is logged no more often

// Stopped says that a partition has stopped.
func (o *Observer) Stopped(r reason.Reason) { o.note(r, func(e *events) *event { return &e.stops }) }

// Began says that something of a partition fails that is tried again.
func (o *Observer) Began(r reason.Reason) { o.note(r, func(e *events) *event { return &e.began }) }

// Ended says that a reason is over.
func (o *Observer) Ended(r reason.Reason) { o.note(r, func(e *events) *event { return &e.ended }) }

func (o *Observer) note(r reason.Reason, which func(*events) *event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events == nil {
		o.events = make(map[reason.Code]*events)
	}
	if o.events[r.Code] == nil {
		o.events[r.Code] = new(events)
	}
	which(o.events[r.Code]).add(r, time.Now())
}

// Flush logs what was gathered: a line for each code.
func (o *Observer) Flush() { o.flush(time.Now(), true) }

// flush logs what was gathered, and of each code no more often than its pause says, unless all is to be logged.
func (o *Observer) flush(now time.Time, all bool) {
	o.mu.Lock()
	var due []events
	for _, k := range reason.Kinds() {
		e := o.events[k.Code]
		switch {
		case e == nil:
		case e.none():
			if now.Sub(e.due) >= e.pause {
				delete(o.events, k.Code) // the next one is logged at once again
			}
		case all || !now.Before(e.due):
			due = append(due, *e)
			pause := flushPauses.Next(e.pause)
			*e = events{pause: pause, due: now.Add(pause)}
		}
	}
	o.mu.Unlock()
	for i := range due {
		due[i].log(o.log)
	}
}
