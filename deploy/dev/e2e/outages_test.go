//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/reason"
)

// login makes a user with a password, and returns the configuration of a client that logs in as that user.
func (k *kafka) login(user string) map[string]any {
	k.b.Helper()
	made, err := k.admin.AlterUserSCRAMs(k.b.Context(), nil, []kadm.UpsertSCRAM{{
		User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "secret",
	}})
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		k.b.Fatalf("making a user: %v", err)
	}
	return k.scram(user, "secret")
}

// scram is the configuration of a client that logs in with a password.
func (k *kafka) scram(user, password string) map[string]any {
	return map[string]any{
		"tls":  map[string]any{"ca_file": k.secure.ca},
		"sasl": map[string]any{"mechanism": "scram-sha-512", "username": user, "password": password},
	}
}

// allow gives a user the right to read something. It returns when the broker knows of it.
func (k *kafka) allow(user string, what *kadm.ACLBuilder) {
	k.b.Helper()
	made, err := k.admin.CreateACLs(k.b.Context(), readBy(user, what))
	for i := 0; err == nil && i < len(made); i++ {
		err = made[i].Err
	}
	if err != nil {
		k.b.Fatalf("giving a right to %s: %v", user, err)
	}
	k.rights(user, what, true)
}

// forbid takes that right away. It returns when the broker knows of it.
func (k *kafka) forbid(user string, what *kadm.ACLBuilder) {
	k.b.Helper()
	gone, err := k.admin.DeleteACLs(k.b.Context(), readBy(user, what))
	for i := 0; err == nil && i < len(gone); i++ {
		if err = gone[i].Err; err == nil && len(gone[i].Deleted) == 0 {
			err = errors.New("there is no such right")
		}
	}
	if err != nil {
		k.b.Fatalf("taking a right of %s: %v", user, err)
	}
	k.rights(user, what, false)
}

// rights waits until the broker has the user's right to read something, or has it no more: it hears of both from the controller, later.
func (k *kafka) rights(user string, what *kadm.ACLBuilder, want bool) {
	k.b.Helper()
	k.b.eventually(drainLimit, func() error {
		rights, err := k.admin.DescribeACLs(k.b.Context(), readBy(user, what))
		if err != nil {
			return err
		}
		for _, r := range rights {
			if r.Err != nil {
				return r.Err
			}
			if (len(r.Described) > 0) != want {
				return fmt.Errorf("the broker's rights of %s are %+v, want them there: %v", user, r.Described, want)
			}
		}
		return nil
	})
}

func readBy(user string, what *kadm.ACLBuilder) *kadm.ACLBuilder {
	return what.ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead).Allow("User:" + user).AllowHosts("*")
}

// partitionsOf waits until all partitions of a topic are as ok wants them.
func (b *bench) partitionsOf(admin, topic string, n int, bridge *process, limit time.Duration, ok func(p connector.PartitionStatus) bool) {
	b.Helper()
	b.eventually(limit, func() error {
		s, err := b.statusAt(admin)
		if err != nil {
			return err
		}
		found := 0
		for _, p := range s.Parts {
			if p.Topic != topic {
				continue
			}
			if found++; !ok(p) {
				return fmt.Errorf("the partition is %+v; the log ends with\n%s", p, bridge.tail())
			}
		}
		if found != n {
			return fmt.Errorf("%d partitions of %s are assigned, want %d; the log ends with\n%s", found, topic, n, bridge.tail())
		}
		return nil
	})
}

// logged returns the lines of p's log that contain all of words.
func (p *process) logged(words ...string) (lines []string) {
	for line := range strings.Lines(p.output()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// One topic is deleted, and the right to read another one is taken away for a moment. The first one stops, the second one
// waits and goes on, and a third one does not notice.
func topicsNotFound(b *bench, k *kafka) {
	const (
		group, user             = "not-found", "not-found"
		gone, unreadable, third = "not-found-gone", "not-found-unreadable", "not-found-third"
	)
	topics, left := []string{gone, unreadable, third}, []string{unreadable, third}
	k.createTopics(2, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	right := func() *kadm.ACLBuilder { return kadm.NewACLs().Topics(unreadable) }
	source := k.through(k.nodes[0].sasl, k.login(user))
	k.allow(user, kadm.NewACLs().Topics(gone, third).Groups(group))
	k.allow(user, right())
	admin := b.freeAddr()
	bridge := b.startBridge("bridge", bridgeSettings(source, group, topics, to).set("admin.listen", admin))
	ofGone, l := newLedger(), newLedger()
	ofGone.produce(k.cluster, 200, gone)
	l.produce(k.cluster, 400, left...)
	k.caughtUp(group, topics, drainLimit, bridge)

	began := time.Now()
	if _, err := k.admin.DeleteTopic(b.Context(), gone); err != nil {
		b.Fatalf("deleting topic %s: %v", gone, err)
	}
	k.client.PurgeTopicsFromClient(gone)
	k.forbid(user, right())
	l.produce(k.cluster, 400, left...) // a fetch that waits already may still get its part
	b.partitionsOf(admin, unreadable, 2, bridge, drainLimit, func(p connector.PartitionStatus) bool {
		return p.Stall == "fault" && !p.Stopped && strings.Contains(p.Reason, "the right to read topic "+unreadable+" is missing")
	})
	l.produce(k.cluster, 400, left...)
	k.caughtUp(group, []string{third}, drainLimit, bridge)
	if k.behind(b.Context(), group, []string{unreadable}) == nil {
		b.Error("everything of the topic that may not be read is committed, so this shows nothing")
	}
	k.allow(user, right())
	given := time.Now()
	k.caughtUp(group, left, drainLimit, bridge)
	b.Logf("with the right given back, everything is committed after %v", time.Since(given).Round(10*time.Millisecond))

	b.partitionsOf(admin, gone, 2, bridge, 2*drainLimit, func(p connector.PartitionStatus) bool { return p.Stopped && p.Stall == "deleted" })
	b.Logf("the topic counts as deleted after %v", time.Since(began).Round(100*time.Millisecond))
	l.produce(k.cluster, 400, left...)
	k.caughtUp(group, left, drainLimit, bridge)
	b.complete("beside a topic that was deleted", l.judge(to.inQueue(left)), 0)
	b.complete("of the topic that was deleted", ofGone.judge(to.inQueue([]string{gone})), 0)
	b.partitionsOf(admin, unreadable, 2, bridge, drainLimit, func(p connector.PartitionStatus) bool { return p.Stall == "" })
	b.eventually(drainLimit, func() error { // lines are gathered for a second
		if lines := bridge.logged("partitions stopped"); len(lines) != 1 || !strings.Contains(lines[0], "code=deleted partitions=2 ") {
			return fmt.Errorf("the log says %q of partitions that stopped, want one line for the 2 of %s", lines, gone)
		}
		if lines := bridge.logged("partitions go on", unreadable+"/0"); len(lines) == 0 {
			return fmt.Errorf("the log does not say that %s goes on:\n%s", unreadable, bridge.tail())
		}
		return nil
	})
	if lines := bridge.logged("the group session fails"); len(lines) > 0 {
		b.Errorf("a right that a topic lacked is blamed on the group: %q", lines)
	}
	st, err := b.statusAt(admin)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range st.Conditions {
		if c.Code != reason.Deleted && c.Code != reason.MissingTopics {
			b.Errorf("at the end there is the condition %s: %s", c.Code, c.Sentence)
		}
	}
	signaled := time.Now()
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 3 || time.Since(signaled) > 20*time.Second {
		b.Logf("the bridge left %v after the signal", time.Since(signaled).Round(10*time.Millisecond))
		b.Errorf("exit %d after SIGTERM, want 3: two partitions are stopped; the log ends with\n%s", code, bridge.tail())
	}
}

// The broker is killed and comes back. Until it has caught up with itself it may not know its topics: no partition takes that for a
// deletion, and none begins elsewhere.
func brokerRestarted(b *bench, k *kafka) {
	const group = "broker-restarted"
	topics := []string{"restarted-1", "restarted-2"}
	k.createTopics(4, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 2, "--queue-delay", "300ms")
	admin := b.freeAddr()
	bridge := b.startBridge("bridge", bridgeSettings(k.cluster, group, topics, to).set("admin.listen", admin))
	l := newLedger()
	l.produce(k.cluster, 2000, topics...)
	k.caughtUp(group, topics, drainLimit, bridge)
	l.produce(k.cluster, 2000, topics...)
	allowed := l.committedIsSafe(k.cluster, group, to, topics)
	k.nodes[0].kill()
	b.pause(2 * time.Second)
	k.nodes[0].begin()
	began := time.Now()
	b.eventually(2*drainLimit, k.up)
	l.produce(k.cluster, 2000, topics...)
	k.caughtUp(group, topics, 2*drainLimit, bridge)
	b.Logf("everything is committed %v after the broker was started again", time.Since(began).Round(100*time.Millisecond))
	status, err := b.statusAt(admin)
	if err != nil {
		b.Fatal(err)
	}
	// Proxies may take longer than the bridge waits until they write to the broker again.
	b.complete("broker restarted", l.judge(to.inQueue(topics)), allowed+int(status.Reread.Records))
	for _, topic := range topics {
		b.partitionsOf(admin, topic, 4, bridge, drainLimit, func(p connector.PartitionStatus) bool { return p.Stall == "" && !p.Stopped })
	}
	if lines := bridge.logged("partitions stopped"); len(lines) > 0 {
		b.Errorf("partitions stopped: %q", lines)
	}
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, bridge.tail())
	}
}

// 1. another member holds a rebalance up, so that the bridge's join hangs  2. records are on their way  3. the signal
// The bridge does not wait for the join: it commits what was on its way, and the group knows at once that it left. Then the same
// signal while the broker does not answer at all.
func signalWhileJoining(b *bench, k *kafka) {
	const group = "joining"
	topics := []string{"joining"}
	k.createTopics(4, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "3s") // what is fetched before the signal is final after it
	admin := b.freeAddr()
	s := bridgeSettings(k.cluster, group, topics, to).set("kafka.session_timeout", "45s").set("kafka.client_id", "leaving").
		set("admin.listen", admin).set("delivery.drain", "20s")
	bridge := b.startBridge("bridge", s)
	k.members(group, 1, 4)

	var hold atomic.Bool
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	b.Cleanup(free)
	member := func() *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{
			kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
			kgo.RebalanceTimeout(2 * drainLimit), kgo.HeartbeatInterval(500 * time.Millisecond),
			kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) {
				if hold.Load() {
					<-release
				}
			}),
		}, k.opts...)...)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { free(); cl.Close() })
		return cl
	}
	others := []*kgo.Client{member()}
	k.members(group, 2, 4)
	hold.Store(true)
	others = append(others, member()) // its join begins a rebalance that the first one does not join
	b.eventually(drainLimit, func() error {
		joining := len(bridgesIn(k, group, "PreparingRebalance")) // the bridge has its member there, too
		if joining == 0 {
			return fmt.Errorf("group %s does not prepare a rebalance", group)
		}
		return nil
	})
	b.pause(4 * time.Second) // the bridge's next heartbeat tells it to join
	l := newLedger()
	l.produce(k.cluster, 400, topics...)
	kept := make(map[int32]int64)
	b.eventually(drainLimit, func() error {
		st, err := b.statusAt(admin)
		if err != nil {
			return err
		}
		ends, err := k.admin.ListEndOffsets(b.Context(), topics...)
		if err != nil {
			return err
		}
		clear(kept)
		for _, p := range st.Parts {
			end, _ := ends.Lookup(p.Topic, p.Partition)
			if p.Position < end.Offset {
				return fmt.Errorf("%s/%d is fetched up to %d of %d", p.Topic, p.Partition, p.Position, end.Offset)
			}
			kept[p.Partition] = end.Offset
		}
		if len(kept) != 2 {
			return fmt.Errorf("the bridge has %d partitions, want 2", len(kept))
		}
		return nil
	})
	before := total(k.committed(group))
	bridge.signal(syscall.SIGTERM)
	signaled := time.Now()
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d after SIGTERM, want 0: everything on its way could become final; the log ends with\n%s", code, bridge.tail())
	}
	took := time.Since(signaled)
	b.Logf("while the join hung, the bridge left %v after the signal; %d records were committed before it, %d after", took.Round(10*time.Millisecond), before, total(k.committed(group)))
	if took > 30*time.Second {
		b.Errorf("leaving took %v, want at most the 20s of the drain and some 10s", took)
	}
	if ids := bridgesIn(k, group, "PreparingRebalance"); len(ids) > 0 {
		b.Errorf("the group still has the members %v of the bridge", ids)
	}
	if lines := bridge.logged("the group was not told"); len(lines) > 0 {
		b.Errorf("the group refused to let the bridge leave: %q", lines)
	}
	if lines := bridge.logged("leaving without waiting"); len(lines) != 1 {
		b.Errorf("the join did not hang, so this shows nothing; the log ends with\n%s", bridge.tail())
	}
	for p, end := range kept {
		if at := k.committed(group)[topics[0]][p]; at != end {
			b.Errorf("partition %d is committed at %d, want %d: what was on its way is final", p, at, end)
		}
	}
	free()
	for _, cl := range others {
		cl.Close()
	}
	bridge = b.startBridge("bridge", s)
	k.caughtUp(group, topics, drainLimit, bridge)
	b.complete("left while a join hung", l.judge(to.inQueue(topics)), 0)

	// The only broker, and so the coordinator, stands still. It runs on after the bridge has gone.
	k.nodes[0].signal(syscall.SIGSTOP)
	b.Cleanup(func() { _ = k.nodes[0].cmd.Process.Signal(syscall.SIGCONT) }) // for a test that ends early
	bridge.signal(syscall.SIGTERM)
	signaled = time.Now()
	code := bridge.wait(drainLimit)
	took = time.Since(signaled)
	k.nodes[0].signal(syscall.SIGCONT)
	b.Logf("while the broker stood still, the bridge left %v after the signal, exit %d", took.Round(10*time.Millisecond), code)
	if code != 0 || took > 30*time.Second {
		b.Errorf("exit %d after %v, want 0 within 30s: nothing was on its way; the log ends with\n%s", code, took, bridge.tail())
	}
	b.eventually(drainLimit, k.up)
}

// bridgesIn returns the ids of the bridge's members of a group that is in a state, nil when it is in another.
func bridgesIn(k *kafka, group, state string) (ids []string) {
	k.b.Helper()
	described, err := k.admin.DescribeGroups(k.b.Context(), group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		k.b.Fatal(err)
	}
	g := described[group]
	for _, m := range g.Members {
		if m.ClientID == "leaving" && g.State == state {
			ids = append(ids, m.MemberID)
		}
	}
	return ids
}
