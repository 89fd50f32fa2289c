package connector

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"
)

// A pattern for files is a regular expression that matches nothing, or not what was meant. Before, nothing said so:
// the bridge was ready, had no lag, and moved none of these topics.
func TestPatternThatMatchesNoTopicIsWarnedOfOnce(t *testing.T) {
	e := newEnv(t)
	e.routes = "  - {topics: [orders], group: g, stream: s}\n  - {topics: ['logs-*', 'late-.*'], group: g, stream: s2}\n"
	log := new(lines)
	r := e.startLogging(e.config("ack"), slog.New(slog.NewTextHandler(log, nil)))
	if got, want := r.b.Status().Group.Unmatched, []string{"logs-*", "late-.*"}; !slices.Equal(got, want) {
		t.Errorf("unmatched_patterns = %q, want %q", got, want)
	}
	const warning = `level=WARN msg="patterns of routes match no topic" patterns=`
	if log.count(warning) != 1 || log.count(warning+`"[logs-* late-.*]" hint="a pattern is a regular expression`) != 1 {
		t.Errorf("want one warning at the start, with both patterns and a hint:\n%s", log.text())
	}
	if log.count(`msg="note on the configuration" note="routes (line 5): rule 2: \"logs-*\" is a regular expression`) != 1 {
		t.Errorf("the start does not tell the note:\n%s", log.text())
	}

	wait := func(topic string, want ...string) {
		t.Helper()
		if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, func() error {
			if got := r.b.Status().Group.Unmatched; !slices.Equal(got, want) {
				return fmt.Errorf("with topic %s: unmatched_patterns = %q, want %q", topic, got, want)
			}
			return nil
		})
	}
	wait("late-a", "logs-*")
	// Neither a topic more nor another look says anything while the patterns are the same.
	details, err := e.adm.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.b.consumer.NotePatterns(details)
	}
	if log.count(warning) != 2 || log.count(warning+"[logs-*]") != 1 {
		t.Errorf("want one more warning, when one of the patterns matched:\n%s", log.text())
	}
	wait("logs--")
	if log.count("every pattern of routes matches a topic now") != 1 || log.count(warning) != 2 {
		t.Errorf("want one line when every pattern matches:\n%s", log.text())
	}
	if err := r.drain(); err != nil {
		t.Error(err)
	}
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
