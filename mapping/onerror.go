package mapping

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping/yamlnode"
)

// Class is why a record cannot be delivered.
type Class uint8

const (
	ClassUnrouted    Class = iota // a template gives no id for it
	ClassTooLarge                 // it fits no frame
	ClassRefused                  // the proxies refuse it for good
	ClassPoison                   // proxies end the connection on which it comes
	ClassUndecodable              // it lies in a batch that cannot be read
	ClassTombstone                // its value is null or empty; tombstone decides, not on_error
)

// Classes is how many classes there are.
const Classes = int(ClassTombstone) + 1

var classNames = [Classes]string{"unrouted", "too_large", "refused", "poison", "undecodable", "tombstone"}

// errorClasses are the classes about which on_error decides.
var errorClasses = classNames[:ClassTombstone]

// String returns the class as the configuration names it.
func (c Class) String() string {
	if int(c) < Classes {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// Policy says what becomes of a record that cannot be delivered.
type Policy uint8

const (
	PolicyStop       Policy = iota // its partition stops
	PolicySkip                     // it is passed over and counted
	PolicyDeadLetter               // it goes to the dead-letter topic
)

var policyNames = []string{"stop", "skip", "dead_letter"}

// String returns the policy as the configuration names it.
func (v Policy) String() string {
	if int(v) < len(policyNames) {
		return policyNames[v]
	}
	return fmt.Sprintf("policy(%d)", uint8(v))
}

// policies is a rule's on_error, and what its tombstone says.
type policies [Classes]Policy

// String is "" where everything stops the partition.
func (p *policies) String() string {
	onError := p[:len(errorClasses)]
	if !slices.ContainsFunc(onError, func(v Policy) bool { return v != p[0] }) {
		if p[0] == PolicyStop {
			return ""
		}
		return p[0].String()
	}
	parts := make([]string, len(onError))
	for c, v := range onError {
		parts[c] = Class(c).String() + ": " + v.String()
	}
	return strings.Join(parts, ", ")
}

// onErrorText is the rule's on_error. Where unmatched decides about records without a valid id, it says nothing of them.
func (r *rule) onErrorText() string {
	text := r.onError.String()
	if r.unmatched != unmatchedError {
		text = strings.TrimPrefix(text, ClassUnrouted.String()+": "+PolicyStop.String()+", ")
	}
	return text
}

// OnError returns what becomes of a record of the topic that cannot be delivered. Where no rule matches, the partition stops.
func (t *Topic) OnError(c Class) Policy {
	if t.rule == nil || int(c) >= Classes {
		return PolicyStop
	}
	return t.rule.onError[c]
}

// AlwaysStops reports whether no record of the topic is ever skipped, or becomes a dead letter, because it cannot be delivered.
func (t *Topic) AlwaysStops() bool { return t.rule == nil || t.rule.onError == policies{} }

// DeadLetters reports whether any rule may send a record to the dead-letter topic.
func (t *Table) DeadLetters() bool { return slices.ContainsFunc(t.rules, (*rule).deadLetters) }

func (r *rule) deadLetters() bool { return slices.Contains(r.onError[:], PolicyDeadLetter) }

// onError reads a rule's on_error: one word for all classes, or a section with a word for some.
func (p *parser) onError(n, unmatched *yaml.Node, r *rule) {
	beside := func(line int, what string) {
		if unmatched != nil {
			p.problem(line, "%s is given beside unmatched in line %d, and both say what becomes of a record without a valid id: remove one of them", what, unmatched.Line)
		}
	}
	if n.Kind != yaml.MappingNode {
		beside(n.Line, "on_error for all classes, and so for unrouted,")
		v := p.policy(n, "on_error", ", or a section with "+strings.Join(errorClasses, ", "))
		for c := range errorClasses {
			r.onError[c] = v
		}
		return
	}
	if len(n.Content) == 0 {
		p.problem(n.Line, "on_error is an empty section: add classes to it, or leave it out")
	}
	p.section(n, "on_error", errorClasses, func(key string, v *yaml.Node) {
		if key == ClassUnrouted.String() {
			beside(v.Line, "on_error: unrouted")
		}
		r.onError[slices.Index(errorClasses, key)] = p.policy(v, "on_error: "+key, "")
	})
}

// policy reads one word.
func (p *parser) policy(n *yaml.Node, key, or string) Policy {
	if n.Kind == yaml.ScalarNode {
		if i := slices.Index(policyNames, n.Value); i >= 0 {
			return Policy(i)
		}
	}
	hint := ""
	if n.Kind == yaml.ScalarNode && !yamlnode.Null(n) {
		hint = didYouMean(n.Value, policyNames)
	}
	p.problem(n.Line, "%s is %s: want stop, skip or dead_letter%s%s", key, kindName(n), or, hint)
	return PolicyStop
}
