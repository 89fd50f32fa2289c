package confirm

import (
	"regexp"
	"strings"
)

var placeholder = regexp.MustCompile(`\{[^{}]*\}|[{}]`)

// BadPlaceholders returns what stands in braces in a template and is neither {group} nor {stream}.
func BadPlaceholders(template string) (bad []string) {
	for _, p := range placeholder.FindAllString(template, -1) {
		if p != "{group}" && p != "{stream}" {
			bad = append(bad, p)
		}
	}
	return bad
}

// Fill fills in a template over {group} and {stream}.
func Fill(template, group, stream string) string {
	return strings.NewReplacer("{group}", group, "{stream}", stream).Replace(template)
}
