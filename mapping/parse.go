package mapping

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping/suggest"
	"inlong-bridge/mapping/yamlnode"
)

// Problem is one mistake in the rules. Line is 0 if the mistake has no line.
type Problem struct {
	Line    int
	Message string
}

// Parse reads the value of routes. It returns either a table or all problems, in the order of the file.
func Parse(routes *yaml.Node) (*Table, []Problem) {
	p := parser{}
	rules := p.rules(routes)
	if len(p.problems) == 0 {
		p.findShadowed(rules)
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, p.problems
	}
	return &Table{rules: rules, targets: &interned{targets: make(map[string]Target)}}, nil
}

type parser struct {
	problems []Problem
	rule     int // number of the current rule, 0 outside of rules
}

func (p *parser) problem(line int, format string, args ...any) {
	where := "routes: "
	if p.rule > 0 {
		where = fmt.Sprintf("routes: rule %d: ", p.rule)
	}
	p.problems = append(p.problems, Problem{line, where + fmt.Sprintf(format, args...)})
}

// kindName says what a node is, with its value if it has a single one.
func kindName(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Value != "" && !yamlnode.Null(n) {
		return fmt.Sprintf("%q", clip(n.Value))
	}
	return yamlnode.Kind(n)
}

// didYouMean returns ", did you mean ...?" for the known word that is close to word, or lists what is known.
func didYouMean(word string, known []string) string {
	if meant := suggest.Closest(word, known); meant != "" {
		return fmt.Sprintf(", did you mean %s?", meant)
	}
	return "; known are " + strings.Join(known, ", ")
}

func (p *parser) rules(n *yaml.Node) []*rule {
	n = yamlnode.Resolve(n)
	const want = "want a list of rules such as {topics: orders, group: shop, stream: orders}"
	switch {
	case n == nil || n.Kind == 0:
		p.problem(0, "missing: %s", want)
		return nil
	case n.Kind != yaml.SequenceNode:
		p.problem(n.Line, "found %s: %s", kindName(n), want)
		return nil
	case len(n.Content) == 0:
		p.problem(n.Line, "empty, so nothing would be moved: %s", want)
		return nil
	}
	var rules []*rule
	for i, node := range n.Content {
		p.rule = i + 1
		if r := p.parseRule(yamlnode.Resolve(node)); r != nil {
			rules = append(rules, r)
		}
	}
	p.rule = 0
	return rules
}

// section calls set for each known key of a mapping, and reports what is wrong with the others.
func (p *parser) section(n *yaml.Node, what string, known []string, set func(key string, value *yaml.Node)) bool {
	if n.Kind != yaml.MappingNode {
		p.problem(n.Line, "%s is %s: want a section with %s", what, kindName(n), strings.Join(known, ", "))
		return false
	}
	yamlnode.Section(n, func(k, v *yaml.Node) {
		if k.Kind != yaml.ScalarNode || !slices.Contains(known, k.Value) {
			p.problem(k.Line, "unknown key %s%s", kindName(k), didYouMean(k.Value, known))
			return
		}
		set(k.Value, v)
	}, func(k *yaml.Node, first int) {
		p.problem(k.Line, "%s is given twice, first in line %d", k.Value, first)
	})
	return true
}

var (
	ruleKeys    = append([]string{"topics", "exclude", "group", "stream", "unmatched", "on_error"}, contentKeys...)
	regexKeys   = []string{"regex"}
	defaultKeys = []string{"group", "stream"}
)

func (p *parser) parseRule(n *yaml.Node) *rule {
	r := &rule{number: p.rule, line: n.Line}
	given := make(map[string]*yaml.Node)
	if !p.section(n, "rule", ruleKeys, func(key string, v *yaml.Node) { given[key] = v }) {
		return nil
	}
	if v := given["topics"]; v == nil {
		p.problem(n.Line, "topics is missing: give a name, a list of names, or a regular expression")
	} else {
		r.topics = p.patterns(v, "topics")
	}
	if v := given["exclude"]; v != nil {
		r.excludes = p.patterns(v, "exclude")
	}
	r.group = p.template(n.Line, given["group"], "group", r)
	r.stream = p.template(n.Line, given["stream"], "stream", r)
	if v := given["unmatched"]; v != nil {
		p.unmatched(v, r)
	}
	if v := given["on_error"]; v != nil {
		p.onError(v, given["unmatched"], r)
	}
	p.content(given, r)
	return r
}

// patterns reads one topic or a list of them.
func (p *parser) patterns(n *yaml.Node, key string) []pattern {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
		if len(nodes) == 0 {
			p.problem(n.Line, "%s is an empty list: name at least one topic%s", key, orDrop(key))
		}
	}
	var out []pattern
	for _, node := range nodes {
		pat, ok := p.pattern(yamlnode.Resolve(node), key)
		if !ok {
			continue
		}
		same := func(o pattern) bool { return o.source == pat.source && (o.re == nil) == (pat.re == nil) }
		if i := slices.IndexFunc(out, same); i >= 0 {
			p.problem(pat.line, "%s names %q twice, first in line %d", key, clip(pat.source), out[i].line)
			continue
		}
		out = append(out, pat)
	}
	return out
}

func orDrop(key string) string {
	if key == "exclude" {
		return ", or leave exclude out"
	}
	return ""
}

func (p *parser) pattern(n *yaml.Node, key string) (pattern, bool) {
	isRegex := false
	if n.Kind == yaml.MappingNode {
		var value *yaml.Node
		if !p.section(n, key, regexKeys, func(_ string, v *yaml.Node) { value = v }) {
			return pattern{}, false
		}
		if value == nil {
			if len(n.Content) == 0 {
				p.problem(n.Line, "%s: {} names no topic: want a name or {regex: ...}", key)
			}
			return pattern{}, false
		}
		n, isRegex = value, true
	}
	if n.Kind != yaml.ScalarNode || yamlnode.Null(n) {
		p.problem(n.Line, "%s is %s: want a name, a list of names, or a regular expression", key, kindName(n))
		return pattern{}, false
	}
	pat := pattern{source: n.Value, line: n.Line}
	if !isRegex && !looksLikeRegex(n.Value) {
		if why := BadTopicName(n.Value); why != "" {
			p.problem(n.Line, "%s: %q: %s", key, clip(n.Value), why)
			return pattern{}, false
		}
		return pat, true
	}
	if n.Value == "" {
		p.problem(n.Line, "%s: the regular expression is empty and would match no topic", key)
		return pattern{}, false
	}
	if n.Value != strings.TrimSpace(n.Value) || strings.ContainsFunc(n.Value, unicode.IsControl) {
		p.problem(n.Line, "%s: regular expression %q begins or ends with white space, or contains a control character, which no topic's name does: remove it", key, clip(n.Value))
		return pattern{}, false
	}
	re, err := wholeRegex(n.Value)
	if err != nil {
		p.problem(n.Line, "%s: %s", key, regexProblem(n.Value, err))
		return pattern{}, false
	}
	for _, name := range re.SubexpNames() {
		if name == "topic" || name == "key" || name == "header" {
			p.problem(n.Line, "%s: the name %q is not allowed for a capture, because {%s} means something else in a template", key, name, name)
		}
	}
	pat.re = re
	return pat, true
}

// wholeRegex compiles an expression that matches whole texts.
func wholeRegex(source string) (*regexp.Regexp, error) {
	// "a)(?:b" is only an expression between our own brackets.
	if _, err := regexp.Compile(source); err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + source + `)\z`)
}

// regexProblem says what is wrong with an expression.
func regexProblem(source string, err error) string {
	hint := ""
	if wrong, ok := errors.AsType[*syntax.Error](err); ok && wrong.Code == syntax.ErrMissingRepeatArgument {
		hint = "; in a regular expression, write .* for any text, not *"
	}
	return fmt.Sprintf("regular expression %q: %s%s", clip(source), strings.TrimPrefix(err.Error(), "error parsing regexp: "), hint)
}

// template reads group or stream. ruleLine is the line to report if it is missing.
func (p *parser) template(ruleLine int, n *yaml.Node, field string, r *rule) template {
	if n == nil {
		p.problem(ruleLine, "%s is missing: give an id, or a template such as '{topic}'", field)
		return nil
	}
	if n.Kind != yaml.ScalarNode || yamlnode.Null(n) {
		hint := ""
		if n.Kind == yaml.MappingNode {
			hint = "; quote a template that begins with a brace, as in '{topic}'"
		}
		p.problem(n.Line, "%s is %s: want an id or a template%s", field, kindName(n), hint)
		return nil
	}
	t, err := parseTemplate(n.Value)
	if err != nil {
		p.problem(n.Line, "%s %s", field, err)
		return nil
	}
	for _, name := range t.captures() {
		for i := range r.topics {
			if r.topics[i].captureIndex(name) < 0 {
				p.problem(n.Line, "%s %q uses {%s}, which %s does not have", field, clip(n.Value), name, captureHome(&r.topics[i]))
				break
			}
		}
	}
	return t
}

// captureHome names the pattern that lacks a capture, and the captures that it has.
func captureHome(p *pattern) string {
	if p.re == nil {
		return fmt.Sprintf("the plain name %q", clip(p.source))
	}
	var has []string
	for i, name := range p.re.SubexpNames() {
		switch {
		case i > 0 && name != "":
			has = append(has, "{"+name+"}")
		case i > 0:
			has = append(has, fmt.Sprintf("{%d}", i))
		}
	}
	if len(has) == 0 {
		return fmt.Sprintf("%q, without captures,", clip(p.source))
	}
	return fmt.Sprintf("%q, with the captures %s,", clip(p.source), strings.Join(has, " "))
}

func (p *parser) unmatched(n *yaml.Node, r *rule) {
	switch {
	case n.Kind == yaml.MappingNode:
		given := make(map[string]*yaml.Node)
		p.section(n, "unmatched", defaultKeys, func(key string, v *yaml.Node) { given[key] = v })
		r.unmatched = unmatchedDefault
		r.fallback = Target{p.fixedID(n, given["group"], "group"), p.fixedID(n, given["stream"], "stream")}
	case n.Kind == yaml.ScalarNode && n.Value == "error":
		r.unmatched = unmatchedError
	case n.Kind == yaml.ScalarNode && n.Value == "skip":
		r.unmatched = unmatchedSkip
	default:
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = didYouMean(n.Value, []string{"error", "skip"})
		}
		p.problem(n.Line, "unmatched is %s: want error, skip, or {group: ..., stream: ...}%s", kindName(n), hint)
	}
}

// fixedID reads an id of a default route, which is not a template.
func (p *parser) fixedID(section, n *yaml.Node, field string) string {
	if n == nil {
		p.problem(section.Line, "unmatched: %s is missing", field)
		return ""
	}
	if n.Kind != yaml.ScalarNode || yamlnode.Null(n) {
		p.problem(n.Line, "unmatched: %s is %s: want an id", field, kindName(n))
		return ""
	}
	switch {
	case strings.ContainsAny(n.Value, "{}"):
		p.problem(n.Line, "unmatched: %s %q: the default route is fixed and cannot have placeholders", field, clip(n.Value))
	case badID(n.Value) != "":
		p.problem(n.Line, "unmatched: %s %q: %s", field, clip(n.Value), badID(n.Value))
	}
	return n.Value
}
