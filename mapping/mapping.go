package mapping

import (
	"fmt"
	"slices"
)

// Target is a (group, stream) pair whose ids DataProxy accepts.
type Target struct{ Group, Stream string }

// String returns "group.stream".
func (t Target) String() string { return t.Group + "." + t.Stream }

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Table is a compiled, immutable list of rules; it is safe to share. The zero value matches nothing.
type Table struct {
	rules   []*rule
	targets *interned
}

// Only returns a table that wants one topic, and has one policy for its records that cannot be delivered; a batch that cannot be read
// stops its partition. It routes nothing: whoever consumes the topic decides where its records go.
func Only(topic string, onError Policy) *Table {
	r := &rule{number: 1, topics: []pattern{{source: topic}}}
	for c := range r.onError {
		if Class(c) != ClassUndecodable {
			r.onError[c] = onError
		}
	}
	return &Table{rules: []*rule{r}, targets: &interned{targets: make(map[string]Target)}}
}

// Result is the outcome of routing a record.
type Result uint8

const (
	Routed Result = iota + 1
	Skip          // a template gave no id that DataProxy accepts, and the rule says skip
	Fail          // a template gave no such id, and the rule says error; or no rule matches the topic
)

// String returns the result in one word.
func (v Result) String() string {
	switch v {
	case Routed:
		return "routed"
	case Skip:
		return "skip"
	case Fail:
		return "fail"
	default:
		return fmt.Sprintf("result(%d)", uint8(v))
	}
}

// Wants reports whether any rule may match the topic; a topic that is not wanted is not consumed.
func (t *Table) Wants(topic string) bool {
	return slices.ContainsFunc(t.rules, func(r *rule) bool {
		p, _ := r.match(topic)
		return p != nil
	})
}

// Topics says how to subscribe. If needsRegex is false, subscribe to names. Otherwise any existing topic may be wanted:
// ask Wants about each of them; names then holds those that are known by name.
func (t *Table) Topics() (names []string, needsRegex bool) {
	for _, r := range t.rules {
		for i := range r.topics {
			p := &r.topics[i]
			if p.re != nil {
				needsRegex = true
			} else if !slices.Contains(names, p.source) && t.Wants(p.source) {
				names = append(names, p.source)
			}
		}
	}
	return names, needsRegex
}

// PerRecord reports whether any rule needs a record's key or headers, so that the records of one topic may go to many
// streams.
func (t *Table) PerRecord() bool {
	return slices.ContainsFunc(t.rules, func(r *rule) bool { return len(r.group.needs())+len(r.stream.needs()) > 0 })
}

// Targets returns, each once, the targets that are known before any record: those of plain names whose templates need
// no key or header, and default routes.
func (t *Table) Targets() []Target {
	var out []Target
	add := func(target Target) {
		if !slices.Contains(out, target) {
			out = append(out, target)
		}
	}
	names, _ := t.Topics()
	for _, name := range names {
		if topic := t.ForTopic(name); topic.Fixed != nil {
			add(*topic.Fixed)
		}
	}
	for _, r := range t.rules {
		// A rule of plain names was handled above; it may be shadowed in part.
		if !r.onlyNames() && r.group.static() && r.stream.static() {
			add(Target{r.group.String(), r.stream.String()})
		}
		if r.unmatched == unmatchedDefault {
			add(r.fallback)
		}
	}
	return out
}

// Forget drops the strings of a target that is no longer in use. The next record with that target makes them again.
func (t *Table) Forget(target Target) { t.targets.drop(target) }

// Topic is the table's view of one topic. Look it up once and keep it. It is safe to share.
type Topic struct {
	// Fixed is set if the route depends only on the topic.
	Fixed *Target

	name          string
	rule          *rule
	group, stream template // resolved: literals, key and headers
	targets       *interned

	// If result is set, it applies with err to every record of the topic.
	result Result
	err    error
}

// ForTopic compiles the rules for one topic. It never returns nil: for a topic that is not wanted, each record fails.
func (t *Table) ForTopic(topic string) *Topic {
	for _, r := range t.rules {
		if p, _ := r.match(topic); p != nil {
			return r.forTopic(topic, p, t.targets)
		}
	}
	return &Topic{
		name: topic, result: Fail,
		err: fmt.Errorf("routing topic %q: no rule matches; hint: add a rule to routes; explain shows why no rule matches", topic),
	}
}

func (r *rule) forTopic(topic string, p *pattern, targets *interned) *Topic {
	capture := func(string) string { return "" }
	if p.re != nil {
		found := p.re.FindStringSubmatch(topic)
		capture = func(name string) string { return found[p.captureIndex(name)] }
	}
	t := &Topic{
		name: topic, rule: r, targets: targets,
		group: r.group.resolve(topic, capture), stream: r.stream.resolve(topic, capture),
	}
	g, okGroup := t.group.fixed()
	s, okStream := t.stream.fixed()
	if !okGroup || !okStream {
		return t
	}
	var target Target
	switch {
	case badID(g) != "":
		target, t.result, t.err = t.unmatched(fault{field: "group", id: []byte(g)})
	case badID(s) != "":
		target, t.result, t.err = t.unmatched(fault{field: "stream", id: []byte(s)})
	default:
		target, t.result = Target{g, s}, Routed
	}
	if t.result == Routed {
		t.Fixed = &target
	}
	return t
}

// Route returns the target of a record. It allocates nothing if the target was routed to before (targets are interned)
// or the record is skipped. It calls headers at most once, and only if the rule uses headers. For Fail, err names the
// mistake, the place and the remedy.
func (t *Topic) Route(key []byte, headers func() []Header) (Target, Result, error) {
	if t.Fixed != nil {
		return *t.Fixed, Routed, nil
	}
	if t.result != 0 {
		return Target{}, t.result, t.err
	}
	// group, 0, stream. Interned ids contain no 0, so a key that contains one finds nothing.
	var room [2*MaxID + 3]byte
	rec := record{key: key, headers: headers}
	ids, missing := t.group.appendTo(room[:0], &rec)
	if missing != nil {
		return t.unmatched(fault{field: "group", missing: missing})
	}
	n := len(ids)
	ids = append(ids, 0)
	ids, missing = t.stream.appendTo(ids, &rec)
	if missing != nil {
		return t.unmatched(fault{field: "stream", missing: missing})
	}
	if target, ok := t.targets.get(ids); ok {
		return target, Routed, nil
	}
	group, stream := ids[:n], ids[n+1:]
	switch {
	case badID(group) != "":
		return t.unmatched(fault{field: "group", id: slices.Clone(group)})
	case badID(stream) != "":
		return t.unmatched(fault{field: "stream", id: slices.Clone(stream)})
	}
	return t.targets.put(string(ids), n), Routed, nil
}

// fault says why a template gave no id.
type fault struct {
	field   string // group or stream
	missing *part  // the part that the record lacks, or nil
	id      []byte // the text that is not an id
}

func (f *fault) String() string {
	switch {
	case f.missing == nil:
		return fmt.Sprintf("%s %q: %s", f.field, clip(f.id), badID(f.id))
	case f.missing.kind == keyPart:
		return f.field + ": the record has no key"
	default:
		return fmt.Sprintf("%s: the record has no header %q", f.field, f.missing.text)
	}
}

// unmatched applies the rule's unmatched to a record for which a template gave no id.
func (t *Topic) unmatched(f fault) (Target, Result, error) {
	switch t.rule.unmatched {
	case unmatchedSkip:
		return Target{}, Skip, nil
	case unmatchedDefault:
		return t.rule.fallback, Routed, nil
	}
	return Target{}, Fail, &Error{Topic: t.name, Rule: t.rule.number, Line: t.rule.line, Why: f.String()}
}

// Error says why a record has no target although a rule matches its topic.
type Error struct {
	Topic      string
	Rule, Line int    // of the rule that matches
	Why        string // the template and the text that it gave
}

func (e *Error) Error() string {
	return fmt.Sprintf("routing a record of topic %q by rule %d (line %d): %s; "+
		"hint: correct the producer, or add unmatched: skip or {group, stream}, or on_error: {unrouted: dead_letter}, to the rule",
		e.Topic, e.Rule, e.Line, e.Why)
}
