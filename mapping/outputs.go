package mapping

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"inlong-bridge/mapping/queuetopic"
)

// LeftOut says why a topic is not consumed although an expression of some rule matches it: expressions do not apply to
// internal topics. It returns "" for a topic that is wanted, and for one that no rule matches.
func (t *Table) LeftOut(topic string) string {
	why := internalTopic(topic)
	if why == "" || t.Wants(topic) {
		return ""
	}
	if slices.ContainsFunc(t.rules, func(r *rule) bool {
		return slices.ContainsFunc(r.topics, func(p pattern) bool { return p.covers(topic) }) && r.excludedBy(topic) == ""
	}) {
		return why
	}
	return ""
}

// Names reports whether the rule that takes a topic gives its exact name, rather than an expression.
func (t *Table) Names(topic string) bool {
	for _, r := range t.rules {
		if p, _ := r.match(topic); p != nil {
			return p.re == nil
		}
	}
	return false
}

// Outputs knows the names of all topics that may appear in a queue because of a table, even before any record is
// routed. It never changes and is safe to share.
type Outputs struct {
	table *Table
	ways  []way
}

// way is one pattern of one rule, and the names that it makes.
type way struct {
	perRecord bool // the name depends on the key or headers of records
	expr      string
	re        *regexp.Regexp
}

// Outputs returns the names that the table's groups and streams make of queue, a template of {group} and {stream}.
func (t *Table) Outputs(queue string) *Outputs {
	o := &Outputs{table: t}
	add := func(group, stream string, perRecord bool) {
		expr := queuetopic.Template(queue).Expr(group, stream)
		if slices.ContainsFunc(o.ways, func(w way) bool { return w.expr == expr && w.perRecord == perRecord }) {
			return
		}
		if re, err := regexp.Compile(`\A(?:` + expr + `)\z`); err == nil { // otherwise it has become too large
			o.ways = append(o.ways, way{perRecord, expr, re})
		}
	}
	for _, r := range t.rules {
		perRecord := len(r.group.needs())+len(r.stream.needs()) > 0
		for i := range r.topics {
			add(r.group.outputs(&r.topics[i]), r.stream.outputs(&r.topics[i]), perRecord)
		}
		if r.unmatched == unmatchedDefault {
			add(regexp.QuoteMeta(r.fallback.Group), regexp.QuoteMeta(r.fallback.Stream), false)
		}
	}
	return o
}

// May reports whether a topic of that name may be an output. If perRecord is false, names that depend on keys or headers
// do not count, because those can make nearly any name.
func (o *Outputs) May(topic string, perRecord bool) bool {
	return slices.ContainsFunc(o.ways, func(w way) bool { return (perRecord || !w.perRecord) && w.re.MatchString(topic) })
}

// outputs returns an expression for the texts that a template makes for the topics of p.
func (t template) outputs(p *pattern) string {
	var b strings.Builder
	for _, part := range t {
		switch part.kind {
		case literalPart:
			b.WriteString(regexp.QuoteMeta(part.text))
		case topicPart:
			b.WriteString(p.bare(""))
		case capturePart:
			b.WriteString(p.bare(part.text))
		default:
			b.WriteString(".+")
		}
	}
	return b.String()
}

// bare returns the pattern, or one of its captures, as an expression without names and anchors that can be part of
// another expression.
func (p *pattern) bare(capture string) string {
	if p.re == nil {
		return regexp.QuoteMeta(p.source)
	}
	re, err := syntax.Parse(p.source, syntax.Perl)
	if err != nil {
		return ".+" // cannot happen: it was compiled before
	}
	if capture != "" {
		if re = captureOf(re, p.captureIndex(capture)); re == nil {
			return ".+"
		}
	}
	stripNames(re)
	return "(?:" + re.String() + ")"
}

func captureOf(re *syntax.Regexp, index int) *syntax.Regexp {
	if re.Op == syntax.OpCapture && re.Cap == index {
		return re
	}
	for _, sub := range re.Sub {
		if found := captureOf(sub, index); found != nil {
			return found
		}
	}
	return nil
}

func stripNames(re *syntax.Regexp) {
	switch re.Op {
	case syntax.OpCapture:
		re.Name = ""
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpBeginLine, syntax.OpEndLine:
		re.Op = syntax.OpEmptyMatch
	}
	for _, sub := range re.Sub {
		stripNames(sub)
	}
}

// Overlap is a pattern of a rule that may match an output.
type Overlap struct {
	Rule, Line int
	Pattern    string
	Example    string // an output that it matches
}

// overlapSteps bounds the search over all rules. If they run out, nothing is reported.
const overlapSteps = 3 << 20

// Overlap returns the first pattern whose rule takes a topic that is an output, with the shortest such name. A plain name
// overlaps if keys or headers may make it.
func (o *Outputs) Overlap() (found Overlap, ok bool) {
	if len(o.ways) == 0 {
		return Overlap{}, false
	}
	exprs := make([]string, len(o.ways))
	for i, w := range o.ways {
		exprs[i] = "(?:" + w.expr + ")"
	}
	outputs := newAutomaton(strings.Join(exprs, "|"))
	steps := overlapSteps
	for _, r := range o.table.rules {
		for i := range r.topics {
			p := &r.topics[i]
			example := ""
			switch {
			case p.re == nil && o.May(p.source, true) && r.excludedBy(p.source) == "":
				example = p.source
			case p.re != nil:
				without := make([]*automaton, len(r.excludes))
				for j := range r.excludes {
					without[j] = newAutomaton(r.excludes[j].expr())
				}
				example = common(newAutomaton(p.expr()), outputs, without, &steps)
			}
			if example != "" {
				return Overlap{r.number, p.line, p.source, example}, true
			}
		}
	}
	return Overlap{}, false
}

// expr returns the pattern as an expression.
func (p *pattern) expr() string {
	if p.re == nil {
		return regexp.QuoteMeta(p.source)
	}
	return "(?:" + p.source + ")"
}
