package mapping

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxTopicName is Kafka's limit.
const maxTopicName = 249

// internalTopic says why an expression such as '.*' does not apply to a topic, "" for any other topic. A rule that gives
// the exact name of an internal topic still takes it.
func internalTopic(topic string) string {
	switch {
	case strings.HasPrefix(topic, "__"):
		return "topics that begin with __ belong to Kafka and its tools"
	case topic == "_schemas":
		return "_schemas belongs to the schema registry"
	case topic == "connect-configs", topic == "connect-offsets", topic == "connect-status":
		return topic + " belongs to Kafka Connect"
	case strings.HasSuffix(topic, ".internal"):
		return "topics that end in .internal belong to MirrorMaker and other tools"
	}
	return ""
}

// pattern is a topic's name, or an expression that matches whole names.
type pattern struct {
	source string
	re     *regexp.Regexp // nil for a name
	line   int
}

// covers reports whether p matches topic, even an internal one. Excludes use it.
func (p *pattern) covers(topic string) bool {
	if p.re == nil {
		return p.source == topic
	}
	return p.re.MatchString(topic)
}

// takes reports whether p, as one of a rule's topics, applies to topic.
func (p *pattern) takes(topic string) bool {
	return p.covers(topic) && (p.re == nil || internalTopic(topic) == "")
}

// everything reports whether p matches every name.
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

// looksLikeRegex reports whether s contains a character that makes it an expression.
func looksLikeRegex(s string) bool { return strings.ContainsAny(s, `\*+?()[]{}|^$`) }

// BadTopicName says why no Kafka topic can have that name, or returns "".
func BadTopicName(s string) string {
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
			return strconv.QuoteRune(r) + " is not allowed in a topic's name"
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
	onError          policies
	content          *Content
	attrs            []Attr
}

// match returns the pattern by which the rule takes a topic, or the reason why it does not.
func (r *rule) match(topic string) (p *pattern, why string) {
	internal := ""
	for i := range r.topics {
		p := &r.topics[i]
		if !p.takes(topic) {
			if p.covers(topic) && internal == "" {
				internal = fmt.Sprintf("expression %q does not apply to it: %s", p.source, internalTopic(topic))
			}
			continue
		}
		if by := r.excludedBy(topic); by != "" {
			return nil, by
		}
		return p, ""
	}
	if internal != "" {
		return nil, cmp.Or(r.excludedBy(topic), internal)
	}
	return nil, "topics " + quoteList(sources(r.topics)) + " do not match"
}

// excludedBy names the exclude that removes a topic from the rule, "" if none does.
func (r *rule) excludedBy(topic string) string {
	for i := range r.excludes {
		if r.excludes[i].covers(topic) {
			return "excluded by " + strconv.Quote(r.excludes[i].source)
		}
	}
	return ""
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
	Unmatched string   `json:"unmatched"`          // error, skip, or group.stream of the default route
	OnError   string   `json:"on_error,omitempty"` // "" for stop; else a word for all classes, or a list of class: word
	Travels   string   `json:"travels,omitempty"`  // besides the value, in words
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
			Unmatched: unmatched, OnError: r.onErrorText(),
			Travels: r.travels(),
		})
	}
	return out
}
