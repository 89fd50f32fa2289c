package confirm

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Ticket orders questions to the clusters: a question with a later ticket was asked later.
type Ticket uint64

// Listing is the answer of one cluster about topics. Fresh tells when it was asked, so a cached answer can never stand in
// for a new one.
type Listing struct {
	Fresh  Ticket
	Topics map[string]TopicListing
}

// TopicListing is the answer of a cluster about one topic.
type TopicListing struct {
	Exists     bool
	ID         [16]byte // zero when the cluster is too old to tell
	Partitions map[int32]Bounds
}

// Bounds of a partition's log: records lie between Start and End. Start is Unknown when it was not asked.
type Bounds struct{ Start, End Offset }

// Place names a partition of the queue.
type Place struct {
	Cluster, Topic string
	Partition      int32
}

func (p Place) String() string {
	return fmt.Sprintf("partition %d of topic %s in cluster %s", p.Partition, p.Topic, p.Cluster)
}

// Why is the reason of a Start.
type Why uint8

const (
	Fixed      Why = iota // at the end, when the stream was first watched
	Appeared              // the topic or partition did not exist then: from its beginning
	Recreated             // another topic has the same name now: from its beginning
	Overtaken             // retention deleted the messages that were to be read next
	Truncated             // the log ends before the position: from its beginning, since nobody knows where it was cut
	Diverged              // the log was cut, and the client of the queue knows where
	Resumed               // the reader of the partition ended: where it was
	PassedOver            // behind a batch that cannot be read
	Unwatched             // no stream uses the topic any more: reading ends
)

var whyText = [...]string{"fixed at the end", "appeared", "re-created", "overtaken by retention", "truncated", "truncated", "resumed", "behind an unreadable batch", "unwatched"}

func (w Why) String() string { return whyText[w] }

// Start tells the reader of a partition to go to Offset, or to end when Why is Unwatched.
type Start struct {
	Place
	Offset Offset
	Life   uint64 // another one for each start of a partition; to be given back with Advance
	Why    Why
	Missed int64 // entries before Offset that were listed and not read
}

// Positions knows how far every partition of the queue has been read and reported. It does no I/O: its callers
// tell it what the clusters answered and what was read, and it says where to begin and whether a barrier
// is passed. It is safe for concurrent use.
type Positions struct {
	mu       sync.Mutex
	clusters map[string]map[string]*topic // the watched topics, by cluster and name
	coming   map[string]bool              // clusters that no barrier asks for yet
	tickets  Ticket
	lives    uint64 // the last life given to a partition or a topic
	joins    uint64
	changes  uint64 // of the topics that exist, and of the clusters; see Changes
}

type topic struct {
	id    [16]byte
	fixed uint64 // value of made when the topic was first watched
	made  uint64 // changes with each topic of this name, and each time its log is cut; see invalidateBarriers
	fresh Ticket // of the newest answer that was applied
	there bool   // the topic exists, by that answer
	parts map[int32]*position
}

type position struct {
	next Offset // everything before it was reported
	life uint64
	end  Offset   // as listed last, never before next
	past []Offset // the ends listed last in the ledgers before that of end, where they lie after next
	// asked is the value of next when ticket askedAt was handed out. An end offset of the answer that lies before asked
	// shows that the log was cut. It is not compared with next, which moves on while the question travels.
	asked   Offset
	askedAt Ticket
	since   Offset // value of next at the last call of Stuck
}

// moved notes how far the partition was read and where its log ends.
func (x *position) moved(next, end Offset) {
	if x.end.Ledger < end.Ledger && x.next.Before(x.end) {
		x.past = append(x.past, x.end)
	}
	x.next = later(x.next, next)
	x.end = later(end, x.next)
	x.past = slices.DeleteFunc(x.past, func(o Offset) bool { return !x.next.Before(o) })
}

// unread returns the number of entries before to that are known of and were not read.
func (x *position) unread(to Offset) (n int64) {
	from := x.next
	for _, o := range append(slices.Clip(x.past), x.end) {
		switch {
		case to.Before(o) || !from.Before(o):
			continue
		case from.Ledger == o.Ledger:
			n += distance(from, o)
		default:
			n += o.entries()
		}
		from = o
	}
	if from.Ledger == to.Ledger && from.Before(to) {
		n += distance(from, to)
	}
	return n
}

// NewPositions returns positions of clusters in which nothing is watched yet.
func NewPositions(clusters ...string) *Positions {
	p := &Positions{clusters: map[string]map[string]*topic{}, coming: map[string]bool{}}
	for _, c := range clusters {
		p.clusters[c] = map[string]*topic{}
	}
	return p
}

// Add adds a cluster whose topics are about to be fixed. Barriers ignore it until Join.
func (p *Positions) Add(cluster string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.clusters[cluster]; ok {
		return fmt.Errorf("adding positions: cluster %s is known", cluster)
	}
	p.clusters[cluster], p.coming[cluster] = map[string]*topic{}, true
	p.changes++
	return nil
}

// Join makes a cluster part of the barriers that begin from now on. Those under way fail, and must begin again.
func (p *Positions) Join(cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.coming, cluster)
	p.joins++
	p.changes++
}

// Remove forgets a cluster. Barriers that wait for it fail.
func (p *Positions) Remove(cluster string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.clusters, cluster)
	delete(p.coming, cluster)
	p.changes++
}

// Ask hands out a ticket. Take it before the question goes out, and put it into the Listing.
func (p *Positions) Ask() Ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tickets++
	for _, topics := range p.clusters {
		for _, t := range topics {
			for _, x := range t.parts {
				if x.askedAt == 0 { // the oldest question under way counts
					x.asked, x.askedAt = x.next, p.tickets
				}
			}
		}
	}
	return p.tickets
}

// IDs returns the topics of a cluster that are watched, and their ids as listed last.
func (p *Positions) IDs(cluster string) map[string][16]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make(map[string][16]byte, len(p.clusters[cluster]))
	for name, t := range p.clusters[cluster] {
		ids[name] = t.id
	}
	return ids
}

// Topics returns the watched topics of a cluster, sorted.
func (p *Positions) Topics(cluster string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.clusters[cluster]))
}

// Fix begins to watch a topic of a cluster: its partitions are read from the end offsets listed, and
// a partition that appears later is read from its beginning. A topic that is watched already keeps
// its positions.
func (p *Positions) Fix(cluster, name string, l Listing) ([]Start, error) {
	return p.fix(cluster, name, l, false)
}

// FixFrom is Fix, but partitions are read from their Start in the listing.
func (p *Positions) FixFrom(cluster, name string, l Listing) ([]Start, error) {
	return p.fix(cluster, name, l, true)
}

func (p *Positions) fix(cluster, name string, l Listing, fromStart bool) ([]Start, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	topics, ok := p.clusters[cluster]
	if !ok {
		return nil, fmt.Errorf("fixing positions: cluster %s is not known", cluster)
	}
	said, ok := l.Topics[name]
	if !ok {
		return nil, fmt.Errorf("fixing positions: no answer about topic %s from cluster %s", name, cluster)
	}
	if _, ok := topics[name]; ok {
		if fromStart { // the starts listed are not the beginnings of the logs
			for n, b := range said.Partitions {
				said.Partitions[n] = Bounds{Unknown, b.End}
			}
		}
		return p.update(cluster, l, name)
	}
	t := &topic{fresh: l.Fresh, there: said.Exists, parts: map[int32]*position{}}
	p.changes++
	t.invalidateBarriers(p)
	t.fixed = t.made
	topics[name] = t
	var starts []Start
	if said.Exists {
		t.id = said.ID
		for n, b := range said.Partitions {
			from := b.End
			if fromStart {
				from = b.Start
			}
			starts = append(starts, t.begin(p, Place{cluster, name, n}, from, b.End, Fixed))
		}
	}
	return ordered(starts), nil
}

// Drop stops watching a topic of a cluster; the starts it returns end the reading of its partitions. No stream uses
// the topic any more, so it holds no pack that anybody waits for, and a barrier under way need not wait for it either.
func (p *Positions) Drop(cluster, name string) (ends []Start) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.clusters[cluster][name]
	if t == nil {
		return nil
	}
	for n := range t.parts {
		ends = append(ends, Start{Place: Place{cluster, name, n}, Why: Unwatched})
	}
	delete(p.clusters[cluster], name)
	p.changes++
	return ordered(ends)
}

// errBehind says that the answer to a later question knows less than the answer to an earlier one: it comes from a broker whose
// metadata is behind, or one question overtook the other. Ask again.
var errBehind = errors.New("answer is behind")

// Update applies the answer of a cluster about the watched topics and returns where to begin. An answer that leaves out a
// partition that is known to exist is an error, and changes nothing for that topic.
func (p *Positions) Update(cluster string, l Listing) ([]Start, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.updateAll(cluster, l)
}

func (p *Positions) updateAll(cluster string, l Listing) ([]Start, error) {
	var starts []Start
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.clusters[cluster])) {
		if _, ok := l.Topics[name]; !ok {
			continue
		}
		s, err := p.update(cluster, l, name)
		starts = append(starts, s...)
		errs = append(errs, err)
	}
	return starts, errors.Join(errs...)
}

func (p *Positions) update(cluster string, l Listing, name string) ([]Start, error) {
	t, said := p.clusters[cluster][name], l.Topics[name]
	if l.Fresh < t.fresh {
		return nil, nil // overtaken by a newer answer
	}
	t.fresh = l.Fresh
	if t.there != said.Exists {
		t.there = said.Exists
		p.changes++
	}
	if !said.Exists {
		// Deleted, or not there yet. The positions stay: should the same topic be back, because a broker was
		// behind, reading goes on; another topic is recognised by its id.
		for _, x := range t.parts {
			x.end, x.past = x.next, nil // nothing is left to read, for now
		}
		return nil, nil
	}
	another := len(t.parts) > 0 && OtherTopic(t.id, said.ID)
	for n := range t.parts {
		if _, ok := said.Partitions[n]; !ok && !another {
			if said.ID != ([16]byte{}) {
				return nil, fmt.Errorf("listing offsets: %w: %s is missing", errBehind, Place{cluster, name, n})
			}
			another = true // a topic never loses a partition
		}
	}
	if another {
		t.parts = map[int32]*position{}
		t.invalidateBarriers(p)
	}
	if said.ID != ([16]byte{}) {
		t.id = said.ID
	}
	var starts []Start
	for n, b := range said.Partitions {
		at, x := (Place{cluster, name, n}), t.parts[n]
		switch {
		case x == nil:
			why := Appeared
			if another {
				why = Recreated
			}
			s := t.begin(p, at, later(b.Start, Offset{}), b.End, why)
			s.Missed = s.Offset.Entry
			starts = append(starts, s)
		case x.next.Before(b.Start):
			missed := x.unread(b.Start)
			if missed == 0 {
				x.moved(b.Start, b.End) // only a ledger ended that had been read
				break
			}
			s := t.begin(p, at, b.Start, b.End, Overtaken)
			s.Missed = missed
			starts = append(starts, s)
		case x.askedAt > 0 && x.askedAt <= l.Fresh && b.End.Before(x.asked):
			starts = append(starts, t.begin(p, at, later(b.Start, Offset{}), b.End, Truncated))
			t.invalidateBarriers(p) // what was cut is never read
		default:
			x.moved(x.next, b.End)
		}
		if x != nil && x.askedAt <= l.Fresh {
			x.askedAt = 0
		}
	}
	return ordered(starts), nil
}

// OtherTopic reports whether two topic ids are of two topics. The zero id is of an answer that did not tell.
func OtherTopic(a, b [16]byte) bool {
	return a != b && a != ([16]byte{}) && b != ([16]byte{})
}

// ordered sorts starts by place, since they come out of maps.
func ordered(s []Start) []Start {
	slices.SortFunc(s, func(a, b Start) int { return comparePlaces(a.Place, b.Place) })
	return s
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// invalidateBarriers invalidates every barrier that began over the topic's previous life.
func (t *topic) invalidateBarriers(p *Positions) {
	p.lives++
	t.made = p.lives
}

// begin sets the position of a partition, under a new life.
func (t *topic) begin(p *Positions, at Place, offset, end Offset, why Why) Start {
	p.lives++
	t.parts[at.Partition] = &position{next: offset, life: p.lives, end: later(end, offset), since: Unknown}
	return Start{Place: at, Offset: offset, Life: p.lives, Why: why}
}

// Rewind starts a partition again at an offset where the client of the queue found the log cut. ok
// is false when the life is over already.
func (p *Positions) Rewind(at Place, life uint64, offset Offset) (s Start, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, x := p.find(at)
	if x == nil || x.life != life {
		return Start{}, false
	}
	return t.begin(p, at, offset, x.end, Diverged), true
}

// PassOver starts a partition again behind a batch that cannot be read; the packs in the batch count as unseen. ok is false
// when the life is over already, or the partition is further on.
func (p *Positions) PassOver(at Place, life uint64, next Offset) (s Start, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, x := p.find(at)
	if x == nil || x.life != life || !x.next.Before(next) {
		return Start{}, false
	}
	return t.begin(p, at, next, x.end, PassedOver), true
}

// Resume starts a partition again at its position, because its reader of this life ended. ok is false
// when the life is over already.
func (p *Positions) Resume(at Place, life uint64) (s Start, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, x := p.find(at)
	if x == nil || x.life != life {
		return Start{}, false
	}
	p.lives++
	x.life = p.lives
	return Start{Place: at, Offset: x.next, Life: x.life, Why: Resumed}, true
}

// Skipped returns the number of known entries between the position of a partition and an offset: those that its reader
// jumped over, if the next message that it found lies there.
func (p *Positions) Skipped(at Place, life uint64, to Offset) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, x := p.find(at)
	if x == nil || x.life != life {
		return 0
	}
	return x.unread(to)
}

// Advance says that everything of the partition before next was reported. It was read under this life: messages that were
// read before the partition was started again move nothing.
func (p *Positions) Advance(at Place, life uint64, next Offset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, x := p.find(at); x != nil && x.life == life {
		x.moved(next, x.end)
	}
}

func (p *Positions) find(at Place) (*topic, *position) {
	t := p.clusters[at.Cluster][at.Topic]
	if t == nil {
		return nil, nil
	}
	return t, t.parts[at.Partition]
}

// Unread is a partition that holds something that was not read.
type Unread struct {
	Place
	Life      uint64
	Next, End Offset
	TopicID   [16]byte
}

// Stuck returns the partitions of a cluster that had something to read at its last call too and
// have not moved since: only holes may be left in them, or the reader has lost track of them.
func (p *Positions) Stuck(cluster string) []Unread {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Unread
	for name, t := range p.clusters[cluster] {
		for n, x := range t.parts {
			if !x.next.Before(x.end) {
				x.since = Unknown
				continue
			}
			if x.since == x.next {
				out = append(out, Unread{Place{cluster, name, n}, x.life, x.next, x.end, t.id})
			}
			x.since = x.next
		}
	}
	slices.SortFunc(out, func(a, b Unread) int { return comparePlaces(a.Place, b.Place) })
	return out
}

// Missing returns the watched topics of a cluster that do not exist by its newest answer, sorted.
func (p *Positions) Missing(cluster string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name, t := range p.clusters[cluster] {
		if !t.there {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Sum is the state of a cluster in numbers.
type Sum struct {
	Topics, Partitions int
	Lag                int64 // entries listed and not read
}

// Sum adds up a cluster.
func (p *Positions) Sum(cluster string) Sum {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Sum{Topics: len(p.clusters[cluster])}
	for _, t := range p.clusters[cluster] {
		for _, x := range t.parts {
			s.Partitions++
			s.Lag += x.unread(x.end)
		}
	}
	return s
}

// Changes counts what may change which topics are missing.
func (p *Positions) Changes() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes
}

// Lacks reports whether a watched topic of a cluster does not exist by its newest answer. A topic that is not
// watched there yet is not known to be missing.
func (p *Positions) Lacks(cluster, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.clusters[cluster][name]
	return t != nil && !t.there
}
