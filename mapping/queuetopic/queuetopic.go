// Package queuetopic makes the name of a stream's topic in the queue behind the proxies from a template, as the
// Manager's settings of a group and its streams do.
//
// The package serves this module's own packages and promises no stable API.
package queuetopic

import (
	"regexp"
	"strings"
)

// Template is a name in which {group} and {stream} stand for a group and a stream: {group}.{stream}.
type Template string

var placeholder = regexp.MustCompile(`\{[^{}]*\}|[{}]`)

// Fill returns the name for one stream. It replaces the placeholders once: braces in a group or a stream are kept.
func (t Template) Fill(group, stream string) string {
	return strings.NewReplacer("{group}", group, "{stream}", stream).Replace(string(t))
}

// Unknown returns the first placeholder that is neither {group} nor {stream}, or the first brace without its partner,
// "" if there is neither.
func (t Template) Unknown() string {
	for _, p := range placeholder.FindAllString(string(t), -1) {
		if p != "{group}" && p != "{stream}" {
			return p
		}
	}
	return ""
}

// Plain returns the template without its placeholders: the text that is the same for all streams.
func (t Template) Plain() string { return placeholder.ReplaceAllString(string(t), "") }

// Expr returns the template as a regular expression, in which the expressions group and stream stand for the
// placeholders.
func (t Template) Expr(group, stream string) string {
	return strings.NewReplacer(`\{group\}`, "(?:"+group+")", `\{stream\}`, "(?:"+stream+")").Replace(regexp.QuoteMeta(string(t)))
}
