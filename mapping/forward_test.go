package mapping_test

import (
	"slices"
	"strings"
	"testing"

	"inlong-bridge/mapping"
)

const forwardRules = `
- {topics: plain, group: g, stream: s}
- {topics: off, group: g, stream: s, forward: {key: false}, envelope: none, tombstone: empty}
- topics: '.*-events'
  group: g
  stream: s
  forward: {key: true, headers: [trace, 'a.b', /x-.*/, {regex: '[0-9]+'}], timestamp: true, origin: true}
  tombstone: skip
  attrs: {env: prod, "build": 17}
- {topics: json, group: g, stream: s, forward: {headers: /.*/}, envelope: json}
- {topics: letters, group: g, stream: s, tombstone: dead_letter}
- {topics: bare, group: g, stream: s, envelope: json, tombstone: empty}
`

func TestRuleSaysWhatTravels(t *testing.T) {
	table := tryParse(t, forwardRules)
	if table == nil {
		t.Fatal("the rules have problems")
	}
	for _, topic := range []string{"plain", "off", "unknown"} {
		if c := table.ForTopic(topic).Content(); c != nil {
			t.Errorf("%s: content %+v, want none: values alone must cost nothing", topic, c)
		}
	}
	c := table.ForTopic("click-events").Content()
	if !c.Key || !c.Timestamp || !c.Origin || c.Envelope || c.Tombstone != mapping.TombstoneSkip || !c.Forwards() {
		t.Errorf("content %+v", c)
	}
	for name, want := range map[string]bool{
		"trace": true, "traces": false, "Trace": false, "a.b": true, "axb": false, "x-id": true, "ax-id": false, "42": true, "4x2": false, "": false,
	} {
		if got := c.Header(name); got != want {
			t.Errorf("header %q travels: %v, want %v", name, got, want)
		}
	}
	if got, want := table.ForTopic("click-events").Attrs(), []mapping.Attr{{Key: "env", Value: "prod", Line: 9}, {Key: "build", Value: "17", Line: 9}}; !slices.Equal(got, want) {
		t.Errorf("attributes of packs %v, want %v", got, want)
	}
	if got := table.ForTopic("plain").Attrs(); got != nil {
		t.Errorf("attributes of packs %v, want none", got)
	}
	for topic, want := range map[string]mapping.Tombstone{"json": mapping.TombstoneEnvelope, "letters": mapping.TombstoneDeadLetter, "bare": mapping.TombstoneEmpty} {
		if got := table.ForTopic(topic).Content().Tombstone; got != want {
			t.Errorf("%s: tombstone %s, want %s", topic, got, want)
		}
	}
}

func TestExplainShowsWhatTravels(t *testing.T) {
	table := tryParse(t, forwardRules)
	for topic, want := range map[string]string{
		"plain":        "",
		"click-events": "travels key, timestamp, origin, headers \"trace\", \"a.b\", \"/x-.*/\", \"/[0-9]+/\" in attributes of the record; a null or empty value: skip; packs have env=prod&build=17\n",
		"json":         "travels headers \"/.*/\", value in an envelope of JSON; a null or empty value: envelope\n",
		"letters":      "travels a null or empty value: dead_letter\n",
	} {
		got := ""
		for line := range strings.Lines(table.Explain(topic, nil, nil).String()) {
			if strings.HasPrefix(line, "travels") {
				got += line
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", topic, got, want)
		}
	}
}
