package connector

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// notePatterns remembers the patterns of routes that match none of the cluster's topics, and warns when they are
// others than before. A pattern that matches nothing is allowed, for topics that are still to come, and is most
// often one for files: logs-* where logs-.* was meant. Routes with patterns ask for all topics, so details has
// them all.
func (b *Bridge) notePatterns(details kadm.TopicDetails) {
	unmatched := b.cfg.Routes.Unmatched(details.Names())
	b.mu.Lock()
	changed := !slices.Equal(b.unmatched, unmatched)
	b.unmatched = unmatched
	b.mu.Unlock()
	switch {
	case changed && len(unmatched) > 0:
		b.log.Warn("patterns of routes match no topic", "patterns", unmatched,
			"hint", "a pattern is a regular expression that matches whole names: logs-.* and not logs-*; topics that come later are noticed")
	case changed:
		b.log.Info("every pattern of routes matches a topic now")
	}
}
