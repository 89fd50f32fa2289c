package resume_test

import (
	"testing"
	"time"

	"inlong-bridge/connector/resume"
)

var (
	now   = time.UnixMilli(1764384000000)
	topic = resume.TopicID{1}
	other = resume.TopicID{2}
)

func commit(cluster string, id resume.TopicID) resume.Commit {
	return resume.Commit{Offset: 10, Ours: true, Line: resume.Line{Cluster: cluster, Topic: id}}
}

func TestOnlyAnotherTopicOfThisClusterIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		c       resume.Commit
		cluster string
		id      resume.TopicID
		want    resume.Trust
	}{
		{"this topic", commit("c", topic), "c", topic, resume.Known},
		{"deleted and created again", commit("c", other), "c", topic, resume.Refused},
		{"mirrored with its line", commit("d", other), "c", topic, resume.Taken},
		{"mirrored with its line and the same id", commit("d", topic), "c", topic, resume.Taken},
		{"no line", resume.Commit{Offset: 10}, "c", topic, resume.Taken},
		{"line without cluster", commit("", other), "c", topic, resume.Taken},
		{"cluster that does not tell", commit("c", other), "", topic, resume.Taken},
		{"neither tells", commit("", other), "", topic, resume.Taken},
		{"line without topic id", commit("c", resume.TopicID{}), "c", topic, resume.Taken},
		{"brokers without topic ids", commit("c", topic), "c", resume.TopicID{}, resume.Taken},
		{"never had topic ids", commit("c", resume.TopicID{}), "c", resume.TopicID{}, resume.Known},
	} {
		if got := tt.c.Judge(tt.cluster, tt.id); got != tt.want {
			t.Errorf("%s: Judge = %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestClusterIDsThatALineCannotHoldAreToldApart(t *testing.T) {
	long := func(end string) string {
		s := ""
		for range 40 {
			s += "né "
		}
		return s + end
	}
	l, ok := resume.Parse(resume.Line{Cluster: long("a"), Topic: topic}.String())
	c := resume.Commit{Offset: 1, Ours: ok, Line: l}
	if got := c.Judge(long("a"), other); got != resume.Refused {
		t.Errorf("the same long cluster id: Judge = %d, want Refused", got)
	}
	if got := c.Judge(long("b"), other); got != resume.Taken {
		t.Errorf("another long cluster id: Judge = %d, want Taken", got)
	}
}

func TestNoCommitIsNotANewGroup(t *testing.T) {
	seen := resume.Sight{Partitions: 2, At: now.Add(-time.Minute), Began: resume.Latest()}
	long := seen
	long.At = now.Add(-11 * time.Minute)
	timed := resume.Since(now.Add(-time.Hour))
	for _, tt := range []struct {
		name   string
		num    int32
		topic  resume.Topic
		group  resume.Group
		policy resume.Origin
		want   resume.Origin
		why    resume.Why
	}{
		{"new group", 0, resume.Topic{}, resume.Group{}, resume.Latest(), resume.Latest(), resume.FirstStart},
		{"new group, earliest", 0, resume.Topic{}, resume.Group{}, resume.Start(), resume.Start(), resume.FirstStart},
		{"new group, a time", 0, resume.Topic{}, resume.Group{}, timed, timed, resume.FirstStart},
		{"partition added", 2, resume.Topic{Commits: 2, Seen: seen}, resume.Group{Commits: 2}, resume.Latest(), resume.Start(), resume.Added},
		{"partition added, a time start", 2, resume.Topic{Commits: 2, Seen: seen}, resume.Group{Commits: 2}, timed, resume.Start(), resume.Added},
		{"commits without a line", 1, resume.Topic{Commits: 1}, resume.Group{Commits: 1}, resume.Latest(), resume.Start(), resume.NoSight},
		{"replicas that start together", 1, resume.Topic{Commits: 1, Seen: seen}, resume.Group{Commits: 1}, resume.Start(), resume.Latest(), resume.SameStart},
		{"its commit is missing long after", 1, resume.Topic{Commits: 1, Seen: long}, resume.Group{Commits: 1}, resume.Latest(), resume.Start(), resume.MissedStart},
		{"topic that appeared", 0, resume.Topic{Found: true}, resume.Group{Commits: 9, Alive: now}, resume.Latest(), resume.Start(), resume.NewTopic},
		{"topic that appeared to a new group", 0, resume.Topic{Found: true}, resume.Group{}, resume.Latest(), resume.Start(), resume.NewTopic},
		{"topic of an absence", 0, resume.Topic{}, resume.Group{Commits: 9, Alive: now.Add(-time.Hour)}, resume.Latest(), resume.Since(now.Add(-65 * time.Minute)), resume.SinceAlive},
		{"topic of an absence, no commit has a time", 0, resume.Topic{}, resume.Group{Commits: 9}, resume.Latest(), resume.Start(), resume.SinceAlive},
		{"topic of an absence, earliest", 0, resume.Topic{}, resume.Group{Commits: 9, Alive: now}, resume.Start(), resume.Start(), resume.SinceAlive},
		{"second topic of a group that starts now", 0, resume.Topic{}, resume.Group{Commits: 1, Alive: now, Born: now.Add(-2 * time.Second)}, resume.Latest(), resume.Since(now.Add(-2 * time.Second)), resume.SinceAlive},
	} {
		got, why := resume.Begin(tt.num, tt.topic, tt.group, tt.policy, now)
		if got != tt.want || why != tt.why {
			t.Errorf("%s: Begin = %v, %q; want %v, %q", tt.name, got, why, tt.want, tt.why)
		}
	}
}

// 1. another member saw the topic appear and committed where its partitions begin  2. this one saw it too, and gets the rest.
func TestLaterIsOnlyWhatTheGroupCannotHaveSeen(t *testing.T) {
	sight := resume.Sight{Partitions: 2, At: now.Add(-time.Minute), Began: resume.Start()}
	long, latest := sight, sight
	long.At, latest.Began = now.Add(-time.Hour), resume.Latest()
	for _, tt := range []struct {
		name  string
		num   int32
		topic resume.Topic
		want  bool
	}{
		{"nothing is known", 0, resume.Topic{}, false},
		{"added", 2, resume.Topic{Commits: 2, Seen: long}, true},
		{"one that the group saw", 1, resume.Topic{Commits: 1, Seen: long}, false},
		{"one that the group saw a minute ago", 1, resume.Topic{Commits: 1, Seen: sight}, false},
		{"commits without a line", 9, resume.Topic{Commits: 1}, false},
		{"topic that appeared", 0, resume.Topic{Found: true}, true},
		{"topic that appeared, and another member was first", 1, resume.Topic{Found: true, Commits: 1, Seen: sight}, true},
		{"topic that could not be seen for a while", 1, resume.Topic{Found: true, Commits: 1, Seen: long}, false},
		{"topic that could not be seen, commits without a line", 1, resume.Topic{Found: true, Commits: 1}, false},
		{"topic that began at its end", 1, resume.Topic{Found: true, Commits: 1, Seen: latest}, false},
	} {
		if _, got := resume.Later(tt.num, tt.topic, now); got != tt.want {
			t.Errorf("%s: later = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func line(seen resume.Sight, at time.Time) resume.Commit {
	return resume.Commit{Offset: 1, Ours: true, Line: resume.Line{Cluster: "c", Topic: topic, Seen: seen, At: at}}
}

func TestTopicRemembersItsEarliestSight(t *testing.T) {
	early := resume.Sight{Partitions: 2, At: now.Add(-time.Hour), Began: resume.Latest()}
	late := resume.Sight{Partitions: 3, At: now, Began: resume.Start()}
	for _, order := range [][]resume.Sight{{early, late}, {late, early}} {
		var tc resume.Topic
		for _, s := range order {
			tc.Saw(line(s, now), resume.Known)
		}
		tc.Saw(line(resume.Sight{Partitions: 1, At: now.Add(-2 * time.Hour)}, now), resume.Refused)
		tc.Saw(resume.Commit{Offset: 3}, resume.Taken)
		if tc.Seen != early || tc.Commits != 3 {
			t.Errorf("topic = %+v, want the sight of %v and 3 commits", tc, early.At)
		}
	}
	// Of two lines of the same sight, the one that lets nobody skip anything counts.
	atStart := early
	atStart.Began = resume.Start()
	for _, order := range [][]resume.Sight{{early, atStart}, {atStart, early}} {
		var tc resume.Topic
		for _, s := range order {
			tc.Saw(line(s, now), resume.Known)
		}
		if tc.Seen != atStart {
			t.Errorf("sight = %+v, want that of the log's start", tc.Seen)
		}
	}
}

func TestGroupsAgeIsKnownOnlyWhenEveryCommitTells(t *testing.T) {
	sight := resume.Sight{At: now.Add(-time.Minute)}
	var g resume.Group
	g.Saw(line(sight, now.Add(-3*time.Second)))
	g.Saw(line(resume.Sight{At: now.Add(-30 * time.Second)}, now.Add(-2*time.Second)))
	if !g.Born.Equal(sight.At) || !g.Alive.Equal(now.Add(-2*time.Second)) || g.Commits != 2 {
		t.Errorf("group = %+v, want born at the first sight and alive at the newest commit", g)
	}
	g.Saw(resume.Commit{Offset: 5})
	g.Saw(line(sight, now))
	if !g.Born.IsZero() || g.Commits != 4 {
		t.Errorf("group = %+v, want no age: one commit has no line", g)
	}
}

func TestSightIsHandedOn(t *testing.T) {
	seen := resume.Sight{Partitions: 2, At: now.Add(-time.Hour), Began: resume.Latest()}
	known, fresh := resume.Topic{Partitions: 5, Commits: 2, Seen: seen}, resume.Topic{Partitions: 5}
	if got := known.Sight(true, resume.Known, resume.Start(), now); got != seen {
		t.Errorf("a known commit hands on %+v, want %+v", got, seen)
	}
	if got := known.Sight(false, 0, resume.Start(), now); got != seen {
		t.Errorf("a partition without a commit hands on %+v, want its topic's %+v", got, seen)
	}
	if got, want := fresh.Sight(false, 0, resume.Latest(), now), (resume.Sight{Partitions: 5, At: now, Began: resume.Latest()}); got != want {
		t.Errorf("a new topic begins with %+v, want %+v", got, want)
	}
	for _, trust := range []resume.Trust{resume.Taken, resume.Refused} {
		if got, want := fresh.Sight(true, trust, resume.Latest(), now), (resume.Sight{Partitions: 5, At: now, Began: resume.Start()}); got != want {
			t.Errorf("a line that replaces trust %d begins with %+v, want %+v", trust, got, want)
		}
	}
}
