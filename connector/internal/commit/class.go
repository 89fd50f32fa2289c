package commit

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Classes are what Class returns, and identity.
var Classes = []string{"rebalance", "fenced", "generation", "coordinator", "authorization", "topic", "timeout", "other", "identity"}

// classOf names the kind of a commit error, a bounded set for labels. All are tried again; those of
// a rebalance pass by themselves.
func classOf(err error) string {
	switch {
	case errors.Is(err, kerr.RebalanceInProgress):
		return "rebalance"
	case errors.Is(err, kerr.FencedInstanceID):
		return "fenced"
	case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.StaleMemberEpoch):
		return "generation"
	case errors.Is(err, kerr.NotCoordinator), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.CoordinatorLoadInProgress):
		return "coordinator"
	case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed):
		return "authorization"
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		return "topic"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "timeout"
	}
	return "other"
}

// passes reports whether commits of a class fail while the group shares out partitions or its coordinator moves, which is
// no trouble unless it lasts; then the group's session fails too.
func passes(class string) bool { return class == "rebalance" || class == "generation" }
