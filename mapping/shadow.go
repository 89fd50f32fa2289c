package mapping

// findShadowed reports what can never be reached: names and expressions that an earlier rule, or the
// rule's own exclude, takes. It sees what can be proved without comparing languages: plain names against
// everything, the same expression again, and anything behind '.*'.
func (p *parser) findShadowed(rules []*rule) {
	for i, r := range rules {
		p.rule = r.number
		for j := range r.topics {
			pat := &r.topics[j]
			switch by := takenBy(rules[:i], pat); {
			case by != nil:
				p.problem(pat.line, "topic %q never gets here: rule %d (line %d) takes it first; put the narrower rule first, or remove one",
					clip(pat.source), by.number, by.line)
			case r.excludesAll(pat):
				p.problem(pat.line, "topic %q never gets here: the rule's own exclude takes it out", clip(pat.source))
			}
		}
	}
	p.rule = 0
}

// takenBy returns the earlier rule that takes all that pat means.
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
