package mapping

// findShadowed reports names and expressions that can never match, because an earlier rule takes them, or the rule's own
// exclude does. It finds cases that need no comparison of expressions: plain names, repeated expressions, and anything
// behind '.*'.
func (p *parser) findShadowed(rules []*rule) {
	for i, r := range rules {
		p.rule = r.number
		for j := range r.topics {
			pat := &r.topics[j]
			switch by := takenBy(rules[:i], pat); {
			case by != nil:
				p.problem(pat.line, "topic %q never reaches this rule: rule %d (line %d) takes it first; put the narrower rule first, or remove one",
					clip(pat.source), by.number, by.line)
			case r.excludesAll(pat):
				p.problem(pat.line, "topic %q never matches: the rule's own exclude removes it", clip(pat.source))
			}
		}
	}
	p.rule = 0
}

// takenBy returns the earlier rule that takes everything that pat matches.
func takenBy(earlier []*rule, pat *pattern) *rule {
	for _, r := range earlier {
		if pat.re == nil {
			if taken, _ := r.match(pat.source); taken != nil {
				return r
			}
			continue
		}
		if len(r.excludes) > 0 {
			continue
		}
		for i := range r.topics {
			if o := &r.topics[i]; o.everything() || o.re != nil && o.source == pat.source {
				return r
			}
		}
	}
	return nil
}

func (r *rule) excludesAll(pat *pattern) bool {
	for i := range r.excludes {
		switch o := &r.excludes[i]; {
		case pat.re == nil && o.covers(pat.source):
			return true
		case pat.re != nil && (o.everything() || o.re != nil && o.source == pat.source):
			return true
		}
	}
	return false
}
