// Package choice says which proxies of a list are used when a sender may use fewer than the list has. It is pure: time
// and randomness come in.
//
// It chooses by rank. The rank of a proxy is a hash of its name with a seed that each sender draws for itself: the n
// proxies of the lowest rank are used, and the others are the reserve, which costs no connection. So many senders spread
// over all proxies; a list that changes moves only the senders of the proxies that came or went; and the groups of a
// sender whose lists are the same use the same connections.
//
// A proxy that cannot be used for long is passed over, so that the next one in rank takes its place: another one for each
// sender, and the wait is another one too, so no proxy is overrun. After a while it is used again beside the others, and
// once it is connected it has its place back. Otherwise a proxy that was away would stay without senders.
package choice

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/internal/names"
)

// All as the number of proxies means that all of a list are used.
const All = math.MaxInt

const (
	passOverAfter      = 30 * time.Second // at least, and at most twice that
	passOverAfterAlone = 3 * time.Second  // the same, while no proxy of the list can be used
	reviewEvery        = time.Second
)

// passedOver is for how long a proxy is passed over.
var passedOver = backoff.Backoff{Min: 5 * time.Minute, Max: time.Hour}

// Standing is what the choice knows of a proxy that was used. The zero value is that of a proxy in its place.
type Standing struct {
	failing bool // it could not be used since since
	since   time.Duration
	out     bool // it is passed over until until
	until   time.Duration
	times   int  // in a row that it was passed over
	proving bool // it was passed over, and is used beside the others until it can be used
}

// seen notes whether the proxy, which is used, can be used now, and reports whether the choice changes by that.
func (a *Standing) seen(usable bool, now time.Duration) (changed bool) {
	if usable {
		changed = a.proving || a.out
		*a = Standing{}
		return changed
	}
	if !a.failing {
		a.failing, a.since = true, now
	}
	return false
}

// passOver ends the use of the proxy for a while. random is in [0, 1).
func (a *Standing) passOver(now time.Duration, random float64) {
	*a = Standing{out: true, until: now + passedOver.Pause(a.times, random), times: a.times + 1}
}

// Back reports whether the time is over for which the proxy was passed over, once.
func (a *Standing) Back(now time.Duration) bool {
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
	Standing
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

// Chooser chooses for all lists of one sender. Its owner guards it.
type Chooser struct {
	most       int
	seed       uint64
	nextReview time.Duration
}

// New returns a Chooser that uses at most most proxies of a list.
func New(most int, seed uint64) Chooser { return Chooser{most: most, seed: seed} }

// Choose returns the targets of a list that are used, and how many are left as a reserve. standing returns that of a
// label, nil for a proxy that was never used.
func (c *Chooser) Choose(owner string, targets []names.Target, standing func(label string) *Standing) (use []names.Target, reserve int) {
	if len(targets) <= c.most {
		return targets, 0
	}
	all := make([]candidate, len(targets))
	for i, t := range targets {
		all[i] = candidate{target: t, rank: rankOf(c.seed, owner, t.Label)}
		if a := standing(t.Label); a != nil {
			all[i].Standing = *a
		}
	}
	return chosen(all, c.most)
}

// Due reports whether it is time for a review of the proxies that are used, which comes once a second where some are not.
func (c *Chooser) Due(now time.Duration) bool {
	if c.most == All || now < c.nextReview {
		return false
	}
	c.nextReview = now + reviewEvery
	return true
}

// Member is a proxy of a list that is used.
type Member struct {
	Owner, Label string
	Standing     *Standing
	Usable       bool // it is connected and takes packs
}

// Review is what a review of a list has found.
type Review struct {
	Changed bool          // choose again
	Passed  int           // index of the member that is passed over from now on, -1 for none
	Failed  time.Duration // how long it could not be used
	Again   time.Duration // how long until it is used again
}

// Review notes which of the proxies that are used can be used, and passes over the one that has failed for too long, if
// there is a reserve. random is in [0, 1).
func (c *Chooser) Review(members []Member, reserve int, now time.Duration, random func() float64) Review {
	r := Review{Passed: -1}
	worst, alone := -1, true
	for i, m := range members {
		a := m.Standing
		alone = alone && !m.Usable
		r.Changed = a.seen(m.Usable, now) || r.Changed
		if a.failing && !a.out && (worst < 0 || a.since < members[worst].Standing.since) {
			worst = i
		}
	}
	if worst < 0 || reserve == 0 {
		return r
	}
	limit := passOverAfter
	if alone {
		limit = passOverAfterAlone
	}
	m := &members[worst]
	// Half of the wait is this sender's own: others that have lost the same proxy dial elsewhere at another time.
	own := float64(rankOf(c.seed, m.Owner, m.Label)) / math.MaxUint64
	if failed := now - m.Standing.since; failed >= limit+time.Duration(own*float64(limit)) {
		m.Standing.passOver(now, random())
		r.Changed, r.Passed, r.Failed, r.Again = true, worst, failed, m.Standing.until-now
	}
	return r
}
