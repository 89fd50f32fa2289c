package consume

import (
	"slices"
	"sync"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/tally"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
)

// setAside counts, by topic and class, what on_error keeps from the proxies.
type setAside struct {
	skipped, lettered [mapping.Classes]tally.ByLabel

	mu   sync.Mutex
	told map[told]time.Time // guarded by mu; when the log had a line last
}

// told is what the log has one line of in a minute.
type told struct {
	topic  string
	class  mapping.Class
	letter bool
}

const tellEvery = time.Minute

// tell reports whether the log gets a line now.
func (s *setAside) tell(of told) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if at, ok := s.told[of]; ok && now.Sub(at) < tellEvery {
		return false
	}
	if s.told == nil {
		s.told = make(map[told]time.Time)
	}
	s.told[of] = now
	return true
}

// SetAside returns what on_error kept from the proxies, with 0 for what it may keep and did not yet.
func (c *Consumer) SetAside() (skipped, lettered []observe.SetAside) {
	topics := c.table.mappings()
	each := func(of *[mapping.Classes]tally.ByLabel, policy mapping.Policy) (out []observe.SetAside) {
		for i := range of {
			class := mapping.Class(i)
			var may []string
			for name, m := range topics {
				if m.OnError(class) == policy {
					may = append(may, name)
				}
			}
			for topic, n := range of[class].Snapshot(may...) {
				out = append(out, observe.SetAside{Topic: topic, Reason: string(assign.CodeOf(class)), N: n})
			}
		}
		return out
	}
	s := &c.Counters.setAside
	return each(&s.skipped, mapping.PolicySkip), each(&s.lettered, mapping.PolicyDeadLetter)
}

// mappings returns the rules of the topics that are consumed, by name.
func (tb *Table) mappings() map[string]*mapping.Topic {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	out := make(map[string]*mapping.Topic, len(tb.topics))
	for name, t := range tb.topics {
		if t.Mapping != nil && !t.Mapping.AlwaysStops() {
			out[name] = t.Mapping
		}
	}
	return out
}

// keeper is where records go that on_error keeps from the proxies. It implements assign.Aside.
type keeper struct{ *Consumer }

// aside returns where records of a topic go that on_error keeps from the proxies, nil where everything stops the partition.
func (c *Consumer) aside(t *mapping.Topic) assign.Aside {
	if t == nil || t.AlwaysStops() {
		return nil
	}
	return keeper{c}
}

func (k keeper) Room() bool { return k.deps.Letters != nil && k.deps.Letters.Room() }

func (k keeper) Write(it letters.Item) { k.deps.Letters.Write(it) }

func (k keeper) Skipped(p *assign.Assignment, s assign.Skips) {
	k.Counters.setAside.skipped[s.Class].Add(p.ID().Topic, uint64(s.N))
	if k.Counters.setAside.tell(told{p.ID().Topic, s.Class, false}) {
		k.log.Warn("skipping records, as their rule says; one line a minute for a topic", "topic", p.ID().Topic, "partition", p.ID().Num, "offset", s.First,
			"records", s.N, "reason", assign.CodeOf(s.Class), "why", s.Why)
	}
}

func (k keeper) Lettered(p *assign.Assignment, class mapping.Class, offset int64, why string) {
	k.Counters.setAside.lettered[class].Add(p.ID().Topic, 1)
	if k.Counters.setAside.tell(told{p.ID().Topic, class, true}) {
		k.log.Warn("a record became a dead letter, as its rule says; one line a minute for a topic", "topic", p.ID().Topic, "partition", p.ID().Num, "offset", offset,
			"reason", assign.CodeOf(class), "why", why, "dead_letter_topic", k.cfg.DeadLetter.Topic)
	}
}

// lettersOver has partitions go on whose letters are all written.
func (w *watcher) lettersOver() {
	if w.deps.Letters == nil {
		return
	}
	var over []assign.Ending
	for _, p := range w.table.Assigned() {
		left := p.LettersLeft()
		if e := p.Gate().Condition().Find(reason.LetterTopic); left == 0 && e != nil {
			over = append(over, assign.Ending{Assignment: p, Key: e.Key})
		}
	}
	gone := w.GoOn(over...)
	for _, e := range over {
		if slices.Contains(gone, e.Assignment) && e.Assignment.LettersLeft() > 0 { // failed again in between
			e.Assignment.StopForLetters()
		}
	}
}
