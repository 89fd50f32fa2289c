package mapping

import (
	"regexp/syntax"
	"slices"
)

// Unmatched returns the regular expressions of the rules' topics that match none of topics, each once and in the order
// of the file. An expression also matches a topic that another rule takes first, or that an exclude removes.
func (t *Table) Unmatched(topics []string) []string {
	var out []string
	for _, r := range t.rules {
		for i := range r.topics {
			p := &r.topics[i]
			if p.re != nil && !slices.ContainsFunc(topics, p.takes) && !slices.Contains(out, p.source) {
				out = append(out, p.source)
			}
		}
	}
	return out
}

// Glob is a regular expression of a rule that looks like a pattern for file names: logs-* matches logs, logs- and
// logs--, and never logs-web.
type Glob struct {
	Rule, Line int
	Pattern    string
	Repeats    string // the character that the star repeats
}

// Globs returns the expressions whose star repeats one literal character, excludes included.
func (t *Table) Globs() []Glob {
	var out []Glob
	for _, r := range t.rules {
		for _, p := range slices.Concat(r.topics, r.excludes) {
			if c := p.starred(); c != "" {
				out = append(out, Glob{r.number, p.line, p.source, c})
			}
		}
	}
	return out
}

// starred returns the literal character that a star of the expression repeats, "" for none. It ignores stars inside
// groups: whoever writes groups knows regular expressions.
func (p *pattern) starred() string {
	if p.re == nil {
		return ""
	}
	re, err := syntax.Parse(p.source, syntax.Perl)
	if err != nil {
		return ""
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	for _, part := range parts {
		if part.Op == syntax.OpStar && part.Sub[0].Op == syntax.OpLiteral {
			return string(part.Sub[0].Rune)
		}
	}
	return ""
}
