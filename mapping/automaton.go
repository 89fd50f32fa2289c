package mapping

import (
	"regexp/syntax"
	"slices"
)

// topicChars are the characters that may occur in the name of a Kafka topic, the usual ones first.
const topicChars = "abcdefghijklmnopqrstuvwxyz.-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// automaton follows an expression one character at a time. It takes word boundaries to match everywhere.
type automaton struct{ prog *syntax.Prog }

// states are the instructions that wait for a character, or for the end, sorted.
type states []uint32

// newAutomaton returns nil for an expression that cannot be compiled. It matches nothing.
func newAutomaton(expr string) *automaton {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	return &automaton{prog}
}

func (a *automaton) start() states {
	if a == nil {
		return nil
	}
	return a.close(nil, uint32(a.prog.Start), true, false)
}

// next returns the states that follow a character.
func (a *automaton) next(from states, c rune) states {
	var to states
	for _, pc := range from {
		switch in := &a.prog.Inst[pc]; in.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if in.MatchRune(c) {
				to = a.close(to, in.Out, false, false)
			}
		}
	}
	slices.Sort(to)
	return to
}

// accepts reports whether the characters read so far are a whole match.
func (a *automaton) accepts(at states) bool {
	return slices.ContainsFunc(at, func(pc uint32) bool {
		return slices.ContainsFunc(a.close(nil, pc, false, true), func(pc uint32) bool { return a.prog.Inst[pc].Op == syntax.InstMatch })
	})
}

// close adds the states that are reached from pc without a character.
func (a *automaton) close(to states, pc uint32, begin, end bool) states {
	in := &a.prog.Inst[pc]
	if slices.Contains(to, pc) {
		return to
	}
	to = append(to, pc)
	switch in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		to = a.close(a.close(to, in.Out, begin, end), in.Arg, begin, end)
	case syntax.InstCapture, syntax.InstNop:
		to = a.close(to, in.Out, begin, end)
	case syntax.InstEmptyWidth:
		switch need := syntax.EmptyOp(in.Arg); {
		case need&(syntax.EmptyBeginLine|syntax.EmptyBeginText) != 0 && !begin:
		case need&(syntax.EmptyEndLine|syntax.EmptyEndText) != 0 && !end:
		default:
			to = a.close(to, in.Out, begin, end)
		}
	}
	return to
}

// common returns the shortest topic name that a and b match and that none of without matches. It returns "" if there
// is none, or if steps, which all searches share, run out before it is found.
func common(a, b *automaton, without []*automaton, steps *int) string {
	if a == nil || b == nil {
		return ""
	}
	type node struct {
		at   []states // of a, b, and each of without
		name string
	}
	all := append([]*automaton{a, b}, without...)
	first := node{}
	for _, m := range all {
		first.at = append(first.at, m.start())
	}
	seen := map[string]bool{}
	for queue := []node{first}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		if n.name != "" && internalTopic(n.name) == "" && a.accepts(n.at[0]) && b.accepts(n.at[1]) && !excluded(without, n.at[2:]) {
			return n.name
		}
		if len(n.name) == maxTopicName {
			continue
		}
		for _, c := range topicChars {
			to := node{name: n.name + string(c)}
			for i, m := range all {
				if *steps -= 1 + len(n.at[i]); *steps < 0 {
					return ""
				}
				next := states(nil)
				if m != nil {
					next = m.next(n.at[i], c)
				}
				to.at = append(to.at, next)
				if i < 2 && len(next) == 0 {
					break
				}
			}
			if len(to.at) < len(all) {
				continue
			}
			if key := keyOf(to.at); !seen[key] {
				seen[key] = true
				queue = append(queue, to)
			}
		}
	}
	return ""
}

func excluded(without []*automaton, at []states) bool {
	for i, m := range without {
		if m != nil && m.accepts(at[i]) {
			return true
		}
	}
	return false
}

// keyOf names a tuple of states.
func keyOf(at []states) string {
	var key []byte
	for _, set := range at {
		for _, pc := range set {
			key = append(key, byte(pc), byte(pc>>8), byte(pc>>16), byte(pc>>24))
		}
		key = append(key, 0xff, 0xff, 0xff, 0xff)
	}
	return string(key)
}
