package config

import (
	"strings"
	"testing"
)

func TestDeadLetterSectionIsOffWithoutItsTopic(t *testing.T) {
	if c := parse(t, smallest); c.DeadLetter != (DeadLetter{}) {
		t.Errorf("without the section: %+v, want nothing", c.DeadLetter)
	}
	c := parse(t, smallest+"dead_letter: {topic: letters}\n")
	if c.DeadLetter != (DeadLetter{Topic: "letters", Limit: 100}) {
		t.Errorf("with a topic: %+v, want the default limit of 100", c.DeadLetter)
	}
	if notes := strings.Join(c.Notes(), "\n"); !strings.Contains(notes, "no rule says on_error: dead_letter") {
		t.Errorf("notes = %q, want one that no rule uses the topic", notes)
	}
}

func TestDeadLetterTopicIsNoSource(t *testing.T) {
	c := parse(t, strings.Replace(smallest, "topics: [t]", "topics: ['.*'], on_error: dead_letter", 1)+"dead_letter: {topic: letters}\n")
	if why := c.OwnOutput("letters"); !strings.Contains(why, "dead letters") {
		t.Errorf("OwnOutput(letters) = %q, want a reason", why)
	}
	if why := c.OwnOutput("orders"); why != "" {
		t.Errorf("OwnOutput(orders) = %q, want none", why)
	}
	if why := parse(t, smallest).OwnOutput(""); why != "" {
		t.Errorf("OwnOutput of no topic without dead letters = %q, want none", why)
	}
	if notes := strings.Join(c.Notes(), "\n"); !strings.Contains(notes, "routes match the dead-letter topic letters") {
		t.Errorf("notes = %q, want one that the expression matches the dead-letter topic", notes)
	}
}
