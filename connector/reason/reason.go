// Package reason names why something does not go on. A cause has one code, wherever it shows: in a partition's
// condition, in /status and /readyz, in the log, in the metrics and in the alerts.
//
// The package is pure: it has no clock and does no I/O. Times are handed in.
package reason

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Scope says what a reason is about.
type Scope string

// The scopes, widest first.
const (
	Process      Scope = "process"
	Group        Scope = "group"
	QueueCluster Scope = "queue_cluster"
	Proxy        Scope = "proxy"
	Stream       Scope = "stream"
	Partition    Scope = "partition"
)

var scopes = []Scope{Process, Group, QueueCluster, Proxy, Stream, Partition}

// Key identifies a reason: one object has each code at most once.
type Key struct {
	Code   Code   `json:"code"`
	Scope  Scope  `json:"scope"`
	Object string `json:"object,omitempty"` // name of the cluster, proxy, stream (group/stream) or partition (topic/number)
}

// Reason is one cause that keeps one object from going on.
type Reason struct {
	Key
	Since    time.Time `json:"since"`
	Sentence string    `json:"sentence"`           // says what is wrong, with names and figures
	Hint     string    `json:"hint,omitempty"`     // says what to do
	Terminal bool      `json:"terminal,omitempty"` // it never ends by itself within this assignment
	Offset   int64     `json:"offset"`             // of the first record that is not delivered because of it, -1 if unknown or none
}

// Text is the sentence with its hint.
func (r *Reason) Text() string {
	if r.Hint == "" {
		return r.Sentence
	}
	return r.Sentence + hintMark + r.Hint
}

// Compare orders reasons: the wider scope first, then code and object.
func Compare(a, b Reason) int {
	return cmp.Or(
		cmp.Compare(slices.Index(scopes, a.Scope), slices.Index(scopes, b.Scope)),
		cmp.Compare(a.Code, b.Code), cmp.Compare(a.Object, b.Object))
}

const hintMark = "; hint: "

// cutHint parts a text from its hint, which stands at its end, also in parentheses where the text was wrapped.
func cutHint(text string) (sentence, hint string) {
	if sentence, hint, ok := strings.Cut(text, hintMark); ok {
		return sentence, hint
	}
	if sentence, hint, ok := strings.Cut(text, " (hint: "); ok {
		return sentence, strings.TrimSuffix(hint, ")")
	}
	return text, ""
}
