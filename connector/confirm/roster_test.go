package confirm_test

import (
	"errors"
	"testing"

	"inlong-bridge/connector/confirm"
)

// member is a cluster in which every group has one topic, unless TopicOf named another one.
type member struct{ name string }

func (m *member) Name() string { return m.name }
func (m *member) Topic(named, group, _ string) string {
	if named != "" {
		return named
	}
	return group
}

func TestClusterIsAMemberOnceAllThatIsWatchedIsWatchedThere(t *testing.T) {
	a, b := &member{"a"}, &member{"b"}
	r := confirm.NewRoster(a)
	one, two := confirm.Route{Group: "g", Stream: "one"}, confirm.Route{Group: "g", Stream: "two"}
	r.Watch(one)
	r.Expect("b")
	if name, err := r.Missing(); name != "b" || err == nil {
		t.Errorf("Missing = %q, %v; want b, which was named and is not read", name, err)
	}
	if left := r.Join(b, nil); len(left) != 1 || left[0] != one || len(r.Members()) != 1 {
		t.Errorf("Join = %v with members %v; want that %v is left", left, r.Members(), one)
	}
	done := map[confirm.Route]bool{one: true}
	r.Watch(two) // meanwhile
	if left := r.Join(b, done); len(left) != 1 || left[0] != two {
		t.Errorf("Join = %v, want that %v is left", left, two)
	}
	done[two] = true
	if left := r.Join(b, done); len(left) != 0 || len(r.Members()) != 2 {
		t.Errorf("Join = %v with members %v; want two members", left, r.Members())
	}
	if _, err := r.Missing(); err != nil {
		t.Errorf("Missing = %v, want none", err)
	}
	if c, ok := r.Leave("a"); !ok || c != a {
		t.Errorf("Leave = %v, %v", c, ok)
	}
	if _, ok := r.Leave("b"); ok {
		t.Error("the only member left")
	}
}

func TestReasonWhyAClusterCouldNotJoinStaysUntilItJoinsOrIsGivenUp(t *testing.T) {
	r := confirm.NewRoster(&member{"a"})
	refused := errors.New("refused")
	r.Miss("b", refused)
	r.Expect("b")
	if _, err := r.Missing(); !errors.Is(err, refused) {
		t.Errorf("Missing = %v, want the reason of the last try", err)
	}
	if !r.GiveUp("b") || r.GiveUp("b") {
		t.Error("b was not given up once")
	}
	r.Expect("a")
	if _, err := r.Missing(); err != nil {
		t.Errorf("Missing = %v for a cluster that is read", err)
	}
}

func TestTopicIsNeededWhileAStreamUsesItOrIsAboutTo(t *testing.T) {
	a := &member{"a"}
	r := confirm.NewRoster(a)
	one, two := confirm.Route{Group: "g", Stream: "one"}, confirm.Route{Group: "g", Stream: "two"}
	r.Watch(one)
	r.Watch(two)
	if got := r.Unwatch("g", "one"); len(got) != 0 {
		t.Errorf("Unwatch = %v, although another stream uses the topic", got)
	}
	r.Coming(one)
	if got := r.Unwatch("g", "two"); len(got) != 0 {
		t.Errorf("Unwatch = %v, although a stream that uses the topic is about to be watched", got)
	}
	r.Watch(one)
	r.Came(one)
	// The Manager gave the stream another topic: it has two.
	moved := confirm.Route{Group: "g", Stream: "one", Named: "other"}
	r.Watch(moved)
	got := r.Unwatch("g", "one")
	if len(got) != 2 || got[0] != (confirm.Unneeded[*member]{Member: a, Topic: "g"}) || got[1] != (confirm.Unneeded[*member]{Member: a, Topic: "other"}) {
		t.Errorf("Unwatch = %v, want both topics of the stream", got)
	}
	if got := r.Unneeded(a, []string{"g"}); len(got) != 1 {
		t.Errorf("Unneeded = %v, want the topic that no stream uses", got)
	}
}
