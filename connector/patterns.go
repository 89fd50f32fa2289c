package connector

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// notePatterns remembers the patterns of routes that match none of the cluster's topics, and warns when that list
// changes. Such a pattern is allowed, because its topics may still be created, but most often somebody wrote a file
// pattern: logs-* where logs-.* was meant. Routes with patterns list all topics of the cluster, so details is complete.
func (b *Bridge) notePatterns(details kadm.TopicDetails) {
	unmatched := b.cfg.Routes.Unmatched(details.Names())
	b.mu.Lock()
	changed := !slices.Equal(b.unmatched, unmatched)
	b.unmatched = unmatched
	b.mu.Unlock()
	switch {
	case changed && len(unmatched) > 0:
		b.log.Warn("patterns of routes match no topic", "patterns", unmatched,
			"hint", "a pattern is a regular expression that matches whole names: write logs-.*, not logs-*; topics that are created later are picked up")
	case changed:
		b.log.Info("every pattern of routes matches a topic now")
	}
}
