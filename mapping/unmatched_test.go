package mapping_test

import (
	"slices"
	"testing"
)

func TestUnmatchedNamesTheExpressionsThatTakeNoTopic(t *testing.T) {
	table := tryParse(t, `
- {topics: [orders, 'gone'], group: g, stream: a}
- {topics: ['logs-*', 'logs-.*'], exclude: ['logs-test'], group: g, stream: b}
- {topics: 'clicks\..*', group: g, stream: c}
- {topics: ['views.*', 'clicks\.(eu|us)'], group: g, stream: d}
`)
	for _, row := range []struct {
		name   string
		topics []string
		want   []string
	}{
		{"no topic at all", nil, []string{"logs-*", "logs-.*", `clicks\..*`, "views.*", `clicks\.(eu|us)`}},
		{"a glob is no regular expression", []string{"logs-web", "clicks.eu", "views"}, []string{"logs-*"}},
		{"what the star does match", []string{"logs--", "clicks.eu", "views"}, nil},
		{"an excluded topic was matched", []string{"logs-test", "logs", "clicks.eu", "views"}, nil},
		{"an internal topic is not meant", []string{"logs-web", "logs", "clicks.internal", "views"}, []string{`clicks\..*`, `clicks\.(eu|us)`}},
		{"a plain name is no pattern", []string{"logs-web", "logs", "clicks.us", "views"}, nil},
	} {
		if got := table.Unmatched(row.topics); !slices.Equal(got, row.want) {
			t.Errorf("%s: Unmatched = %q, want %q", row.name, got, row.want)
		}
	}
}

func TestGlobsAreExpressionsWhoseStarRepeatsACharacter(t *testing.T) {
	table := tryParse(t, `
- {topics: ['logs-*', 'logs\..*', 'a\.*'], exclude: ['x_*-y'], group: g, stream: a}
- {topics: [orders, 'clicks[0-9]*', 'b(c|d)*', 'e(f*)'], group: g, stream: b}
`)
	var got []string
	for _, g := range table.Globs() {
		got = append(got, g.Pattern+" "+g.Repeats)
		if g.Rule != 1 || g.Line != 2 {
			t.Errorf("%q is in rule %d, line %d", g.Pattern, g.Rule, g.Line)
		}
	}
	if want := []string{"logs-* -", `a\.* .`, "x_*-y _"}; !slices.Equal(got, want) {
		t.Errorf("Globs = %q, want %q", got, want)
	}
}
