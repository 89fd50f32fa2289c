package consume

import (
	"slices"
	"sync"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/tally"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
)

// SetAside counts, by topic and class, what on_error keeps from the proxies.
type SetAside struct {
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
func (s *SetAside) tell(of told) bool {
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

func (s *SetAside) snapshot() (skipped, lettered []observe.SetAside) {
	each := func(of *[mapping.Classes]tally.ByLabel) (out []observe.SetAside) {
		for c := range of {
			for topic, n := range of[c].Snapshot() {
				out = append(out, observe.SetAside{Topic: topic, Reason: string(assign.CodeOf(mapping.Class(c))), N: n})
			}
		}
		return out
	}
	return each(&s.skipped), each(&s.lettered)
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
	k.Counters.SetAside.skipped[s.Class].Add(p.ID().Topic, uint64(s.N))
	if k.Counters.SetAside.tell(told{p.ID().Topic, s.Class, false}) {
		k.log.Warn("skipping records, as on_error says; one line a minute for a topic", "topic", p.ID().Topic, "partition", p.ID().Num, "offset", s.First,
			"records", s.N, "reason", assign.CodeOf(s.Class), "why", s.Why)
	}
}

func (k keeper) Lettered(p *assign.Assignment, class mapping.Class, offset int64, why string) {
	k.Counters.SetAside.lettered[class].Add(p.ID().Topic, 1)
	if k.Counters.SetAside.tell(told{p.ID().Topic, class, true}) {
		k.log.Warn("a record became a dead letter, as on_error says; one line a minute for a topic", "topic", p.ID().Topic, "partition", p.ID().Num, "offset", offset,
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
		if k := part.Key(p.ID(), reason.DeadLetter); left == 0 && p.Gate().Condition().Get(k) != nil {
			over = append(over, assign.Ending{Assignment: p, Key: k})
		}
	}
	gone := w.GoOn(over...)
	for _, e := range over {
		if slices.Contains(gone, e.Assignment) && e.Assignment.LettersLeft() > 0 { // failed again in between
			e.Assignment.StopForLetters()
		}
	}
}
