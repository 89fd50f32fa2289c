package sdk

import (
	mathrand "math/rand/v2"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/internal/choice"
	"inlong-bridge/sdk/internal/names"
)

// WithMaxProxies uses at most n of the proxies of a list, another choice for each sender; the others are a reserve without
// connections. A proxy that cannot be used for 30 to 60 s (3 to 6 s while no other one can) is replaced by one of the
// reserve, and has its place back when it is connected again, which is tried after 5 minutes and then at growing intervals.
// A name that has several addresses counts as that many. Groups that share connections, and whose lists are the same, use
// the same proxies. With n = 1 nothing is sent elsewhere meanwhile, and a pack that the proxy refuses for good has no second
// opinion. Default: all proxies.
func WithMaxProxies(n int) Option { return optionFunc(func(o *options) { o.maxProxies = n }) }

// chooseLocked returns the proxies of a list that are used. Under mu.
func (s *Sender) chooseLocked(l *proxyList, targets []names.Target) (use []names.Target) {
	d := &s.proxies
	use, l.reserve = d.choice.Choose(l.owner, targets, func(label string) *choice.Standing {
		if ep := d.endpoints[endpointKey{l.owner, label}]; ep != nil {
			return &ep.standing
		}
		return nil
	})
	return use
}

// reviewProxiesLocked looks once a second which of the proxies that are used cannot be used, and passes over the one of each
// list that has failed for too long, if there is a reserve. The caller ends with progressLocked. Under mu.
func (s *Sender) reviewProxiesLocked(now time.Duration) {
	d := &s.proxies
	if s.end.stopped || !d.choice.Due(now) {
		return
	}
	changed := false
	for _, ep := range d.endpointList {
		changed = ep.standing.Back(now) || changed
	}
	d.eachListLocked(func(l *proxyList) {
		var members []choice.Member
		for _, e := range l.life.Endpoints() {
			ep := d.endpointOfLocked(e)
			members = append(members, choice.Member{Owner: ep.group, Label: ep.addr, Standing: &ep.standing, Usable: s.usableLocked(ep, now)})
		}
		r := d.choice.Review(members, l.reserve, now, mathrand.Float64)
		changed = changed || r.Changed
		if r.Passed >= 0 {
			ep := d.endpointOfLocked(l.life.Endpoints()[r.Passed])
			s.o.logger.Warn("a proxy cannot be used; one of the reserve takes its place", "endpoint", ep.addr, "err", ep.lastErr,
				"for", r.Failed.Round(time.Second).String(), "again_in", r.Again.Round(time.Second).String())
		}
	})
	if changed {
		d.eachListLocked(func(l *proxyList) { s.applyLocked(l, l.addrs) })
	}
}

// usableLocked reports whether a proxy is connected and takes packs. Under mu.
func (s *Sender) usableLocked(ep *endpoint, now time.Duration) bool {
	e := s.e.EndpointState(&ep.life, now)
	switch e.Confirm.Reason {
	case finality.EndpointPaused, finality.EndpointZombie:
		return false
	default:
		return e.Up > 0 && e.Breaker != engine.Open && e.Breaker != engine.Trial
	}
}
