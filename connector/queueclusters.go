package connector

import (
	"context"
	"slices"
	"strings"
	"time"

	"inlong-bridge/connector/confirm"
)

// compare notes since when clusters are named, or not any more, with a new answer; the one in force was asked for,
// or confirmed, at before. Under mu.
func (q *queueSource) compare(now []queuePlace, before time.Time) {
	was := names(q.now.Clusters)
	named := names(now)
	for name := range named {
		delete(q.left, name)
		if !was[name] {
			q.came[name] = before
		}
	}
	for name := range was {
		if !named[name] {
			q.left[name] = time.Now()
			delete(q.came, name)
		}
	}
	select {
	case q.news <- struct{}{}:
	default:
	}
}

func names(places []queuePlace) map[string]bool {
	m := make(map[string]bool, len(places))
	for _, p := range places {
		m[p.Name] = true
	}
	return m
}

// differ returns the clusters that the Manager names and that are not read, and those that are read and that it names
// no more; nothing while it names a queue of another kind. Under mu.
func (q *queueSource) differ() (joining, leaving []queuePlace) {
	if q.now.Type != q.kind {
		return nil, nil
	}
	read, named := names(q.read), names(q.now.Clusters)
	joining = slices.DeleteFunc(slices.Clone(q.now.Clusters), func(p queuePlace) bool { return read[p.Name] })
	leaving = slices.DeleteFunc(slices.Clone(q.read), func(p queuePlace) bool { return named[p.Name] })
	byName := func(a, b queuePlace) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(leaving, byName) // answers are sorted already
	return joining, leaving
}

// expect has no barrier pass before all that is named is read, and gives up what was expected and is named no more.
func (q *queueSource) expect(r confirm.Reader) {
	q.mu.Lock()
	joining, _ := q.differ()
	q.mu.Unlock()
	for _, p := range joining {
		q.away[p.Name] = true
		r.Expect(p.Name)
	}
	wanted := names(joining)
	for name := range q.away {
		if !wanted[name] {
			r.Leave(name)
			delete(q.away, name)
			q.joins.forget(name)
		}
	}
}

// followClusters has the reader read what came, and after a while no more what left. What is to be done follows from
// what is named and what is read, so whatever changes meanwhile is found the next time. It reports whether something is
// to be tried again soon.
func (q *queueSource) followClusters(ctx context.Context, r confirm.Reader) (again bool) {
	q.expect(r)
	q.mu.Lock()
	joining, leaving := q.differ()
	q.mu.Unlock()
	for _, p := range joining {
		again = q.joinCluster(ctx, p) || again
	}
	for _, p := range leaving {
		again = q.leaveCluster(r, p) || again
	}
	return again
}

func (q *queueSource) joinCluster(ctx context.Context, p queuePlace) (again bool) {
	q.mu.Lock()
	since, ok := q.came[p.Name]
	q.mu.Unlock()
	if !ok {
		since = time.Now()
	}
	q.away[p.Name] = true
	if err := q.join(ctx, p, since.Add(-clocksDiffer)); err != nil {
		if ctx.Err() == nil && q.joins.begin(p.Name) {
			q.log.Error("the Manager names one more queue cluster, which cannot be read; nothing counts as lost until it can",
				"cluster", p.Name, "at", p.String(), "err", err)
		}
		return true
	}
	q.mu.Lock()
	q.read = append(slices.Clip(q.read), p)
	q.mu.Unlock()
	delete(q.away, p.Name)
	q.joins.forget(p.Name)
	q.log.Info("the Manager names one more queue cluster, which is read now", "cluster", p.Name, "at", p.String())
	return false
}

func (q *queueSource) leaveCluster(r confirm.Reader, p queuePlace) (again bool) {
	q.mu.Lock()
	since, gone := q.left[p.Name]
	q.mu.Unlock()
	if !gone || time.Since(since) < leaveAfter || !r.Leave(p.Name) {
		return true
	}
	q.mu.Lock()
	q.read = slices.DeleteFunc(slices.Clone(q.read), func(read queuePlace) bool { return read.Name == p.Name })
	q.mu.Unlock()
	q.log.Info("the Manager does not name a queue cluster any more, which is not read now either", "cluster", p.Name)
	return false
}
