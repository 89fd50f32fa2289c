package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
	"inlong-bridge/mapping/suggest"
	"inlong-bridge/mapping/yamlnode"
)

// Load reads and checks the file at path with the environment of the process. The error is Problems
// when the file was read and is wrong.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("reading configuration %s: no such file; hint: name the configuration file with -c", path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("reading configuration %s: no permission to read it; hint: let the user of the bridge read it", path)
	case errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("reading configuration %s: it is a directory; hint: name a file in it with -c", path)
	case err != nil:
		return nil, fmt.Errorf("reading configuration: %w; hint: name a file that can be read with -c", err)
	}
	return Parse(path, data, os.LookupEnv)
}

// Parse reads and checks a configuration; name is used in messages. The error is Problems. The files
// that the configuration names (certificates, secrets) are read too.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	c := &Config{Path: name}
	setDefaults(c.schema())
	d := &decoder{file: name, lines: map[string]int{}, dead: map[string]bool{}}
	root := d.document(data)
	if root != nil {
		x := &expander{env: env, report: d.wrong, open: map[*yaml.Node]bool{}}
		d.section(x.copy(root, ""), "", c.schema(), c)
		c.settleDefaults()
		d.check(c)
		c.notes = d.notes
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

func setDefaults(entries []entry) {
	for i := range entries {
		e := &entries[i]
		switch {
		case e.sub != nil && !e.optional():
			setDefaults(e.sub)
		case e.dst != nil && e.def != "":
			if msg := e.set(e.def); msg != "" {
				panic("bug: default of " + e.key + ": " + msg)
			}
		}
	}
}

// settleDefaults sets the values that follow from other keys.
func (c *Config) settleDefaults() {
	c.Delivery.ConfirmGiven = c.Delivery.Confirm != ""
	if !c.Delivery.ConfirmGiven {
		c.Delivery.Confirm = "settle"
		if c.HasQueue() {
			c.Delivery.Confirm = "queue"
		}
	}
	for i := range c.Queue.Kafka {
		if q := &c.Queue.Kafka[i]; q.Name == "" && len(q.Brokers) > 0 {
			q.Name = q.Brokers[0]
		}
	}
	for i := range c.Queue.Pulsar {
		if q := &c.Queue.Pulsar[i]; q.Name == "" {
			q.Name = hostsOf(q.ServiceURL)
		}
	}
}

// decoder walks a file along the table of keys and collects the mistakes.
type decoder struct {
	file     string
	problems Problems
	lines    map[string]int  // of every key that was met, by path
	dead     map[string]bool // keys that were reported: checks of combinations skip them
	rules    mapping.Outline // of routes, also where they have mistakes
	notes    []string        // about settings that are allowed and may surprise
}

func (d *decoder) wrong(line int, key, message string) {
	d.dead[key] = true
	d.problems = append(d.problems, Problem{File: d.file, Line: max(line, 1), Key: key, Message: message})
}

func (d *decoder) note(line int, key, message string) {
	d.notes = append(d.notes, fmt.Sprintf("%s (line %d): %s", key, line, message))
}

var yamlLine = regexp.MustCompile(`line (\d+): `)

// document returns the root of the only document, or nil after a report.
func (d *decoder) document(data []byte) *yaml.Node {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark)) // YAML allows it
	if err := encodingError(data); err != nil {
		d.wrong(1, "", "the file "+err.Error())
		return nil
	}
	if !utf8.Valid(data) {
		at := 1 + bytes.Count(data[:invalidAt(data)], []byte("\n"))
		d.wrong(at, "", "not UTF-8 text; save the file as UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.wrong(1, "", "the file is empty; see deploy/config/examples for examples")
		return nil
	case err != nil:
		d.syntax(err, data)
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		d.wrong(more.Line, "", "a second document begins here; keep one, and remove the line ---")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err, data)
		return nil
	}
	if len(doc.Content) != 1 {
		d.wrong(1, "", "the file is empty; see deploy/config/examples for examples")
		return nil
	}
	return doc.Content[0]
}

// tabLine returns the first line that is indented with a tab, 0 for none. The YAML parser's own message is vague, and
// names the line before.
func tabLine(data []byte) int {
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := bytes.TrimLeft(line, " ")
		if len(text) > 0 && text[0] == '\t' && len(bytes.TrimSpace(text)) > 0 {
			return n
		}
	}
	return 0
}

func (d *decoder) syntax(err error, data []byte) {
	if line := tabLine(data); line > 0 {
		d.wrong(line, "", "not YAML: the line is indented with a tab; use spaces")
		return
	}
	msg, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlLine.FindStringSubmatchIndex(msg); m != nil {
		if n, err := strconv.Atoi(msg[m[2]:m[3]]); err == nil {
			line = n
		}
		msg = msg[:m[0]] + msg[m[1]:]
	}
	d.wrong(line, "", "not YAML: "+msg+"; check the indentation and quotes near this line: a text that begins with a brace or a colon needs quotes")
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}

// section reads a mapping along its entries.
func (d *decoder) section(n *yaml.Node, path string, entries []entry, c *Config) {
	if n.Tag == reported {
		return
	}
	if yamlnode.Null(n) {
		n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line}
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n.Line, path, "is "+yamlnode.Kind(n)+"; write keys and values here: "+strings.Join(names(entries), ", "))
		return
	}
	refused := false
	yamlnode.Section(n, func(k, v *yaml.Node) {
		if !d.key(k, v, path, entries, c) {
			refused = true
		}
	}, func(k *yaml.Node, first int) {
		d.wrong(k.Line, join(path, k.Value), fmt.Sprintf("given twice, first in line %d", first))
	})
	for i := range entries {
		e := &entries[i]
		if _, given := d.lines[join(path, e.key)]; e.required && !given && !refused {
			d.wrong(n.Line, join(path, e.key), "missing; "+missingHint(e))
		}
	}
}

// key reads one key of a section. It returns false for a key that is refused, and says what takes its place.
func (d *decoder) key(k, v *yaml.Node, path string, entries []entry, c *Config) bool {
	at := join(path, k.Value)
	d.lines[at] = k.Line
	e, file := find(entries, k.Value)
	switch {
	case e == nil:
		d.wrong(k.Line, at, "unknown key; "+unknownHint(k.Value, path, entries))
		if guess := suggest.Closest(k.Value, names(entries)); guess != "" {
			// One mistake, one message: the key that was meant is not reported as missing too.
			d.lines[join(path, guess)], d.dead[join(path, guess)] = k.Line, true
		}
	case e.refuse != "":
		d.wrong(k.Line, at, e.refuse)
		return false
	case e.routes:
		d.routes(v, at, c)
	case e.each != nil:
		d.sections(v, at, e, c)
	case e.sub != nil:
		if e.optional() {
			if yamlnode.Null(v) {
				d.wrong(k.Line, at, "the section is empty; add keys to it, or remove it")
				return true
			}
			setDefaults(e.sub)
			*e.present = true
		}
		d.section(v, at, e.sub, c)
	default:
		d.value(k, v, at, e, file)
	}
	return true
}

// sections reads a list of mappings.
func (d *decoder) sections(n *yaml.Node, path string, e *entry, c *Config) {
	if n.Tag == reported {
		return
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		d.wrong(n.Line, path, "is "+yamlnode.Kind(n)+"; write a list with one entry, behind a dash, per cluster")
		return
	}
	e.grow(len(n.Content))
	for i, item := range n.Content {
		entries := e.each(i)
		setDefaults(entries)
		at := fmt.Sprintf("%s[%d]", path, i)
		d.lines[at] = item.Line
		d.section(item, at, entries, c)
	}
}

// value reads a key that is not a section.
func (d *decoder) value(k, n *yaml.Node, path string, e *entry, file bool) {
	if n.Tag == reported {
		return
	}
	if yamlnode.Null(n) {
		d.wrong(k.Line, path, "has no value; add one, or remove the key")
		return
	}
	if list, ok := e.dst.(*[]string); ok && n.Kind == yaml.SequenceNode {
		*list = nil
		for _, item := range n.Content {
			if item.Tag == reported {
				return
			}
			if item.Kind != yaml.ScalarNode || yamlnode.Null(item) || item.Value == "" {
				d.wrong(item.Line, path, "holds "+yamlnode.Kind(item)+"; write a list of strings")
				return
			}
			if msg := unseenProblem(item.Value); msg != "" && e.clean == nil {
				d.wrong(item.Line, path, msg)
				return
			}
			*list = append(*list, item.Value)
		}
		if len(*list) == 0 {
			d.wrong(n.Line, path, "the list is empty; add at least one entry")
			return
		}
	} else if n.Kind != yaml.ScalarNode {
		hint := "; write one value"
		if n.Kind == yaml.MappingNode {
			hint = "; write one value, in quotes if it begins with a brace"
		}
		d.wrong(n.Line, path, "is "+yamlnode.Kind(n)+hint)
		return
	} else if s := e.secret(); s != nil {
		other := e.key
		if !file {
			other += "_file"
		}
		if s.Set() {
			d.wrong(k.Line, path, "given together with "+other+"; keep one of them")
			return
		}
		d.secret(k, n, path, s, file)
	} else if msg := e.set(n.Value); msg != "" {
		d.wrong(n.Line, path, msg)
		return
	} else if e.required && n.Value == "" {
		d.wrong(n.Line, path, "is empty; "+missingHint(e))
		return
	}
	note := ""
	if e.clean != nil {
		note = e.clean()
	} else if _, name := e.dst.(*string); name && quoted(n.Value) {
		note = "the value begins and ends with a quotation mark, and both count as part of the value; remove them if that is not intended"
	}
	if e.valid != nil {
		if msg := e.valid(); msg != "" {
			d.wrong(n.Line, path, msg)
			return
		}
	}
	if note != "" {
		d.note(n.Line, path, note)
	}
}

// quoted reports whether a text begins and ends with the same quotation mark. YAML and shells remove the marks; the
// env file of a container engine keeps them.
func quoted(s string) bool {
	return len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0]
}

// secret reads a secret, or the path of its file.
func (d *decoder) secret(k, n *yaml.Node, path string, s *Secret, file bool) {
	text := n.Value
	if !file {
		text = trimLineEnd(text)
	}
	if text == "" {
		d.wrong(k.Line, path, "is empty; give it a value, or remove the key")
		return
	}
	*s = NewSecret(text)
	if file {
		if msg := unseenProblem(text); msg != "" {
			d.wrong(n.Line, path, msg)
			return
		}
		*s = SecretFromFile(text)
		var err error
		if text, err = s.Value(); err != nil {
			d.wrong(n.Line, path, fileProblem(err))
			return
		}
	} else if err := encodingError([]byte(text)); err != nil {
		d.wrong(n.Line, path, err.Error())
		return
	}
	if quoted(text) {
		d.note(n.Line, path, "the secret begins and ends with a quotation mark, and both count as part of the secret; remove them if that is not intended")
	}
}
