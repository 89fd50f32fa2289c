package connector

import (
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/confirm"
)

func TestReadyzNamesTheSilentQueueCluster(t *testing.T) {
	s := &Status{State: "running", Routes: []RouteStatus{{"g", "s"}}, Queue: &confirm.Status{Clusters: []confirm.ClusterStatus{
		{Name: "mq1", Answers: true}, {Name: "mq2", LastError: "connection refused"},
	}}}
	got := strings.Join(reasons(s, time.Minute), "; ")
	if !strings.Contains(got, "mq2 does not answer") || !strings.Contains(got, "connection refused") || strings.Contains(got, "mq1") {
		t.Errorf("reasons = %q, want the cluster that does not answer, and why", got)
	}
}
