// Package yamlnode reads trees of gopkg.in/yaml.v3: it says in words what a node is, and walks the keys of a section.
// Whoever reads a configuration knows lines, so that a mistake is reported where it stands.
//
// The package serves this module's own packages and promises no stable API.
package yamlnode

import "gopkg.in/yaml.v3"

// Resolve follows aliases, and a document node to its content. It returns nil where there is no node. yaml.v3 refuses
// an alias that holds itself.
func Resolve(n *yaml.Node) *yaml.Node {
	for n != nil {
		switch {
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case n.Kind == yaml.DocumentNode && len(n.Content) == 1:
			n = n.Content[0]
		default:
			return n
		}
	}
	return nil
}

// Null reports whether n is a key's missing value, or a null that somebody wrote.
func Null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// Kind says in words what n is. It never shows a value, which may be a secret.
func Kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		if len(n.Content) == 0 {
			return "an empty list"
		}
		return "a list"
	case yaml.ScalarNode:
		if Null(n) || n.Value == "" {
			return "empty"
		}
		return "a single value"
	}
	return "something else"
}

// Section calls found for each key of a mapping with its value, in the order of the file. A key that is given again
// goes to twice instead, with the line of the first. Values come resolved.
func Section(n *yaml.Node, found func(key, value *yaml.Node), twice func(key *yaml.Node, first int)) {
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if first, again := lines[k.Value]; again && k.Kind == yaml.ScalarNode {
			twice(k, first)
			continue
		}
		if k.Kind == yaml.ScalarNode {
			lines[k.Value] = k.Line
		}
		found(k, Resolve(n.Content[i+1]))
	}
}
