//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKafka runs stories against one broker of each version of Apache Kafka. Those that take the broker away come first, one by one; the
// others then run beside each other, because they wait most of the time.
func TestKafka(t *testing.T) {
	t.Parallel()
	for _, name := range releases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := need(t, "kafka-"+name)
			k := newBench(t).startKafka(r, 1)
			for _, story := range []struct {
				name  string
				tell  func(*bench, *kafka)
				alone bool
			}{
				{"BrokerRestarted", brokerRestarted, true},
				{"SignalWhileJoining", signalWhileJoining, true},
				{"BadInput", badInput, false}, // the longest first
				{"TopicCreatedAgain", topicCreatedAgain, false},
				{"TopicsNotFound", topicsNotFound, false},
				{"NewPartitions", newPartitions, false},
				{"RolledUpAndBack", rolledUpAndBack, false},
				{"GroupScaled", groupScaled, false},
				{"BridgeKilled", bridgeKilled, false},
				{"ProxiesKilled", proxiesKilled, false},
				{"Starts", starts, false},
				{"LeastRights", leastRights, false},
				{"TLS", withCertificate, false},
				{"Token", withToken, false},
				{"GroupTakenOver", groupTakenOver, false},
				{"Transactions", transactions, false},
				{"Compaction", compaction, false},
				{"CommitLines", commitLines, false},
			} {
				t.Run(story.name, func(t *testing.T) {
					if !story.alone {
						t.Parallel()
					}
					b := newBench(t)
					story.tell(b, k.on(b))
				})
			}
		})
	}
}

// TestKafkaWithSmallMetadata runs against a broker that takes 10 bytes of metadata with a commit.
func TestKafkaWithSmallMetadata(t *testing.T) {
	t.Parallel()
	r := need(t, "kafka-"+releases()[0])
	b := newBench(t)
	smallMetadata(b, b.startKafkaWith(r, 1, map[string]any{"offset.metadata.max.bytes": 10}))
}

// Half of the data is in transactions, a third of which are aborted. The bridge is killed among them. One
// transaction stays open for a while; the last thing in the log is one that was aborted.
func transactions(b *bench, k *kafka) {
	const group = "transactions"
	topics := []string{"transactions"}
	k.createTopics(3, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 2, "--queue-delay", "300ms")
	s := bridgeSettings(k.cluster, group, topics, to).set("kafka.instance_id", "bridge-0")
	bridge := b.startBridge("bridge", s)
	producer, err := kgo.NewClient(append([]kgo.Opt{
		kgo.TransactionalID(group + "-" + newLedger().prefix),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerBatchMaxBytes(4 << 10), // several batches in one transaction
	}, k.opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(producer.Close)

	l := newLedger()
	aborted := 0
	begin := func(n int) map[string]place {
		if err := producer.BeginTransaction(); err != nil {
			b.Fatalf("beginning a transaction: %v", err)
		}
		records := make([]*kgo.Record, n)
		ids := make([]string, n)
		for i := range records {
			ids[i] = l.id()
			records[i] = &kgo.Record{Topic: topics[0], Value: valueOf(ids[i])}
		}
		if err := producer.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
			b.Fatalf("producing in a transaction: %v", err)
		}
		places := make(map[string]place)
		for i, r := range records {
			places[ids[i]] = place{r.Topic, r.Partition, r.Offset}
		}
		return places
	}
	end := func(places map[string]place, how kgo.TransactionEndTry) {
		if err := producer.EndTransaction(b.Context(), how); err != nil {
			b.Fatalf("ending a transaction: %v", err)
		}
		if how == kgo.TryAbort {
			aborted += len(places) // not in the ledger: foreign if it arrives
			return
		}
		for id, at := range places {
			l.add(id, at)
		}
	}
	allowed := 0
	for n := range 45 {
		places := begin(20 + n*7%200)
		end(places, kgo.TransactionEndTry(n%3 != 0))
		l.produce(k.cluster, 50, topics...)
		if n == 20 {
			bridge.kill()
			allowed = l.committedIsSafe(k.cluster, group, to, topics)
			bridge = b.startBridge("bridge", s)
		}
	}
	open := begin(100)
	b.pause(2 * time.Second)
	for id := range to.inQueue(topics).times {
		if _, ok := open[id]; ok {
			b.Fatalf("%s was delivered while its transaction was open", id)
		}
	}
	end(open, kgo.TryCommit)
	end(begin(100), kgo.TryAbort)
	if aborted == 0 {
		b.Fatal("nothing was aborted, so this shows nothing")
	}
	b.Logf("%d records were aborted", aborted)
	k.caughtUp(group, topics, drainLimit, bridge)
	b.complete("transactions", l.judge(to.inQueue(topics)), allowed)
	b.proved(s) // markers and aborted records are none
}

// A topic in which the log cleaner has made holes, at the front too, and goes on making them.
func compaction(b *bench, k *kafka) {
	const (
		group = "compaction"
		keys  = 300
	)
	topics := []string{"compacted"}
	k.createTopics(2, 1, topics, "cleanup.policy", "compact", "segment.ms", "300",
		"min.cleanable.dirty.ratio", "0.01", "min.compaction.lag.ms", "0", "max.compaction.lag.ms", "500")
	producer, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, k.opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(producer.Close)
	l := newLedger()
	round := func() {
		records := make([]*kgo.Record, keys)
		ids := make([]string, keys)
		for i := range records {
			ids[i] = l.id()
			records[i] = &kgo.Record{Topic: topics[0], Partition: int32(i % 2), Key: fmt.Append(nil, "key-", i), Value: valueOf(ids[i])}
		}
		if err := producer.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
			b.Fatalf("producing: %v", err)
		}
		for i, r := range records {
			l.add(ids[i], place{r.Topic, r.Partition, r.Offset})
		}
	}
	for range 6 {
		round()
		b.pause(400 * time.Millisecond) // the next record closes the segment
	}
	var left map[string]place
	b.eventually(drainLimit, func() error {
		left = k.read(topics[0])
		if len(left) > l.size()*2/3 {
			return fmt.Errorf("%d of %d records are still there, the log has no holes yet", len(left), l.size())
		}
		return nil
	})
	b.Logf("the log cleaner left %d of %d records", len(left), l.size())

	to := b.startSink(k.cluster, 1, topics, 2, "--queue-delay", "300ms")
	s := bridgeSettings(k.cluster, group, topics, to)
	bridge := b.startBridge("bridge", s)
	round()
	b.pause(400 * time.Millisecond)
	round()
	k.caughtUp(group, topics, drainLimit, bridge)
	// What is there at the end was there all the time.
	kept := &ledger{prefix: "none", produced: k.read(topics[0])}
	a := to.inQueue(topics)
	b.complete("what the log cleaner kept", kept.judge(a), 0)
	if v := l.judge(a); len(v.foreign) > 0 || v.duplicates > 0 {
		b.Errorf("all that was produced: %v, want no duplicates and nothing foreign", v)
	}
	b.proved(s) // also those that the log cleaner has taken since they were delivered
}

// read reads a topic to its end, by identity.
func (k *kafka) read(topic string) map[string]place {
	k.b.Helper()
	ends, err := k.admin.ListEndOffsets(k.b.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		k.b.Fatal(err)
	}
	reader, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(),
	}, k.opts...)...)
	if err != nil {
		k.b.Fatal(err)
	}
	defer reader.Close()
	all := make(map[string]place)
	for left := len(ends[topic]); left > 0; {
		fetches := reader.PollFetches(k.b.Context())
		if err := fetches.Err(); err != nil {
			k.b.Fatalf("reading %s: %v", topic, err)
		}
		for r := range fetches.RecordsAll() {
			end, ok := ends.Lookup(r.Topic, r.Partition)
			if !ok || r.Offset >= end.Offset {
				continue
			}
			if r.Offset == end.Offset-1 { // the last record of a log is never cleaned away
				left--
			}
			if id, ok := identity(r.Value); ok {
				all[id] = place{r.Topic, r.Partition, r.Offset}
			}
		}
	}
	return all
}

// The real proxies that were named from outside, or two devproxies.
func (b *bench) sinkFor(k *kafka, topics []string) *sink {
	b.Helper()
	if to := b.outsideSink(); to != nil {
		return to
	}
	return b.startSink(k.cluster, 1, topics, 2, "--queue-delay", held.String())
}

func bridgeKilled(b *bench, k *kafka) {
	topics := []string{"orders", "logs"}
	k.createTopics(4, 1, topics)
	b.killBridge(k.cluster, topics, b.sinkFor(k, topics), true)
}

func proxiesKilled(b *bench, k *kafka) {
	topics := []string{"clicks", "views"}
	k.createTopics(4, 1, topics)
	to := b.sinkFor(k, topics)
	if to.proxies[0].begin == nil {
		b.Skip("SKIPPED: E2E_DATAPROXY_CMD does not say how to start a DataProxy again, so none is killed")
	}
	v, allowed := b.killProxies(k.cluster, topics, to, "queue")
	b.complete("proxies killed", v, allowed)
}

// One bridge, then six, then one again, under load. A Manager tells them where everything is. Of the five that go two are told to, one is killed, and the
// last two are told to at once.
func groupScaled(b *bench, k *kafka) {
	const group, partitions, most = "scaled", 12, 6
	topics := []string{"scaled"}
	k.createTopics(partitions, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 2, "--queue-delay", "300ms")
	to.announce(b, topics)
	s := bridgeSettings(k.cluster, group, topics, to)
	l := newLedger()
	load := l.startLoad(k.cluster, 1500, topics...)
	first := b.startBridge("bridge-1", s)
	k.members(group, 1, partitions)
	b.pause(2 * time.Second)
	others := make([]*process, 0, most-1)
	for n := 2; n <= most; n++ {
		others = append(others, b.startBridge(fmt.Sprintf("bridge-%d", n), s))
	}
	k.members(group, most, partitions)
	k.advances(group, first)
	b.pause(2 * time.Second)

	left := most
	leave := func(ps ...*process) {
		for _, p := range ps {
			p.signal(syscall.SIGTERM)
		}
		for _, p := range ps {
			if code := p.wait(drainLimit); code != 0 {
				b.Errorf("%s: exit %d after SIGTERM, want 0; the log ends with\n%s", p.name, code, p.tail())
			}
		}
		left -= len(ps)
		k.members(group, left, partitions)
		k.advances(group, first)
	}
	leave(others[0])
	leave(others[1])
	others[2].kill()
	allowed := l.committedIsSafe(k.cluster, group, to, topics)
	left--
	k.members(group, left, partitions)
	k.advances(group, first)
	leave(others[3:]...)
	load.stop()
	k.caughtUp(group, topics, drainLimit, first)
	// Going up, and those that were told to go, cost nothing; the kill costs what was not final.
	b.complete("scaled from 1 to 6 to 1", l.judge(to.inQueue(topics)), allowed)
}

// members waits until the group has n members that hold all partitions, none without any.
func (k *kafka) members(group string, n, partitions int) {
	k.b.Helper()
	began := time.Now()
	k.b.eventually(drainLimit, func() error {
		described, err := k.admin.DescribeGroups(k.b.Context(), group)
		if err == nil {
			err = described.Error()
		}
		if err != nil {
			return err
		}
		g := described[group]
		shares, sum := make([]int, 0, n), 0
		for _, m := range g.Members {
			share := 0
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range a.Topics {
					share += len(t.Partitions)
				}
			}
			shares = append(shares, share)
			sum += share
		}
		if g.State != "Stable" || len(shares) != n || sum != partitions {
			return fmt.Errorf("group %s is %s, its members have %v of %d partitions, want %d members", group, g.State, shares, partitions, n)
		}
		if slices.Contains(shares, 0) {
			return fmt.Errorf("a member has no partitions: %v", shares)
		}
		return nil
	})
	k.b.Logf("%d members after %v", n, time.Since(began).Round(10*time.Millisecond))
}

// advances waits until every partition that has something to commit has been committed once more.
func (k *kafka) advances(group string, working *process) {
	k.b.Helper()
	before := k.committed(group)
	k.b.eventually(drainLimit, func() error {
		for topic, partitions := range before {
			now := k.committed(group)[topic]
			for p, at := range partitions {
				if now[p] <= at {
					return fmt.Errorf("%s/%d stays committed at %d; a bridge's log ends with\n%s", topic, p, at, working.tail())
				}
			}
		}
		return nil
	})
}
