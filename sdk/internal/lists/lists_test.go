package lists_test

import (
	"errors"
	"testing"
	"time"

	"inlong-bridge/sdk/internal/lists"
	"inlong-bridge/sdk/manager"
)

var start = time.Unix(1_000_000, 0)

func TestListStaysInForceWhileTheManagerFails(t *testing.T) {
	var s lists.State
	s.FromFile(start)
	if !s.Known || !s.Stale || s.Source != "file" {
		t.Errorf("kept on disk: %+v", s)
	}
	if again := s.Learned(start.Add(time.Minute)); again || s.Stale || s.Source != "manager" {
		t.Errorf("the first answer: %+v, again %v", s, again)
	}
	for i := range 3 {
		if first := s.Failed(errors.New("time-out")); first != (i == 0) {
			t.Errorf("failure %d: first is %v", i, first)
		}
	}
	if !s.Known || !s.Stale || s.Failures != 3 || !s.Updated.Equal(start.Add(time.Minute)) || s.LastErr == "" {
		t.Errorf("after three failures: %+v", s)
	}
	if again := s.Learned(start.Add(time.Hour)); !again || s.Stale || s.LastErr != "" || s.Failures != 3 {
		t.Errorf("the Manager answers again: %+v, again %v", s, again)
	}
}

func TestGroupsOfAClusterLearnFromEachOtherWhileThatIsFresh(t *testing.T) {
	const refresh = time.Minute
	one, other := manager.Nodes{ClusterID: 1, Addresses: []string{"a:1"}}, manager.Nodes{ClusterID: 2}
	for _, tt := range []struct {
		name       string
		share      bool
		own, told  time.Duration // when the group and the other one were told
		nodes      manager.Nodes // that the other one was told
		at         time.Duration
		wantShared bool
	}{
		{"fresh", true, 0, refresh, one, refresh + refresh/2 - 1, true},
		{"half a refresh old", true, 0, refresh, one, refresh + refresh/2, false},
		{"another cluster", true, 0, refresh, other, refresh + 1, false},
		{"it has not asked itself for long", true, 0, 10 * refresh, one, 10*refresh + 1, false},
		{"groups do not share", false, 0, refresh, one, refresh + 1, false},
	} {
		c := lists.NewClusters(tt.share, refresh)
		var group, another lists.State
		c.Told(&group, one, start.Add(tt.own))
		c.Told(&another, tt.nodes, start.Add(tt.told))
		n, shared := c.Shared(&group, start.Add(tt.at))
		if shared != tt.wantShared || shared && n.ClusterID != 1 {
			t.Errorf("%s: shared %v, %+v", tt.name, shared, n)
		}
	}
	var unknown lists.State
	if _, shared := lists.NewClusters(true, refresh).Shared(&unknown, start); shared {
		t.Error("a group of an unknown cluster learns something")
	}
}
