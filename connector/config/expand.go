package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxNodes limits how many values aliases may make of a file.
const maxNodes = 100_000

// reported is the tag of a value that could not be read. The reason was reported, and later checks skip the value.
const reported = "!reported"

// expander copies a tree of nodes: aliases become copies of what they name, and scalar values get the
// variables of the environment. Whoever reads the copy meets mappings, sequences and scalars only.
type expander struct {
	env    func(string) (string, bool)
	report func(line int, key, message string)
	nodes  int
	open   map[*yaml.Node]bool // aliases being copied, against circles
}

func (x *expander) copy(n *yaml.Node, key string) *yaml.Node {
	wrong := &yaml.Node{Kind: yaml.ScalarNode, Tag: reported, Line: n.Line}
	if x.nodes++; x.nodes > maxNodes {
		if x.nodes == maxNodes+1 {
			x.report(n.Line, key, fmt.Sprintf("aliases make more than %d values of the file; write it without them", maxNodes))
		}
		return wrong
	}
	switch n.Kind {
	case yaml.AliasNode:
		if x.open[n.Alias] {
			x.report(n.Line, key, "alias *"+n.Value+" refers to a value that contains it; write the value itself")
			return wrong
		}
		x.open[n.Alias] = true
		defer delete(x.open, n.Alias)
		return x.copy(n.Alias, key)
	case yaml.MappingNode:
		c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style, Line: n.Line, Column: n.Column}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind == yaml.AliasNode {
				k = k.Alias
			}
			if k.Kind != yaml.ScalarNode {
				x.report(k.Line, key, "a key is not a single word; write key: value")
				continue
			}
			if k.Tag == "!!merge" {
				x.report(k.Line, key, "merging with << is not supported; write the keys themselves")
				continue
			}
			v := x.copy(n.Content[i+1], join(key, k.Value))
			name := *k
			name.Line = n.Content[i].Line
			c.Content = append(c.Content, &name, v)
		}
		return c
	case yaml.SequenceNode:
		c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Style: n.Style, Line: n.Line, Column: n.Column}
		for i, e := range n.Content {
			c.Content = append(c.Content, x.copy(e, fmt.Sprintf("%s[%d]", key, i)))
		}
		return c
	}
	c := *n
	c.Anchor = ""
	if strings.Contains(c.Value, "$") {
		value, messages := expandEnv(c.Value, x.env)
		for _, m := range messages {
			x.report(n.Line, key, m)
		}
		if len(messages) > 0 {
			return wrong
		}
		c.Value, c.Tag = value, "!!str"
	}
	return &c
}

// expandEnv replaces ${VAR}, ${VAR:-default} and ${VAR:?message}, and $$ by a dollar. As in a shell,
// :- and :? also apply to a variable that is set but empty. Any other dollar stands for itself, so that a
// regular expression may end with one. The value of a variable is not expanded again.
func expandEnv(s string, env func(string) (string, bool)) (_ string, wrong []string) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String(), wrong
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch s[1] {
		case '$':
			b.WriteByte('$')
			s = s[2:]
			continue
		case '{':
		default:
			b.WriteByte('$')
			s = s[1:]
			continue
		}
		end := closing(s)
		if end < 0 {
			return "", append(wrong, "${ without }; write ${VAR}, or $$ for a dollar")
		}
		name, rest, more := strings.Cut(s[2:end], ":")
		s = s[end+1:]
		if !variable(name) || more && rest == "" {
			wrong = append(wrong, fmt.Sprintf("${%s...} does not name a variable; write ${VAR}, ${VAR:-default} or ${VAR:?message}, or $$ for a dollar", name))
			continue
		}
		value, set := env(name)
		switch {
		case rest == "" && set:
			b.WriteString(value)
		case rest == "":
			wrong = append(wrong, fmt.Sprintf("variable %s is not set; set it, or give a default: ${%s:-...}", name, name))
		case rest[0] == '-' && value != "":
			b.WriteString(value)
		case rest[0] == '-':
			b.WriteString(rest[1:])
		case rest[0] == '?' && value != "":
			b.WriteString(value)
		case rest[0] == '?' && rest != "?":
			wrong = append(wrong, fmt.Sprintf("variable %s is not set: %s", name, rest[1:]))
		case rest[0] == '?':
			wrong = append(wrong, fmt.Sprintf("variable %s is not set; set it", name))
		default:
			wrong = append(wrong, fmt.Sprintf("${%s:%s} is not known; write ${%s:-default} or ${%s:?message}", name, rest, name, name))
		}
	}
}

// closing finds the brace that closes the one at s[1]; a default may hold pairs of braces itself.
func closing(s string) int {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// escapeEnv is the inverse of expandEnv.
func escapeEnv(s string) string {
	return strings.ReplaceAll(s, "$", "$$")
}

func variable(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
