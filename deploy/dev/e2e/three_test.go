//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Three brokers, of which one after the other is killed under load, and leaders are moved by hand. Source,
// offsets and queue lie in the same cluster, so everything is hit at once.
func TestKafkaBrokersKilledAndLeadersMoved(t *testing.T) {
	t.Parallel()
	r := need(t, "kafka-"+newest())
	b := newBench(t)
	k := b.startKafka(r, 3)
	const group = "three"
	topics := []string{"three"}
	k.createTopics(6, 3, topics)
	to := b.startSink(k.cluster, 3, topics, 2, "--queue-delay", "300ms")
	bridge := b.startBridge("bridge", bridgeSettings(k.cluster, group, topics, to))
	l := newLedger()
	load := l.startLoad(k.cluster, 1500, topics...)
	allowed := 0
	fault := func(what string, do func()) {
		k.advances(group, bridge)
		began := time.Now()
		do()
		uncommitted := l.committedIsSafe(k.cluster, group, to, topics)
		produced := l.size()
		k.advances(group, bridge)
		uncommitted += l.size() - produced // while the group's coordinator moves, nothing can be committed
		t.Logf("%s: every partition was committed again after %v", what, time.Since(began).Round(10*time.Millisecond))
		allowed += uncommitted
	}
	k.advancesOnce(group, topics, bridge)
	for _, n := range []int{1, 2} {
		node := k.nodes[n]
		fault(fmt.Sprintf("broker %d killed", node.id), func() { node.kill(); b.pause(time.Second) })
		node.begin()
		b.eventually(drainLimit, k.inSync)
	}
	fault("leaders moved", func() { k.moveLeaders(topics[0]) })
	load.stop()
	k.caughtUp(group, topics, drainLimit, bridge)
	b.complete("brokers killed and leaders moved", l.judge(to.inQueue(topics)), allowed)
	bridge.kill()
	t.Run("Quota", func(t *testing.T) { k.on(newBench(t)).underQuota() })
	t.Run("UncleanElection", func(t *testing.T) { k.on(newBench(t)).uncleanElection() })
}

// advancesOnce waits until every partition of the topics has been committed.
func (k *kafka) advancesOnce(group string, topics []string, working *process) {
	k.b.Helper()
	k.b.eventually(drainLimit, func() error {
		m, err := k.admin.ListTopics(k.b.Context(), topics...)
		if err != nil {
			return err
		}
		committed := k.committed(group)
		for _, t := range topics {
			if have, want := len(committed[t]), len(m[t].Partitions); have < want {
				return fmt.Errorf("%d of %d partitions of %s are committed; the bridge's log ends with\n%s", have, want, t, working.tail())
			}
		}
		return nil
	})
}

// inSync says which partitions lack a replica.
func (k *kafka) inSync() error {
	if err := k.up(); err != nil {
		return err
	}
	m, err := k.admin.Metadata(k.fresh())
	if err != nil {
		return err
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				return fmt.Errorf("%s/%d has %d of %d replicas in sync", t.Topic, p.Partition, len(p.ISR), len(p.Replicas))
			}
		}
	}
	return nil
}

// moveLeaders makes another replica the leader of every partition.
func (k *kafka) moveLeaders(topic string) {
	k.b.Helper()
	m, err := k.admin.ListTopics(k.fresh(), topic)
	if err != nil {
		k.b.Fatal(err)
	}
	var order kadm.AlterPartitionAssignmentsReq
	partitions := make(kadm.TopicsSet)
	was := make(map[int32]int32)
	for _, p := range m[topic].Partitions {
		replicas := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return id == p.Leader })
		order.Assign(topic, p.Partition, append(replicas, p.Leader)) // the first one is preferred
		partitions.Add(topic, p.Partition)
		was[p.Partition] = p.Leader
	}
	if _, err := k.admin.AlterPartitionAssignments(k.b.Context(), order); err != nil {
		k.b.Fatalf("changing the order of replicas: %v", err)
	}
	k.b.eventually(drainLimit, func() error {
		if _, err := k.admin.ElectLeaders(k.b.Context(), kadm.ElectPreferredReplica, partitions); err != nil {
			return err
		}
		m, err := k.admin.ListTopics(k.fresh(), topic)
		if err != nil {
			return err
		}
		for _, p := range m[topic].Partitions {
			if p.Leader == was[p.Partition] {
				return fmt.Errorf("%s/%d still has leader %d", topic, p.Partition, p.Leader)
			}
		}
		return nil
	})
}
