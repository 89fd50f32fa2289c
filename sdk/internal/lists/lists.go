// Package lists keeps what is known of the proxies' lists that the Manager names: how old a group's list is and how
// asking for it goes, and what groups of one cluster learn from each other. It is pure, and its owner guards it.
package lists

import (
	"time"

	"inlong-bridge/sdk/manager"
)

// State is what is known of one group's list.
type State struct {
	Known    bool   // there was a list, however old
	Stale    bool   // the last answer was not a list, or the list is from the file
	Source   string // static, manager, file
	Updated  time.Time
	LastErr  string
	Failures uint64 // answers of the Manager without a list, and questions without an answer

	cluster int       // as the Manager numbers it, 0 for unknown
	asked   time.Time // when it was told so itself
}

// Static notes that the list was given at a time and stays.
func (s *State) Static(at time.Time) { s.Known, s.Source, s.Updated = true, "static", at }

// FromFile notes that a list of this time was kept on disk.
func (s *State) FromFile(at time.Time) {
	s.Known, s.Stale, s.Source, s.Updated = true, true, "file", at
}

// Failed notes that there was no list. It reports whether that is the first time in a row.
func (s *State) Failed(err error) (first bool) {
	first = s.LastErr == ""
	s.Stale, s.LastErr = true, err.Error()
	s.Failures++
	return first
}

// Learned notes a list of the Manager. It reports whether there was none the last time.
func (s *State) Learned(now time.Time) (again bool) {
	again = s.LastErr != ""
	s.Known, s.Stale, s.Source, s.Updated, s.LastErr = true, false, "manager", now, ""
	return again
}

// ownAnswer is after how many refreshes a group asks for itself, whatever its cluster learned.
const ownAnswer = 10

// Clusters is what the Manager said last of each cluster's proxies.
type Clusters struct {
	share   bool
	refresh time.Duration
	last    map[int]answer
}

type answer struct {
	nodes manager.Nodes
	at    time.Time
}

// NewClusters returns what groups that ask every refresh learn from each other; nothing, unless they share.
func NewClusters(share bool, refresh time.Duration) *Clusters {
	return &Clusters{share: share, refresh: refresh, last: make(map[int]answer)}
}

// Told notes what the Manager told a group itself.
func (c *Clusters) Told(s *State, n manager.Nodes, now time.Time) {
	s.cluster, s.asked = n.ClusterID, now
	if n.ClusterID > 0 {
		c.last[n.ClusterID] = answer{n, now}
	}
}

// Shared is what another group of the same cluster was told, if that is fresh and the group was told itself not long ago.
func (c *Clusters) Shared(s *State, now time.Time) (manager.Nodes, bool) {
	a, ok := c.last[s.cluster]
	if !ok || !c.share || now.Sub(s.asked) > ownAnswer*c.refresh {
		return manager.Nodes{}, false
	}
	return a.nodes, now.Sub(a.at) < c.refresh/2
}
