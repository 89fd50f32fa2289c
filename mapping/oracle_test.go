package mapping_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"inlong-bridge/mapping"
	"inlong-bridge/sdk/dptest/seeds"
)

// oracleRule is a rule as the oracle sees it: strings only, compiled anew for each record.
type oracleRule struct {
	topics, exclude []string
	group, stream   string
	unmatched       string // error, skip, or group.stream
}

func (r *oracleRule) yaml() string {
	list := func(values []string) string {
		var quoted []string
		for _, v := range values {
			quoted = append(quoted, "'"+v+"'")
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	s := fmt.Sprintf("- {topics: %s, group: '%s', stream: '%s'", list(r.topics), r.group, r.stream)
	if len(r.exclude) > 0 {
		s += ", exclude: " + list(r.exclude)
	}
	if group, stream, ok := strings.Cut(r.unmatched, "."); ok {
		return s + fmt.Sprintf(", unmatched: {group: %s, stream: %s}}\n", group, stream)
	}
	return s + ", unmatched: " + r.unmatched + "}\n"
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// oracleRoute tries one rule after the other, with nothing kept from one record to the next.
func oracleRoute(rules []oracleRule, topic string, key []byte, headers []mapping.Header) string {
	for _, r := range rules {
		captures := oracleMatch(r.topics, topic)
		if captures == nil || oracleMatch(r.exclude, topic) != nil {
			continue
		}
		ok := true
		fill := func(template string) string {
			id := placeholder.ReplaceAllStringFunc(template, func(p string) string {
				switch name := p[1 : len(p)-1]; {
				case name == "topic":
					return topic
				case name == "key":
					ok = ok && key != nil
					return string(key)
				case strings.HasPrefix(name, "header:"):
					found, value := false, ""
					for _, h := range headers {
						if h.Key == name[len("header:"):] {
							found, value = true, string(h.Value)
						}
					}
					ok = ok && found
					return value
				default:
					return captures[name]
				}
			})
			ok = ok && regexp.MustCompile(`\A[!-%'-<>-~]{1,256}\z`).MatchString(id)
			return id
		}
		group, stream := fill(r.group), fill(r.stream)
		switch {
		case ok:
			return group + "." + stream
		case r.unmatched == "error":
			return "fail"
		default:
			return r.unmatched
		}
	}
	return "fail"
}

// oracleMatch returns the captures of the first pattern that matches, or nil.
func oracleMatch(patterns []string, topic string) map[string]string {
	for _, p := range patterns {
		if !strings.ContainsAny(p, `\*+?()[]{}|^$`) {
			p = regexp.QuoteMeta(p)
		}
		re := regexp.MustCompile("^(?:" + p + ")$")
		if m := re.FindStringSubmatch(topic); m != nil {
			captures := make(map[string]string)
			for i, name := range re.SubexpNames() {
				captures[fmt.Sprint(i)] = m[i]
				if name != "" {
					captures[name] = m[i]
				}
			}
			return captures
		}
	}
	return nil
}

// TestRouteAgreesWithLinearSearch compares tables of random rules, each used for many records, with the
// oracle. Rules that shadow each other are refused by Parse and left out.
func TestRouteAgreesWithLinearSearch(t *testing.T) {
	seeds.Run(t, 1, 1, routeAgreesWithLinearSearch)
}

func routeAgreesWithLinearSearch(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	pick := func(values ...string) string { return values[rnd.IntN(len(values))] }
	topics := []string{"a", "b", "a.b", "axb", "ab", "a-1", "b-22", "c", "logs.web", "logs.db", "logs."}
	patterns := append([]string{`a.*`, `(?P<x>[a-z])-(\d+)`, `logs\.(?P<x>.*)`, `(?P<x>.)b?`, `.*`, `[ab]`, `logs\.(?P<x>web|db)`}, topics...)
	ids := []string{"g", "s", "{topic}", "{x}", "{1}", "{key}", "{header:h}", "p-{x}-{key}", "{header:h}{header:i}"}
	values := []string{"", "v", "w", "a b", "a&b", "x=y", "é", "\x00", strings.Repeat("l", 256), strings.Repeat("l", 257)}
	tables, outcomes := 0, make(map[string]int)
	for range 1000 {
		var rules []oracleRule
		var text strings.Builder
		for range 1 + rnd.IntN(4) {
			r := oracleRule{group: pick(ids...), stream: pick(ids...), unmatched: pick("error", "skip", "dead.letters")}
			for range 1 + rnd.IntN(2) {
				r.topics = append(r.topics, pick(patterns...))
			}
			for range rnd.IntN(2) {
				r.exclude = append(r.exclude, pick(patterns...))
			}
			rules = append(rules, r)
			text.WriteString(r.yaml())
		}
		table := tryParse(t, text.String())
		if table == nil {
			continue
		}
		tables++
		var targets []string
		for _, target := range table.Targets() {
			targets = append(targets, target.String())
		}
		for _, name := range topics {
			topic := table.ForTopic(name)
			for range 6 {
				var key []byte
				if rnd.IntN(4) > 0 {
					key = []byte(pick(values...))
				}
				var headers []mapping.Header
				for range rnd.IntN(4) {
					headers = append(headers, mapping.Header{Key: pick("h", "i"), Value: []byte(pick(values...))})
				}
				target, result, err := topic.Route(key, func() []mapping.Header { return headers })
				got, want := outcome(target, result), oracleRoute(rules, name, key, headers)
				if got != want {
					t.Fatalf("Route(%q, %q, %q) = %s (%v), want %s, with\n%s", name, key, headers, got, err, want, text.String())
				}
				e := table.Explain(name, key, headers)
				if outcome(e.Target, e.Result) != want {
					t.Fatalf("Explain(%q, %q, %q) = %s, want %s, with\n%s", name, key, headers, e, want, text.String())
				}
				if names, _ := table.Topics(); topic.Fixed != nil && slices.Contains(names, name) && !slices.Contains(targets, got) {
					t.Fatalf("Targets() = %q leaves out %s, with\n%s", targets, got, text.String())
				}
				if result == mapping.Routed && got != "dead.letters" {
					got = "routed"
				}
				outcomes[got]++
			}
		}
	}
	for _, kind := range []string{"routed", "skip", "fail", "dead.letters"} {
		if outcomes[kind] < 50 {
			t.Errorf("only %d look-ups of %v ended in %s: the rules are too tame", outcomes[kind], outcomes, kind)
		}
	}
	if tables < 80 { // some 150; fresh seeds differ
		t.Errorf("only %d random tables could be parsed", tables)
	}
}
