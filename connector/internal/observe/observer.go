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

	mu    sync.Mutex
	stops []reason.Reason // guarded by mu; of partitions, not logged yet
	began []reason.Reason // guarded by mu; that pass by themselves, not logged yet
	ended []reason.Reason // guarded by mu; and that are over
}

// New returns an observer that reads src and board.
func New(src Source, board *reason.Board, cfg Config, log *slog.Logger) *Observer {
	return &Observer{src: src, board: board, cfg: cfg, log: log, stalls: stalls{after: cfg.Watchdog}}
}

// Status is a snapshot with everything that follows from it.
func (o *Observer) Status() Status { return o.complete(time.Now()) }

func (o *Observer) complete(now time.Time) Status {
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
	for _, r := range posted {
		switch r.Code {
		case reason.Rebalance:
			s.Group.Error = r.Text()
		case reason.Budget, reason.MaxUnfinal:
			s.Memory.Hold = r.Text()
		}
	}
	assemble(&s, posted, now)
	s.Ready = readiness(s.Conditions, s.Parts)
	return s
}

// flushEvery is how long events are gathered, so that one cause is one line.
const flushEvery = time.Second

// Run looks at the bridge until ctx ends.
func (o *Observer) Run(ctx context.Context) {
	look := min(max(o.cfg.Watchdog/8, 100*time.Millisecond), 10*time.Second)
	if o.cfg.Watchdog <= 0 {
		look = 10 * time.Second
	}
	tick := time.NewTicker(min(look, flushEvery))
	defer tick.Stop()
	defer o.Flush()
	looked := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			o.Flush()
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
		return
	}
	found := o.stalls.look(now, s.Parts, func(p *PartitionStatus) ([]gate.Entry, string) {
		return whyStuck(&s, p, now.Sub(s.HeldAt) < o.cfg.Watchdog, now)
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
			entries[p.Assignment] = []gate.Entry{{Key: r.Key, Own: &r, Behind: now}}
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
func (o *Observer) Stopped(r reason.Reason) { o.note(&o.stops, r) }

// Began says that something of a partition fails that is tried again.
func (o *Observer) Began(r reason.Reason) { o.note(&o.began, r) }

// Ended says that a reason is over.
func (o *Observer) Ended(r reason.Reason) { o.note(&o.ended, r) }

func (o *Observer) note(to *[]reason.Reason, r reason.Reason) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*to = append(*to, r)
}

// Flush logs what was gathered: a line for each code.
func (o *Observer) Flush() {
	o.mu.Lock()
	stops, began, ended := o.stops, o.began, o.ended
	o.stops, o.began, o.ended = nil, nil, nil
	o.mu.Unlock()
	now := time.Now()
	for _, g := range byCode(stops) {
		r := g[0]
		o.log.Error("partitions stopped, nothing of them is skipped", "code", string(r.Code), "partitions", len(g), "which", objects(g),
			"offset", r.Offset, "reason", r.Sentence, "hint", r.Hint)
	}
	for _, g := range byCode(began) {
		o.log.Warn("partitions do not go on, trying again", "code", string(g[0].Code), "partitions", len(g), "which", objects(g), "reason", g[0].Sentence, "hint", g[0].Hint)
	}
	for _, g := range byCode(ended) {
		longest := time.Duration(0)
		for _, r := range g {
			longest = max(longest, now.Sub(r.Since))
		}
		o.log.Info("partitions go on", "code", string(g[0].Code), "partitions", len(g), "which", objects(g), "after", longest.Round(time.Millisecond))
	}
}

// byCode groups reasons by code, in the order of the table.
func byCode(rs []reason.Reason) (out [][]reason.Reason) {
	if len(rs) == 0 {
		return nil
	}
	for _, k := range reason.Kinds() {
		var group []reason.Reason
		for _, r := range rs {
			if r.Code == k.Code {
				group = append(group, r)
			}
		}
		if len(group) > 0 {
			out = append(out, group)
		}
	}
	return out
}

func objects(rs []reason.Reason) string {
	names := make([]string, len(rs))
	for i, r := range rs {
		names[i] = r.Object
	}
	return few(names)
}
