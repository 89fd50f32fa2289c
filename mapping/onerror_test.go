package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"inlong-bridge/mapping"
)

var allClasses = []mapping.Class{mapping.ClassUnrouted, mapping.ClassTooLarge, mapping.ClassRefused, mapping.ClassPoison, mapping.ClassUndecodable}

func TestOnErrorIsPerRuleAndClass(t *testing.T) {
	table := parse(t, `
- {topics: plain, group: g, stream: s}
- {topics: one, group: g, stream: '{key}', on_error: dead_letter}
- {topics: some, group: g, stream: '{key}', unmatched: skip, on_error: {too_large: skip, poison: dead_letter}}
- {topics: hold, group: g, stream: s, on_error: stop}
`)
	const stop, skip, dead = mapping.PolicyStop, mapping.PolicySkip, mapping.PolicyDeadLetter
	for topic, want := range map[string][]mapping.Policy{
		"plain":   {stop, stop, stop, stop, stop},
		"one":     {dead, dead, dead, dead, dead},
		"some":    {stop, skip, stop, dead, stop},
		"hold":    {stop, stop, stop, stop, stop},
		"nowhere": {stop, stop, stop, stop, stop}, // no rule matches it
	} {
		view := table.ForTopic(topic)
		for i, c := range allClasses {
			if got := view.OnError(c); got != want[i] {
				t.Errorf("topic %s, class %s: %s, want %s", topic, c, got, want[i])
			}
		}
		if got := view.OnError(99); got != stop {
			t.Errorf("topic %s, a class that does not exist: %s, want stop", topic, got)
		}
	}
	if !table.DeadLetters() {
		t.Error("no rule wants dead letters, want rule 2")
	}
	if parse(t, "- {topics: a, group: g, stream: s, on_error: {poison: skip}}").DeadLetters() {
		t.Error("a rule that skips wants dead letters")
	}
	if got := table.Rules()[2].OnError; got != "too_large: skip, refused: stop, poison: dead_letter, undecodable: stop" {
		t.Errorf("rule 3 shows on_error as %q", got)
	}
	if got := table.Rules()[0].OnError + " " + table.Rules()[1].OnError; got != " dead_letter" {
		t.Errorf("rules 1 and 2 show on_error as %q", got)
	}
}

func TestExplainSaysWhatOnErrorDoes(t *testing.T) {
	for policy, want := range map[string]string{
		"stop":        "result  stops the partition: stream: the record has no key\n",
		"skip":        "result  skipped and counted, by on_error: stream: the record has no key\nerrors  skip\n",
		"dead_letter": "result  goes to the dead-letter topic, by on_error: stream: the record has no key\nerrors  dead_letter\n",
	} {
		got := parse(t, "- {topics: a, group: g, stream: '{key}', on_error: "+policy+"}").Explain("a", nil, nil).String()
		if !strings.HasSuffix(got, want) {
			t.Errorf("on_error: %s is explained as\n%s\nwant at its end\n%s", policy, got, want)
		}
	}
}

func TestOnlyWantsOneTopicAndRoutesNothing(t *testing.T) {
	tb := mapping.Only("letters", mapping.PolicyDeadLetter)
	names, all := tb.Topics()
	if all || !slices.Equal(names, []string{"letters"}) || !tb.Wants("letters") || !tb.Names("letters") || tb.Wants("orders") || len(tb.Targets()) > 0 || !tb.DeadLetters() {
		t.Errorf("topics %q, all %v; want letters alone, by its name, and no targets", names, all)
	}
	topic := tb.ForTopic("letters")
	if _, result, err := topic.Route([]byte("k"), nil); topic.Fixed != nil || result != mapping.Fail || err == nil {
		t.Errorf("a record: %v, %v; want no route", result, err)
	}
	for c := range mapping.Class(mapping.Classes) {
		want := mapping.PolicyDeadLetter
		if c == mapping.ClassUndecodable {
			want = mapping.PolicyStop
		}
		if got := topic.OnError(c); got != want {
			t.Errorf("%v: %v, want %v", c, got, want)
		}
	}
}

func TestExplainLeavesRecordsWithoutAnIDToUnmatched(t *testing.T) {
	table := parse(t, "- {topics: [orders], group: g, stream: '{key}', unmatched: skip, on_error: {too_large: dead_letter}}")
	if e := table.Explain("orders", []byte("a"), nil); !strings.HasPrefix(e.OnError, "too_large: dead_letter, ") {
		t.Errorf("explain says %q beside unmatched: skip", e.OnError)
	}
}
