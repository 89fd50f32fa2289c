package observe

import (
	"cmp"
	"slices"
)

// addLags fills what follows from the lag and the retention of single partitions.
func addLags(s *Status) {
	s.LagSeconds, s.RouteLag, s.Retention = -1, nil, nil
	routes := make(map[RouteStatus]float64)
	for i := range s.Parts {
		p := &s.Parts[i]
		s.LagSeconds = max(s.LagSeconds, p.LagSeconds)
		if r := p.Retention; r != nil && (s.Retention == nil || r.SecondsLeft < s.Retention.SecondsLeft) {
			s.Retention = r
		}
		if p.Oldest != nil && p.LagSeconds > 0 {
			routes[*p.Oldest] = max(routes[*p.Oldest], p.LagSeconds)
		}
	}
	for r, lag := range routes {
		s.RouteLag = append(s.RouteLag, RouteLag{r, lag})
	}
	slices.SortFunc(s.RouteLag, func(a, b RouteLag) int { return compareRoutes(a.RouteStatus, b.RouteStatus) })
}

func compareRoutes(a, b RouteStatus) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Stream, b.Stream))
}

// routeLags calls f with the lag of each route in use, as metrics show them: 0 where no partition waits, and routes whose
// series the sender folds are one.
func routeLags(s *Status, f func(group, stream string, seconds float64)) {
	folded, other := make(map[RouteStatus]bool), -1.0
	for i := range s.Sender.Streams {
		if st := &s.Sender.Streams[i]; st.Folded {
			folded[RouteStatus{Group: st.Group, Stream: st.Stream}] = true
		}
	}
	lags := make(map[RouteStatus]float64, len(s.RouteLag))
	for _, r := range s.RouteLag {
		lags[r.RouteStatus] = r.LagSeconds
	}
	for _, r := range s.Routes {
		if folded[r] || len(folded) > 0 && r == (RouteStatus{Group: "other", Stream: "other"}) { // which would be there twice
			other = max(other, lags[r])
		} else {
			f(r.Group, r.Stream, lags[r])
		}
	}
	if other >= 0 {
		f("other", "other", other)
	}
}
