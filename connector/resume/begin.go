package resume

import (
	"strconv"
	"strings"
	"time"
)

// Commit is an offset that the group committed.
type Commit struct {
	Offset int64
	Epoch  int32 // leader epoch, -1 when unknown
	Line   Line
	Ours   bool // the metadata is a line, and Line is what it says
}

// Trust says how far a commit is believed.
type Trust uint8

const (
	// Known: the line is of this cluster and this topic. The offset and the books are believed.
	Known Trust = iota
	// Taken: an earlier version, another tool or another cluster wrote it. The offset is believed if it lies in the
	// log, because nothing speaks against it. The books begin there.
	Taken
	// Refused: the line is of this cluster, and of a topic that was deleted since. The offset means nothing.
	Refused
)

// Judge says how far a commit is believed in a cluster for a topic.
func (c Commit) Judge(cluster string, topic TopicID) Trust {
	if !c.Ours || cluster == "" || c.Line.Cluster != clusterWord(cluster) {
		return Taken
	}
	switch {
	case c.Line.Topic == topic:
		return Known
	case c.Line.Topic != (TopicID{}) && topic != (TopicID{}):
		return Refused
	}
	return Taken
}

// Origin is where partitions without a commit begin: at the log's start (the zero value), at its end, or at
// the first record that is not older than a time.
type Origin struct {
	latest bool
	at     time.Time
}

// Start is the log's start.
func Start() Origin { return Origin{} }

// Latest is the log's end.
func Latest() Origin { return Origin{latest: true} }

// Since is the first record that is not older than t, to the millisecond.
func Since(t time.Time) Origin { return Origin{at: time.UnixMilli(t.UnixMilli())} }

// IsLatest reports whether o is the log's end.
func (o Origin) IsLatest() bool { return o.latest }

// Time returns the time of a Since.
func (o Origin) Time() (t time.Time, ok bool) { return o.at, !o.at.IsZero() }

// String is the word that a line has for it.
func (o Origin) String() string {
	switch {
	case o.latest:
		return "latest"
	case !o.at.IsZero():
		return "@" + strconv.FormatInt(o.at.UnixMilli(), 10)
	}
	return "start"
}

func parseOrigin(s string) (Origin, bool) {
	switch {
	case s == "start":
		return Start(), true
	case s == "latest":
		return Latest(), true
	case strings.HasPrefix(s, "@"):
		millis, err := strconv.ParseInt(s[1:], 10, 64)
		return Origin{at: time.UnixMilli(millis)}, err == nil
	}
	return Origin{}, false
}

const (
	// startWindow is how long after the first sight of a topic partitions without a commit still belong to that
	// start: the replicas of a new group do not all start in the same second.
	startWindow = 10 * time.Minute
	// aliveMargin is taken from the group's newest commit, for clocks that differ and for commits that came late.
	aliveMargin = 5 * time.Minute
)

// Topic is what the group knows of a topic.
type Topic struct {
	Partitions int32
	Found      bool  // it appeared while this member ran
	Commits    int   // believed commits of its partitions
	Seen       Sight // of the commits that are Known; zero when there is none
}

// Saw adds what one believed commit of a partition of the topic tells.
func (t *Topic) Saw(c Commit, trust Trust) {
	if trust == Refused {
		return
	}
	t.Commits++
	if trust != Known {
		return
	}
	s := c.Line.Seen
	switch old := t.Seen; {
	case old == Sight{}, s.At.Before(old.At), s.At.Equal(old.At) && s.Began == Start():
		t.Seen = s
	}
}

// Group is what a group's commits tell of the group, whatever topics they are of.
type Group struct {
	Commits int
	Alive   time.Time // newest time of a commit; zero when none has one
	// Born is when the group first saw a topic. It is zero unless every commit tells: an older commit without a line
	// may be of any age.
	Born time.Time

	untold bool // a commit without a line was seen
}

// Saw adds one commit of the group.
func (g *Group) Saw(c Commit) {
	g.Commits++
	if !c.Ours {
		g.untold, g.Born = true, time.Time{}
		return
	}
	if c.Line.At.After(g.Alive) {
		g.Alive = c.Line.At
	}
	if seen := c.Line.Seen.At; !g.untold && (g.Born.IsZero() || seen.Before(g.Born)) {
		g.Born = seen
	}
}

// Why says why a partition begins where it does.
type Why uint8

const (
	FromCommit  Why = iota // at the offset that the group committed
	Recreated              // the commit is of a topic that was deleted
	Added                  // the partition was added after the group first saw the topic
	NoSight                // the topic's commits do not tell which partitions the group saw first
	SameStart              // the group saw the topic for the first time minutes ago
	MissedStart            // the group saw the partition long ago and has no commit of it
	NewTopic               // the topic appeared while a member ran
	SinceAlive             // the topic appeared while no member ran, or since the group was last alive
	Named                  // the file of kafka.start_file names it
	Untouched              // its log has never held a record
	Unsaid                 // nothing says where: it stops
	FirstStart             // the group has no commit at all: it is new, or its commits expired
)

var whys = [...]string{
	FromCommit:  "where the group committed",
	Recreated:   "at the log's start: the committed offset is of a topic of the same name that was deleted",
	Added:       "at the log's start: added after the group first saw the topic",
	NoSight:     "at the log's start: the topic's commits do not tell which partitions the group saw first",
	SameStart:   "as the group began with the topic minutes ago",
	MissedStart: "at the log's start: the group saw the partition before and has no commit of it",
	NewTopic:    "at the log's start: the topic appeared while the bridge ran",
	SinceAlive:  "the group has commits of other topics only",
	Named:       "where the file of kafka.start_file says",
	Untouched:   "at the log's start: it has never held a record",
	Unsaid:      "nowhere: no commit, and no rule that says where",
	FirstStart:  "as kafka.start says: the group has no commit; it is new, or they expired after offsets.retention",
}

// String is a phrase for logs.
func (w Why) String() string { return whys[w] }

// Begin says where partition number num of a topic begins, of which the group has no believed commit. policy is
// kafka.start, now the wall clock.
func Begin(num int32, t Topic, g Group, policy Origin, now time.Time) (Origin, Why) {
	switch {
	case t.Commits > 0 && t.Seen == Sight{}:
		return Start(), NoSight
	case t.Commits > 0 && num >= t.Seen.Partitions:
		return Start(), Added
	case t.Commits > 0 && now.Sub(t.Seen.At) <= startWindow:
		return t.Seen.Began, SameStart
	case t.Commits > 0:
		return Start(), MissedStart
	case t.Found:
		return Start(), NewTopic
	case g.Commits == 0:
		return policy, FirstStart
	case !policy.IsLatest():
		return policy, SinceAlive
	case g.Alive.IsZero():
		return Start(), SinceAlive
	}
	since := g.Alive.Add(-aliveMargin)
	if g.Born.After(since) {
		since = g.Born // what is older was there before the group was
	}
	return Since(since), SinceAlive
}

// Later reports whether a partition without a commit is known to hold only what came after the group first saw its topic,
// so that its start is no guess.
func Later(num int32, t Topic, now time.Time) (why Why, later bool) {
	switch {
	case t.Commits > 0 && t.Seen != Sight{} && num >= t.Seen.Partitions:
		return Added, true
	// Another member that saw the topic appear may have committed already where its own partitions begin.
	case t.Found && (t.Commits == 0 || t.Seen != Sight{} && t.Seen.Began == Start() && now.Sub(t.Seen.At) <= startWindow):
		return NewTopic, true
	}
	return Unsaid, false
}

// Sight returns what the next commits of a partition hand on. trust is that of the commit they replace, and
// matters only if there is one; origin is where the partition begins without one.
func (t Topic) Sight(had bool, trust Trust, origin Origin, now time.Time) Sight {
	s := t.Seen
	if s == (Sight{}) {
		s = Sight{Partitions: t.Partitions, At: time.UnixMilli(now.UnixMilli()), Began: origin}
	}
	if had && trust != Known {
		s.Began = Start()
	}
	return s
}
