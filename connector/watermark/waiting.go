package watermark

// WaitingFor appends to routes the routes of the pieces that the watermark waits for: those of the oldest span that
// are not final, each route once. It appends nothing when no piece is open, and nothing after Revoke.
func (p *Partition) WaitingFor(routes []int32) []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revoked || p.passed >= p.spans.end() {
		return routes
	}
	had := len(routes)
next:
	for i := p.spans.at(p.passed).pieces; i != none; i = p.pieces.at(i).next {
		x := p.pieces.at(i)
		if x.condition == final || x.parent != none {
			continue
		}
		for _, r := range routes[had:] {
			if r == x.origin.Route {
				continue next
			}
		}
		routes = append(routes, x.origin.Route)
	}
	return routes
}
