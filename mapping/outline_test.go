package mapping_test

import (
	"testing"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
)

// A mistake in a rule hides nothing that the rules say of other sections.
func TestOutlineTellsOfRulesWithMistakes(t *testing.T) {
	const rules = `
- nothing
- {topics: '(', group: g, stream: s, attrs: {env: prod}, colour: red}
- {topics: orders, stream: s, on_error: {poison: dead_letter}}
- {topics: plain, group: g, stream: s, on_error: dead_letter, attrs: {a: 1, b: 2}}
`
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(rules), &doc); err != nil {
		t.Fatal(err)
	}
	if table, problems := mapping.Parse(&doc); table != nil || len(problems) < 4 {
		t.Fatalf("Parse = %v, %v, want at least four problems", table, problems)
	}
	o := mapping.OutlineOf(&doc)
	if o.DeadLetterRule != 3 || o.DeadLetterLine != 4 {
		t.Errorf("rule %d in line %d wants dead letters, want rule 3 in line 4", o.DeadLetterRule, o.DeadLetterLine)
	}
	if len(o.Attrs) != 2 || o.Attrs[0].Rule != 2 || o.Attrs[0].Line != 3 || o.Attrs[1].Rule != 4 || len(o.Attrs[1].Attrs) != 2 {
		t.Errorf("attributes %+v, want those of rules 2 and 4", o.Attrs)
	}
}
