package mapping_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
)

// tryParse returns nil when the rules have problems.
func tryParse(t testing.TB, rules string) *mapping.Table {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(rules), &node); err != nil {
		t.Fatalf("%v in\n%s", err, rules)
	}
	table, _ := mapping.Parse(&node)
	return table
}

// FuzzParse: whatever YAML it is given, Parse returns a table or problems with lines inside the text; and
// a table never gives an id that DataProxy would refuse.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/mapping/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no case files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		rules, _, _ := strings.Cut(string(text), "\nproblems:")
		rules, _, _ = strings.Cut(rules, "\nlookups:")
		_, rules, _ = strings.Cut(rules, "routes:")
		f.Add(rules, "orders", []byte("key"))
	}
	f.Add("- &a [*a]", "t", []byte(nil))
	f.Add("---", "t", []byte(nil))
	f.Fuzz(func(t *testing.T, rules, name string, value []byte) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(rules), &node) != nil {
			return
		}
		table, problems := mapping.Parse(&node)
		if (table == nil) != (len(problems) > 0) {
			t.Fatalf("table %v beside problems %v", table, problems)
		}
		outline := mapping.OutlineOf(&node)
		if table != nil && table.DeadLetters() != (outline.DeadLetterRule > 0) {
			t.Fatalf("rule %d wants dead letters, and the table says %v", outline.DeadLetterRule, table.DeadLetters())
		}
		lines := strings.Count(rules, "\n") + strings.Count(rules, "\r") + 1
		lines += strings.Count(rules, "\u0085") + strings.Count(rules, "\u2028") + strings.Count(rules, "\u2029")
		lines++ // where yaml.v3 sees the empty document behind a lone "---"
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || p.Message == "" {
				t.Fatalf("problem %+v of a text of %d lines", p, lines)
			}
		}
		if table == nil {
			return
		}
		for _, target := range table.Targets() {
			checkTarget(t, target)
		}
		names, _ := table.Topics()
		for _, name := range append(names, name) {
			topic := table.ForTopic(name)
			headers := []mapping.Header{{Key: "type", Value: value}}
			target, result, err := topic.Route(value, func() []mapping.Header { return headers })
			if result == mapping.Routed {
				checkTarget(t, target)
			}
			if (err != nil) != (result == mapping.Fail) {
				t.Fatalf("Route = %v, %v, %v", target, result, err)
			}
			e := table.Explain(name, value, headers)
			if e.Result != result || e.Target != target || (e.Rule != 0) != table.Wants(name) {
				t.Fatalf("Explain = %+v, Route = %v, %v", e, target, result)
			}
		}
	})
}

func checkTarget(t *testing.T, target mapping.Target) {
	t.Helper()
	for _, id := range []string{target.Group, target.Stream} {
		if err := mapping.CheckID(id); err != nil {
			t.Fatalf("target %q: %v", target, err)
		}
	}
}
