package mapping

import (
	"errors"
	"fmt"
	"strings"
)

// Explanation shows how a record finds its target.
type Explanation struct {
	Topic   string
	Steps   []Step // the rules that were tried, in order; the last one matches unless Rule is 0
	Rule    int    // number of the rule that matches, 0 for none
	Needs   []string
	Result  Result
	Target  Target // with Routed
	Default bool   // Target is the rule's default route, because of Reason
	Reason  string // why there is no target, or why the default route applies
	Travels string // what travels besides the value, "" for nothing
	Policy  Policy // with Fail: what becomes of the record
	OnError string // the rule's on_error; "" where everything stops the partition
}

// Step is one rule and why it matches or does not.
type Step struct {
	Rule    int
	Line    int
	Matches bool
	Why     string
}

// Explain follows a record through the rules, as Route does. A nil key stands for a record without key.
func (t *Table) Explain(topic string, key []byte, headers []Header) Explanation {
	e := Explanation{Topic: topic}
	for _, r := range t.rules {
		p, why := r.match(topic)
		if p == nil {
			e.Steps = append(e.Steps, Step{Rule: r.number, Line: r.line, Why: why})
			continue
		}
		e.Steps = append(e.Steps, Step{Rule: r.number, Line: r.line, Matches: true, Why: p.taking(topic)})
		e.Rule, e.Travels = r.number, r.travels()
		e.Needs = append(r.group.needs(), r.stream.needs()...)
		found := func() []Header { return headers }
		view := t.ForTopic(topic)
		e.Target, e.Result, _ = view.Route(key, found)
		e.Policy, e.OnError = view.OnError(ClassUnrouted), r.onErrorText()
		e.Reason = r.whyUnmatched(topic, p, key, found)
		e.Default = e.Reason != "" && e.Result == Routed
		return e
	}
	e.Result, e.Reason = Fail, "no rule matches: the topic is not consumed"
	return e
}

// whyUnmatched returns the reason for which unmatched applies, or "". It evaluates the rule as if unmatched were error.
func (r *rule) whyUnmatched(topic string, p *pattern, key []byte, headers func() []Header) string {
	strict := *r
	strict.unmatched = unmatchedError
	_, _, err := strict.forTopic(topic, p, &interned{targets: map[string]Target{}}).Route(key, headers)
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.Why
	}
	return ""
}

// taking says how p matches a topic, with the captures.
func (p *pattern) taking(topic string) string {
	if p.re == nil {
		return fmt.Sprintf("names %q", topic)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "expression %q matches", p.source)
	found, names := p.re.FindStringSubmatch(topic), p.re.SubexpNames()
	for i := 1; i < len(found); i++ {
		name := names[i]
		if name == "" {
			name = fmt.Sprint(i)
		}
		fmt.Fprintf(&b, ", {%s} is %q", name, found[i])
	}
	return b.String()
}

// String returns the explanation for a terminal: several lines, each with a newline at its end.
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "topic   %s\n", e.Topic)
	for _, s := range e.Steps {
		mark := "no "
		if s.Matches {
			mark = "yes"
		}
		fmt.Fprintf(&b, "rule %-2d %s  line %d: %s\n", s.Rule, mark, s.Line, s.Why)
	}
	if len(e.Needs) > 0 {
		fmt.Fprintf(&b, "uses    %s\n", strings.Join(e.Needs, ", "))
	}
	if e.Travels != "" {
		fmt.Fprintf(&b, "travels %s\n", e.Travels)
	}
	switch {
	case e.Rule == 0:
		fmt.Fprintf(&b, "result  not consumed: no rule matches\n")
	case e.Default:
		fmt.Fprintf(&b, "result  group %s, stream %s (default route: %s)\n", e.Target.Group, e.Target.Stream, e.Reason)
	case e.Result == Routed:
		fmt.Fprintf(&b, "result  group %s, stream %s\n", e.Target.Group, e.Target.Stream)
	case e.Result == Skip:
		fmt.Fprintf(&b, "result  skipped and counted: %s\n", e.Reason)
	case e.Policy == PolicySkip:
		fmt.Fprintf(&b, "result  skipped and counted, by on_error: %s\n", e.Reason)
	case e.Policy == PolicyDeadLetter:
		fmt.Fprintf(&b, "result  goes to the dead-letter topic, by on_error: %s\n", e.Reason)
	default:
		fmt.Fprintf(&b, "result  stops the partition: %s\n", e.Reason)
	}
	if e.OnError != "" {
		fmt.Fprintf(&b, "errors  %s\n", e.OnError)
	}
	return b.String()
}
