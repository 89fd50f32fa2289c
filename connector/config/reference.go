package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Reference is deploy/config/reference.yaml: every key with its default and meaning. A key that has
// no default and is not needed stands behind a # without a blank; with the # taken out it is a key of
// the file.
func Reference() []byte {
	r := reference{}
	r.WriteString(`# Every key of the configuration of inlong-bridge, with its default and meaning.
#
# Only kafka, inlong and routes are needed. Keys behind a # without a blank have no default or belong to
# a section that may be left out; where there is no default, the value is an example.
# Unknown keys are errors. Values may hold the environment's variables: ${VAR}, ${VAR:-default} and
# ${VAR:?message}; $$ is a dollar. A secret is given itself or as *_file, and the file is read again when
# it changes. A relative path starts from the working directory.
# Durations: 500ms, 10s, 5m. Sizes: 256KiB, 32MiB, 1GiB. A list may also be one text with commas;
# addresses and URLs may stand with blanks or semicolons between them, too. Names and ids have no white space
# at their ends, and secrets lose a line end at theirs.
#
# This file is made from connector/config/schema.go; go test ./connector/config -update writes it.
`)
	r.section(new(Config).schema(), "", false)
	return r.Bytes()
}

// routesReference speaks for package mapping, which reads the rules.
const routesReference = `routes:
  # topics and exclude: a name, a regular expression that matches whole names, or a list of these.
  # Expressions leave out internal topics (__*, *.internal, _schemas, Connect's own) and what the bridge itself writes.
  # group and stream: an id, or a template over {topic}, {key}, {header:name} and the captures {name}, {1}.
  # unmatched: what to do with a record whose template gives no id: error (default; its partition stops),
  # skip, or a fixed {group: ..., stream: ...}.
  - {topics: [orders], group: shop, stream: orders}
  #- {topics: 'logs\.(?P<app>[a-z]+)', exclude: ['logs\.test'], group: logs, stream: '{app}'}
  #- {topics: [events], group: events, stream: '{header:type}', unmatched: skip}
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
		doc += " Needed."
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
