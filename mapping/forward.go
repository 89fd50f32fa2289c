package mapping

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping/yamlnode"
)

// Content says what of a topic's records travels, where that is not the value alone.
type Content struct {
	Key, Timestamp, Origin bool
	Headers                []HeaderPattern // none: headers do not travel
	Envelope               bool            // the bytes of a record are a JSON object; otherwise what travels is in attributes of the record
	Tombstone              Tombstone
}

// Forwards reports whether more than the value travels.
func (c *Content) Forwards() bool { return c.Key || c.Timestamp || c.Origin || len(c.Headers) > 0 }

// Header reports whether headers of that name travel.
func (c *Content) Header(name string) bool {
	for i := range c.Headers {
		if p := &c.Headers[i]; p.re == nil && p.source == name || p.re != nil && p.re.MatchString(name) {
			return true
		}
	}
	return false
}

// HeaderPattern is a header's name, or an expression that matches whole names.
type HeaderPattern struct {
	source string
	re     *regexp.Regexp // nil for a name
}

// String returns the pattern as the configuration may write it.
func (p *HeaderPattern) String() string {
	if p.re != nil {
		return "/" + p.source + "/"
	}
	return p.source
}

// Tombstone says what becomes of a record whose value is null or empty.
type Tombstone uint8

const (
	TombstoneEmpty      Tombstone = iota // it travels as a record without bytes
	TombstoneSkip                        // it is passed over and counted
	TombstoneDeadLetter                  // it goes to the dead-letter topic
	TombstoneEnvelope                    // it travels in the envelope, which tells null from empty
)

var tombstoneNames = []string{"empty", "skip", "dead_letter", "envelope"}

// String returns the word of the configuration.
func (t Tombstone) String() string {
	if int(t) < len(tombstoneNames) {
		return tombstoneNames[t]
	}
	return fmt.Sprintf("tombstone(%d)", uint8(t))
}

// Content returns what travels of the topic's records, nil where it is the value alone.
func (t *Topic) Content() *Content {
	if t.rule == nil {
		return nil
	}
	return t.rule.content
}

// Attr is an attribute of packs. Whether InLong takes it is for the sender to say.
type Attr struct {
	Key, Value string
	Line       int
}

// Attrs returns the attributes of the packs of the topic's records.
func (t *Topic) Attrs() []Attr {
	if t.rule == nil {
		return nil
	}
	return t.rule.attrs
}

// RuleAttrs are the attributes of the packs of one rule.
type RuleAttrs struct {
	Rule, Line int
	Attrs      []Attr
}

// travels describes what travels besides the values of a rule's records, "" for nothing.
func (r *rule) travels() string {
	var parts []string
	if c := r.content; c != nil {
		if c.Forwards() || c.Envelope {
			parts = append(parts, c.form())
		}
		parts = append(parts, "a null or empty value: "+c.Tombstone.String())
	}
	if len(r.attrs) > 0 {
		var pairs []string
		for _, a := range r.attrs {
			pairs = append(pairs, a.Key+"="+a.Value)
		}
		parts = append(parts, "packs have "+strings.Join(pairs, "&"))
	}
	return strings.Join(parts, "; ")
}

func (c *Content) form() string {
	var what []string
	for _, f := range []struct {
		on   bool
		name string
	}{{c.Key, "key"}, {c.Timestamp, "timestamp"}, {c.Origin, "origin"}} {
		if f.on {
			what = append(what, f.name)
		}
	}
	if len(c.Headers) > 0 {
		var names []string
		for i := range c.Headers {
			names = append(names, c.Headers[i].String())
		}
		what = append(what, "headers "+quoteList(names))
	}
	if c.Envelope {
		return strings.Join(append(what, "value"), ", ") + " in an envelope of JSON"
	}
	return strings.Join(what, ", ") + " in attributes of the record"
}

// contentKeys are the keys of a rule that say what travels.
var contentKeys = []string{"forward", "envelope", "tombstone", "attrs"}

var forwardKeys = []string{"key", "headers", "timestamp", "origin"}

// content reads the keys of contentKeys.
func (p *parser) content(given map[string]*yaml.Node, r *rule) {
	c := new(Content)
	forward, ok := given["forward"], true
	if forward != nil {
		ok = p.forward(forward, c)
	}
	if n := given["envelope"]; n != nil {
		i, known := p.word(n, "envelope", []string{"none", "json"})
		c.Envelope, ok = i == 1, ok && known
	}
	if c.Envelope {
		c.Tombstone = TombstoneEnvelope
	}
	tombstone := given["tombstone"]
	if tombstone != nil {
		i, known := p.word(tombstone, "tombstone", tombstoneNames)
		c.Tombstone, ok = Tombstone(i), ok && known
	}
	const why = "InLong's attributes of records cannot stand beside a record without bytes"
	switch {
	case !ok: // it is not known what is meant
	case c.Tombstone == TombstoneEnvelope && !c.Envelope:
		p.problem(tombstone.Line, "tombstone is envelope, and the rule has none: add envelope: json, or write skip, dead_letter or empty")
	case !c.Forwards() || c.Envelope || c.Tombstone != TombstoneEmpty:
	case tombstone != nil:
		p.problem(tombstone.Line, "tombstone is empty beside forward: %s: write skip or dead_letter, which apply to every null or empty value, or add envelope: json", why)
	default:
		p.problem(forward.Line, "forward without tombstone: %s: add tombstone: skip or tombstone: dead_letter, which apply to every null or empty value, or envelope: json", why)
	}
	if c.Forwards() || c.Envelope || c.Tombstone != TombstoneEmpty {
		r.content = c
	}
	switch c.Tombstone {
	case TombstoneSkip:
		r.onError[ClassTombstone] = PolicySkip
	case TombstoneDeadLetter:
		r.onError[ClassTombstone] = PolicyDeadLetter
	case TombstoneEmpty, TombstoneEnvelope:
	}
	if n := given["attrs"]; n != nil {
		r.attrs = p.packAttrs(n)
	}
}

// word reads one of known, and returns its index.
func (p *parser) word(n *yaml.Node, key string, known []string) (i int, ok bool) {
	if n.Kind == yaml.ScalarNode && !yamlnode.Null(n) {
		if i := slices.Index(known, n.Value); i >= 0 {
			return i, true
		}
		p.problem(n.Line, "%s is %s%s", key, kindName(n), didYouMean(n.Value, known))
		return 0, false
	}
	p.problem(n.Line, "%s is %s: want %s", key, kindName(n), strings.Join(known, ", "))
	return 0, false
}

func (p *parser) forward(n *yaml.Node, c *Content) (ok bool) {
	before := len(p.problems)
	p.section(n, "forward", forwardKeys, func(key string, v *yaml.Node) {
		if key == "headers" {
			c.Headers = p.headers(v)
			return
		}
		i, _ := p.word(v, "forward: "+key, []string{"false", "true"})
		switch on := i == 1; key {
		case "key":
			c.Key = on
		case "timestamp":
			c.Timestamp = on
		case "origin":
			c.Origin = on
		}
	})
	return len(p.problems) == before
}

// headers reads one header or a list of them.
func (p *parser) headers(n *yaml.Node) []HeaderPattern {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
		if len(nodes) == 0 {
			p.problem(n.Line, "forward: headers is an empty list: name at least one header, or leave headers out")
		}
	}
	var out []HeaderPattern
	for _, node := range nodes {
		node = yamlnode.Resolve(node)
		h, ok := p.header(node)
		if !ok {
			continue
		}
		if slices.ContainsFunc(out, func(o HeaderPattern) bool { return o.String() == h.String() && (o.re == nil) == (h.re == nil) }) {
			p.problem(node.Line, "forward: headers names %q twice", clip(h.source))
			continue
		}
		out = append(out, h)
	}
	return out
}

// header reads a name, or an expression as /expression/ or {regex: expression}: names of headers may contain any character,
// so none tells an expression from a name.
func (p *parser) header(n *yaml.Node) (h HeaderPattern, ok bool) {
	const want = "want a header's name, /a regular expression/, {regex: ...}, or a list of these"
	isRegex := false
	if n.Kind == yaml.MappingNode {
		var value *yaml.Node
		if !p.section(n, "forward: headers", regexKeys, func(_ string, v *yaml.Node) { value = v }) || value == nil {
			if len(n.Content) == 0 {
				p.problem(n.Line, "forward: headers: {} names no header: %s", want)
			}
			return h, false
		}
		n, isRegex = value, true
	}
	if n.Kind != yaml.ScalarNode || yamlnode.Null(n) || n.Value == "" {
		p.problem(n.Line, "forward: headers is %s: %s", kindName(n), want)
		return h, false
	}
	text := n.Value
	if inner, found := strings.CutPrefix(text, "/"); found && !isRegex && len(inner) > 1 && strings.HasSuffix(inner, "/") {
		text, isRegex = strings.TrimSuffix(inner, "/"), true
	}
	if !isRegex {
		return HeaderPattern{source: text}, true
	}
	re, err := wholeRegex(text)
	if err != nil {
		p.problem(n.Line, "forward: headers: %s", regexProblem(text, err))
		return h, false
	}
	return HeaderPattern{text, re}, true
}

// sortAttrs are attributes that InLong Sort takes for its own: the stream, and the time of the records.
var sortAttrs = []string{"t", "tid", "iname"}

// addedColumn is how Sort wants attributes that it adds to the columns of a record.
var addedColumn = regexp.MustCompile(`^__addcol[0-9]+_`)

// packAttrs reads the attributes of a rule's packs.
func (p *parser) packAttrs(n *yaml.Node) (attrs []Attr) {
	if n.Kind != yaml.MappingNode {
		p.problem(n.Line, "attrs is %s: want a section of names and values, such as {env: prod}", kindName(n))
		return nil
	}
	yamlnode.Section(n, func(k, v *yaml.Node) {
		switch name := k.Value; {
		case k.Kind != yaml.ScalarNode || v.Kind != yaml.ScalarNode || yamlnode.Null(v):
			p.problem(k.Line, "attrs: %s is %s: want a name and a single value", kindName(k), kindName(v))
		case strings.HasPrefix(name, "k.") || strings.HasPrefix(name, "h."):
			p.problem(k.Line, "attrs: names that begin with k. or h. are those of what forward sends: choose another than %q", clip(name))
		case slices.Contains(sortAttrs, name), strings.HasPrefix(name, "__addcol") && !addedColumn.MatchString(name):
			p.problem(k.Line, "attrs: InLong Sort takes %q for something else: choose another name", clip(name))
		default:
			attrs = append(attrs, Attr{name, v.Value, k.Line})
		}
	}, func(k *yaml.Node, first int) {
		p.problem(k.Line, "attrs: %s is given twice, first in line %d", k.Value, first)
	})
	return attrs
}
