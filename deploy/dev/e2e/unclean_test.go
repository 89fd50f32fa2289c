//go:build e2e

package e2e

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector"
)

// A leader whose log lacks what the bridge has read and committed: 1. the follower dies; 2. the leader takes
// more records, which are delivered; 3. the leader dies, and the old follower is made the leader, as it is. The
// partition must stop and say so: with other records at the same offsets nobody could tell what is missing.
func (k *kafka) uncleanElection() {
	b := k.b
	b.Helper()
	const group = "unclean"
	topics := []string{"unclean"}
	k.createTopics(1, 2, topics, "min.insync.replicas", "1", "unclean.leader.election.enable", "true")
	to := b.startSink(k.cluster, 3, topics, 1, "--queue-delay", "100ms")
	admin := b.freeAddr()
	bridge := b.startBridge("unclean", bridgeSettings(k.cluster, group, topics, to).set("admin.listen", admin))
	l := newLedger()
	l.produce(k.cluster, 500, topics...)
	k.caughtUp(group, topics, drainLimit, bridge)

	leader, follower := k.leaderAndFollower(topics[0])
	follower.kill()
	b.eventually(drainLimit, func() error {
		m, err := k.admin.ListTopics(k.fresh(), topics...)
		if err != nil {
			return err
		}
		if p := m[topics[0]].Partitions[0]; len(p.ISR) != 1 || p.Leader != int32(leader.id) {
			return fmt.Errorf("leader %d, in sync %v; want %d alone", p.Leader, p.ISR, leader.id)
		}
		return nil
	})
	l.produce(k.cluster, 500, topics...)
	k.caughtUp(group, topics, drainLimit, bridge)
	committed := total(k.committed(group))
	leader.kill()
	follower.begin()
	b.eventually(2*drainLimit, func() error {
		set := make(kadm.TopicsSet)
		set.Add(topics[0], 0)
		_, _ = k.admin.ElectLeaders(b.Context(), kadm.ElectLiveReplica, set) // needless where the controller does it by itself
		m, err := k.admin.ListTopics(k.fresh(), topics...)
		if err != nil {
			return err
		}
		if p := m[topics[0]].Partitions[0]; p.Leader != int32(follower.id) {
			return fmt.Errorf("leader is %d, want %d", p.Leader, follower.id)
		}
		return nil
	})
	var part connector.PartitionStatus
	b.eventually(2*drainLimit, func() error {
		s, err := b.statusAt(admin)
		if err != nil {
			return err
		}
		if len(s.Parts) != 1 || !s.Parts[0].Stopped || s.Parts[0].Stall != "truncated" {
			return fmt.Errorf("partitions %+v, want one that has stopped because its log was truncated; the log ends with\n%s", s.Parts, bridge.tail())
		}
		part = s.Parts[0]
		return nil
	})
	b.Logf("the partition has stopped: %s", part.Reason)
	leader.begin()
	b.eventually(2*drainLimit, k.inSync)
	if now := total(k.committed(group)); now != committed {
		b.Errorf("%d is committed, was %d: a commit went back, or on", now, committed)
	}
	b.complete("before the unclean election", l.judge(to.inQueue(topics)), 0)
	b.pause(time.Second)
	if bridge.ended() {
		b.Errorf("the bridge has ended with %d; its log ends with\n%s", bridge.code, bridge.tail())
	}
}

// leaderAndFollower are the two replicas of the topic's only partition.
func (k *kafka) leaderAndFollower(topic string) (leader, follower *node) {
	k.b.Helper()
	m, err := k.admin.ListTopics(k.fresh(), topic)
	if err != nil {
		k.b.Fatal(err)
	}
	p := m[topic].Partitions[0]
	for _, n := range k.nodes {
		for _, id := range p.Replicas {
			switch {
			case int32(n.id) != id:
			case id == p.Leader:
				leader = n
			default:
				follower = n
			}
		}
	}
	if leader == nil || follower == nil {
		k.b.Fatalf("leader %d, replicas %v", p.Leader, p.Replicas)
	}
	return leader, follower
}
