package mapping

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxTopicName is Kafka's own bound.
const maxTopicName = 249

// Kafka's own topics. An expression such as '.*' does not mean them.
var internalTopics = []string{"__consumer_offsets", "__transaction_state"}

// pattern is a topic's name, or an expression that matches whole names.
type pattern struct {
	source string
	re     *regexp.Regexp // nil for a name
	line   int
}

func (p *pattern) matches(topic string) bool {
	if p.re == nil {
		return p.source == topic
	}
	return p.re.MatchString(topic) && !slices.Contains(internalTopics, topic)
}

// everything reports whether p matches any name, so that nothing gets past it.
func (p *pattern) everything() bool {
	return p.re != nil && (p.source == ".*" || p.source == ".+")
}

// captureIndex returns the number of the capture of that name or number, or -1.
func (p *pattern) captureIndex(name string) int {
	if p.re == nil {
		return -1
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		return p.re.SubexpIndex(name)
	}
	if n < 1 || n > p.re.NumSubexp() {
		return -1
	}
	return n
}

// looksLikeRegex reports whether s holds a character by which it must be an expression.
func looksLikeRegex(s string) bool { return strings.ContainsAny(s, `\*+?()[]{}|^$`) }

// badTopicName returns why no Kafka topic can have that name, or "".
func badTopicName(s string) string {
	switch {
	case s == "":
		return "is empty"
	case s == "." || s == "..":
		return "no Kafka topic may have this name"
	case len(s) > maxTopicName:
		return "is longer than the 249 characters of a topic's name"
	}
	for _, r := range s {
		if r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') {
			return strconv.QuoteRune(r) + " cannot stand in a topic's name"
		}
	}
	return ""
}

type onUnmatched uint8

const (
	unmatchedError onUnmatched = iota
	unmatchedSkip
	unmatchedDefault
)

type rule struct {
	number           int // from 1
	line             int
	topics, excludes []pattern
	group, stream    template
	unmatched        onUnmatched
	fallback         Target // with unmatchedDefault
}

// match returns the pattern by which the rule takes a topic, or why it does not.
func (r *rule) match(topic string) (p *pattern, why string) {
	for i := range r.topics {
		if !r.topics[i].matches(topic) {
			continue
		}
		for j := range r.excludes {
			if r.excludes[j].matches(topic) {
				return nil, "excluded by " + strconv.Quote(r.excludes[j].source)
			}
		}
		return &r.topics[i], ""
	}
	return nil, "topics " + quoteList(sources(r.topics)) + " do not match"
}

// onlyNames reports whether the rule's topics are plain names.
func (r *rule) onlyNames() bool {
	return !slices.ContainsFunc(r.topics, func(p pattern) bool { return p.re != nil })
}

func sources(ps []pattern) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.source)
	}
	return out
}

// quoteList shows at most four values.
func quoteList(values []string) string {
	var b strings.Builder
	for i, v := range values {
		if i == 4 {
			b.WriteString(", ...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(v))
	}
	return b.String()
}

// Rule describes one rule for people and status pages.
type Rule struct {
	Number    int      `json:"rule"` // from 1, in the order of the file
	Line      int      `json:"line"`
	Topics    []string `json:"topics"`
	Exclude   []string `json:"exclude,omitempty"`
	Group     string   `json:"group"`
	Stream    string   `json:"stream"`
	Unmatched string   `json:"unmatched"` // error, skip, or group.stream of the default route
}

// Rules returns the rules in the order in which they are tried.
func (t *Table) Rules() []Rule {
	var out []Rule
	for _, r := range t.rules {
		unmatched := "error"
		switch r.unmatched {
		case unmatchedSkip:
			unmatched = "skip"
		case unmatchedDefault:
			unmatched = r.fallback.String()
		}
		out = append(out, Rule{
			Number: r.number, Line: r.line,
			Topics: sources(r.topics), Exclude: sources(r.excludes),
			Group: r.group.String(), Stream: r.stream.String(),
			Unmatched: unmatched,
		})
	}
	return out
}
