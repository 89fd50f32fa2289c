// Package mapping decides which InLong (group, stream) a Kafka record belongs to.
package mapping

import "errors"

// Target is a (group, stream) pair whose ids DataProxy accepts.
type Target struct{ Group, Stream string }

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Table is a compiled, immutable list of rules; it is safe to share.
type Table struct{}

// Topic is the table's view of one topic: look it up once and keep it.
type Topic struct {
	// Fixed is set when the route depends on nothing but the topic.
	Fixed *Target
}

// Verdict of a record's look-up.
type Verdict uint8

const (
	Routed Verdict = iota + 1
	Skip           // no rule matches and policy says skip
	Fail           // no rule matches, or a template gave an id that DataProxy would refuse; policy says stop
)

// Wants reports whether any rule may match the topic; a topic that is not wanted is not consumed.
func (t *Table) Wants(topic string) bool { return false }

// ForTopic compiles the rules for one topic.
func (t *Table) ForTopic(topic string) *Topic { return nil }

// Route looks a record up. It allocates nothing when the same target was routed before (targets are
// interned). err says, for Fail, what is wrong, where, and what to do.
func (t *Topic) Route(key []byte, headers func() []Header) (Target, Verdict, error) {
	return Target{}, Fail, errors.ErrUnsupported
}
