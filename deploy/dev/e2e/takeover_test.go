//go:build e2e

package e2e

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A group that another consumer worked for until now, with the balancers of before cooperative rebalancing. The
// bridge joins beside it, and then the other one leaves: the bridge reads on from where that one had committed.
func groupTakenOver(b *bench, k *kafka) {
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "sticky": kgo.StickyBalancer()} {
		group, topics := "taken-over-"+name, []string{"taken-over-" + name}
		k.createTopics(4, 1, topics)
		to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
		l := newLedger()
		l.produce(k.cluster, 2000, topics...)

		old, err := kgo.NewClient(append([]kgo.Opt{
			kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.Balancers(balancer),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.HeartbeatInterval(500 * time.Millisecond),
		}, k.opts...)...)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(old.CloseAllowingRebalance)
		done := make(map[string]int)
		for len(done) < 700 {
			fetches := old.PollRecords(b.Context(), 100)
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			for r := range fetches.RecordsAll() {
				if id, ok := identity(r.Value); ok {
					done[id]++
				}
			}
			if err := old.CommitRecords(b.Context(), fetches.Records()...); err != nil {
				b.Fatal(err)
			}
			old.AllowRebalance()
		}
		admin := b.freeAddr()
		bridge := b.startBridge("bridge-"+name, bridgeSettings(k.cluster, group, topics, to).
			set("kafka.balancer", name).set("admin.listen", admin))
		k.members(group, 2, 4)
		b.eventually(drainLimit, func() error { // what is final before the other one leaves cannot come twice
			s, err := b.statusAt(admin)
			if err != nil {
				return err
			}
			for _, p := range s.Parts {
				if p.Lag > 0 || p.Committed < p.Position {
					return fmt.Errorf("%s/%d is at %d, committed %d, lag %d", p.Topic, p.Partition, p.Position, p.Committed, p.Lag)
				}
			}
			if len(s.Parts) != 2 {
				return fmt.Errorf("the bridge has %d partitions, want 2 of 4", len(s.Parts))
			}
			return nil
		})
		old.CloseAllowingRebalance()
		k.members(group, 1, 4)
		l.produce(k.cluster, 500, topics...)
		k.caughtUp(group, topics, drainLimit, bridge)
		bridge.kill()
		a := to.inQueue(topics)
		for id, n := range done {
			a.times[id] += n
		}
		b.complete("taken over from a "+name+" consumer", l.judge(a), 0)
	}
}

// memberIDs are the members of a group, as the broker names them: one that was thrown out comes back under
// another name.
func (k *kafka) memberIDs(group string) (ids string) {
	k.b.Helper()
	described, err := k.admin.DescribeGroups(k.b.Context(), group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		k.b.Fatal(err)
	}
	for _, m := range described[group].Members {
		ids += m.MemberID + " "
	}
	return ids
}
