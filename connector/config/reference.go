package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Reference returns deploy/config/reference.yaml: every key with its default and meaning. An optional key without a
// default is commented out by a # without a blank behind it; without the # it is valid YAML.
func Reference() []byte {
	r := reference{}
	r.WriteString(`# Every key of the configuration of inlong-bridge, with its default and meaning.
#
# Only the sections kafka, inlong and routes are required. A key behind a # without a blank has no default,
# or belongs to an optional section; a key without a default shows an example as its value.
# Unknown keys are errors. Values may contain environment variables: ${VAR}, ${VAR:-default} and
# ${VAR:?message}; $$ is a dollar. Write a secret either as its value or as the path of a file (*_file); the
# file is read again when it changes. A relative path starts from the working directory.
# Durations: 500ms, 10s, 5m. Sizes: 256KiB, 32MiB, 1GiB. A list may also be one string with commas; in lists
# of addresses and URLs, blanks and semicolons separate entries too. Names and ids must not begin or end with
# white space. Line ends at the end of a secret are removed.
#
# connector/config/schema.go is the source of this file; go test ./connector/config -update writes it.
`)
	r.section(new(Config).schema(), "", false)
	return r.Bytes()
}

// routesReference describes the rules, which package mapping reads.
const routesReference = `routes:
  # topics and exclude: a name, a regular expression that matches whole names, or a list of these.
  # Expressions do not match internal topics (__*, *.internal, _schemas, those of Connect) or topics that the
  # bridge itself writes.
  # group and stream: an id, or a template of {topic}, {key}, {header:name} and the captures {name}, {1}.
  # unmatched: what to do with a record for which the template gives no valid id: error (the default) stops
  # its partition, skip skips the record, and {group: ..., stream: ...} sends it there.
  # on_error: what to do with a record that cannot be delivered: stop (the default) stops its partition, skip skips
  # and counts the record, dead_letter writes it to dead_letter.topic. One word applies to all classes; a section
  # gives a word per class: unrouted (no valid id; not beside unmatched), too_large (fits no frame), refused (for
  # good, by the proxies), poison (ends their connections), undecodable (a batch that cannot be read).
  # forward: what travels besides the value: {key: true, headers: [name, /expression/], timestamp: true, origin: true}. It
  # becomes attributes of the record, or a part of an envelope (docs/forwarding.md).
  # envelope: none (the default), or json: the record's bytes are a JSON object of the value and what travels.
  # tombstone: what to do with a null or empty value: empty (the default) sends a record without bytes, skip skips and
  # counts it, dead_letter writes it to dead_letter.topic, envelope (the default with envelope: json) wraps it. A rule
  # with forward and without an envelope must write skip or dead_letter.
  # attrs: attributes of the rule's packs.
  - {topics: [orders], group: shop, stream: orders}
  #- {topics: 'logs\.(?P<app>[a-z]+)', exclude: ['logs\.test'], group: logs, stream: '{app}'}
  #- {topics: [events], group: events, stream: '{header:type}', unmatched: skip}
  #- {topics: [clicks], group: web, stream: clicks, on_error: {too_large: dead_letter, refused: dead_letter}}
  #- {topics: [clicks], group: web, stream: clicks, forward: {key: true, headers: /.*/}, tombstone: skip, attrs: {env: prod}}
  #- {topics: [customers], group: shop, stream: customers, forward: {key: true, origin: true}, envelope: json}
`

type reference struct{ bytes.Buffer }

// section writes the keys of one section; off puts them behind a #.
func (r *reference) section(entries []entry, indent string, off bool) {
	for i := range entries {
		e := &entries[i]
		if e.refuse != "" {
			continue
		}
		if indent == "" || i > 0 {
			r.WriteString("\n")
		}
		r.comment(indent, e)
		switch {
		case e.routes:
			r.WriteString(routesReference)
		case e.each != nil:
			r.key(indent, e.key, "", off)
			e.grow(1)
			var item reference
			item.section(e.each(0), indent+"    ", off)
			r.dash(item.Bytes(), indent+"    ")
		case e.sub != nil:
			hide := off || e.key == "queue" || e.optional() && !e.show
			r.key(indent, e.key, "", hide)
			r.section(e.sub, indent+"  ", hide)
		case e.secret() != nil:
			r.key(indent, e.key+"_file", e.example, true)
			r.key(indent, e.key, "${"+strings.ToUpper(e.key)+"}", true)
		case e.def != "":
			r.key(indent, e.key, yamlText(e.def), off)
		default:
			r.key(indent, e.key, e.example, off || !e.required)
		}
	}
}

// dash turns the first key of a section into the beginning of a list's item.
func (r *reference) dash(section []byte, indent string) {
	done := false
	for line := range strings.Lines(string(section)) {
		body := strings.TrimLeft(line, " ")
		if !done && body != "\n" && !strings.HasPrefix(body, "# ") {
			done = true
			at := len(indent) - 2
			if hidden, ok := strings.CutPrefix(body, "#"); ok {
				line = indent[:at] + "#- " + hidden
			} else {
				line = indent[:at] + "- " + body
			}
		}
		r.WriteString(line)
	}
}

func (r *reference) key(indent, key, value string, off bool) {
	r.WriteString(indent)
	if off {
		r.WriteString("#")
	}
	r.WriteString(strings.TrimRight(key+": "+value, " ") + "\n")
}

func (r *reference) comment(indent string, e *entry) {
	doc := e.doc
	if e.oneOf != nil && slices.ContainsFunc(e.oneOf, func(w string) bool { return !strings.Contains(doc, w) }) {
		doc += " One of " + choice(e.oneOf) + "."
	}
	switch e.dst.(type) {
	case *int:
		doc += fmt.Sprintf(" From %d to %d.", e.min, e.max)
	case *time.Duration:
		doc += fmt.Sprintf(" From %s to %s.", durationText(time.Duration(e.min)), durationText(time.Duration(e.max)))
	}
	if e.required {
		doc += " Required."
	}
	line := indent + "#"
	for w := range strings.FieldsSeq(doc) {
		if len(line)+1+len(w) > 110 {
			r.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + w
	}
	r.WriteString(line + "\n")
}

// yamlText writes a default as YAML wants it, with quotes where it needs them.
func yamlText(s string) string {
	var v yaml.Node
	if err := yaml.Unmarshal([]byte("a: "+s+"\n"), &v); err == nil && v.Content[0].Content[1].Kind == yaml.ScalarNode {
		return s
	}
	return "'" + s + "'"
}
