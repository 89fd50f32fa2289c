package sdk

import (
	"cmp"
	"hash/fnv"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/internal/names"
)

// A sender that may use fewer proxies than its list has chooses by rank. The rank of a proxy is a hash of its name with a
// seed that each sender draws for itself: the n proxies of the lowest rank are used, and the others are the reserve, which
// costs no connection. So many senders spread over all proxies; a list that changes moves only the senders of the proxies
// that came or went; and the groups of a sender whose lists are the same use the same connections.
//
// A proxy that cannot be used for long is passed over, so that the next one in rank takes its place: another one for each
// sender, and the wait is another one too, so no proxy is overrun. After a while it is used again beside the others, and
// once it is connected it has its place back. Otherwise a proxy that was away would stay without senders.

// allProxies is the default of WithMaxProxies.
const allProxies = math.MaxInt

// WithMaxProxies uses at most n of the proxies of a list, another choice for each sender; the others are a reserve without
// connections. A proxy that cannot be used for 30 to 60 s (3 to 6 s while no other one can) is replaced by one of the
// reserve, and has its place back when it is connected again, which is tried after 5 minutes and then at growing intervals.
// A name that has several addresses counts as that many. Groups that share connections, and whose lists are the same, use
// the same proxies. With n = 1 nothing is sent elsewhere meanwhile, and a pack that the proxy refuses for good has no second
// opinion. Default: all proxies.
func WithMaxProxies(n int) Option { return optionFunc(func(o *options) { o.maxProxies = n }) }

const (
	passOverAfter      = 30 * time.Second // at least, and at most twice that
	passOverAfterAlone = 3 * time.Second  // the same, while no proxy of the list can be used
	reviewEvery        = time.Second
)

// passedOver is for how long a proxy is passed over.
var passedOver = backoff.Backoff{Min: 5 * time.Minute, Max: time.Hour}

// standing is what the choice knows of a proxy that was used. It is a value without a clock.
type standing struct {
	failing bool // it could not be used since since
	since   time.Duration
	out     bool // it is passed over until until
	until   time.Duration
	times   int  // in a row that it was passed over
	proving bool // it was passed over, and is used beside the others until it can be used
}

// seen notes whether the proxy, which is used, can be used now, and reports whether the choice changes by that.
func (a *standing) seen(usable bool, now time.Duration) (changed bool) {
	if usable {
		changed = a.proving || a.out
		*a = standing{}
		return changed
	}
	if !a.failing {
		a.failing, a.since = true, now
	}
	return false
}

// passOver ends the use of the proxy for a while. random is in [0, 1).
func (a *standing) passOver(now time.Duration, random float64) {
	*a = standing{out: true, until: now + passedOver.Pause(a.times, random), times: a.times + 1}
}

// back reports whether the time is over for which the proxy was passed over, once.
func (a *standing) back(now time.Duration) bool {
	if !a.out || now < a.until {
		return false
	}
	a.out, a.proving, a.failing = false, true, false
	return true
}

// candidate is a proxy of a list for the choice.
type candidate struct {
	target names.Target
	rank   uint64
	standing
}

// chosen returns the proxies to use, n of those that are not passed over and whatever has to prove itself before them in
// rank, and how many are left as a reserve. Those that are passed over are used only when there are too few others.
func chosen(all []candidate, n int) (use []names.Target, reserve int) {
	slices.SortFunc(all, func(a, b candidate) int {
		if a.out != b.out {
			if a.out {
				return 1
			}
			return -1
		}
		if a.out {
			return cmp.Compare(a.until, b.until)
		}
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.target.Label, b.target.Label))
	})
	for i := range all {
		if n == 0 {
			if !all[i].out {
				reserve++
			}
			continue
		}
		use = append(use, all[i].target)
		if !all[i].proving {
			n--
		}
	}
	return use, reserve
}

// rankOf is the rank that a sender gives a proxy. owner is the group whose connections are its own, empty where they
// are shared.
func rankOf(seed uint64, owner, label string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(owner + "\x00" + label)) // never fails
	x := h.Sum64() ^ seed
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // the finalizer of splitmix64
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// chooseLocked returns the proxies of a list that are used. Under mu.
func (s *Sender) chooseLocked(l *proxyList, targets []names.Target) []names.Target {
	if l.reserve = 0; len(targets) <= s.o.maxProxies {
		return targets
	}
	all := make([]candidate, len(targets))
	for i, t := range targets {
		all[i] = candidate{target: t, rank: rankOf(s.proxies.rankSeed, l.owner, t.Label)}
		if ep := s.proxies.endpoints[endpointKey{l.owner, t.Label}]; ep != nil {
			all[i].standing = ep.choice
		}
	}
	targets, l.reserve = chosen(all, s.o.maxProxies)
	return targets
}

// reviewProxiesLocked looks once a second which of the proxies that are used cannot be used, and passes over the one of each
// list that has failed for too long, if there is a reserve. The caller ends with progressLocked. Under mu.
func (s *Sender) reviewProxiesLocked(now time.Duration) {
	if s.o.maxProxies == allProxies || now < s.proxies.nextReview || s.end.stopped {
		return
	}
	s.proxies.nextReview = now + reviewEvery
	changed := false
	for _, ep := range s.proxies.endpointList {
		if ep.choice.back(now) {
			changed = true
		}
	}
	s.proxies.eachListLocked(func(l *proxyList) {
		var worst *endpoint
		alone := true
		for _, e := range l.life.Endpoints() {
			ep := s.proxies.endpointOfLocked(e)
			usable := s.usableLocked(ep, now)
			alone = alone && !usable
			changed = ep.choice.seen(usable, now) || changed
			if a := &ep.choice; a.failing && !a.out && (worst == nil || a.since < worst.choice.since) {
				worst = ep
			}
		}
		if worst == nil || l.reserve == 0 {
			return
		}
		limit := passOverAfter
		if alone {
			limit = passOverAfterAlone
		}
		// Half of the wait is this sender's own: others that have lost the same proxy dial elsewhere at another time.
		own := float64(rankOf(s.proxies.rankSeed, worst.group, worst.addr)) / math.MaxUint64
		if failed := now - worst.choice.since; failed >= limit+time.Duration(own*float64(limit)) {
			worst.choice.passOver(now, mathrand.Float64())
			changed = true
			s.o.logger.Warn("a proxy cannot be used; one of the reserve takes its place", "endpoint", worst.addr, "err", worst.lastErr,
				"for", failed.Round(time.Second).String(), "again_in", (worst.choice.until - now).Round(time.Second).String())
		}
	})
	if changed {
		s.proxies.eachListLocked(func(l *proxyList) { s.applyLocked(l, l.addrs) })
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
