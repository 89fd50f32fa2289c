//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/resume"
)

// createAgain deletes a topic and creates it under the same name. Kafka deletes in its own time.
func (k *kafka) createAgain(topic string, partitions int32) {
	k.b.Helper()
	_, old := k.idOf(topic)
	if _, err := k.admin.DeleteTopic(k.b.Context(), topic); err != nil {
		k.b.Fatalf("deleting topic %s: %v", topic, err)
	}
	k.b.eventually(drainLimit, func() error {
		_, err := k.admin.CreateTopic(k.b.Context(), partitions, 1, nil, topic)
		return err
	})
	k.b.eventually(drainLimit, func() error {
		if _, id := k.idOf(topic); id == old {
			return errors.New("the brokers still tell of the old topic")
		}
		return nil
	})
	k.client.PurgeTopicsFromClient(topic)
}

// idOf waits until the brokers tell of a topic.
func (k *kafka) idOf(topic string) (cluster string, id resume.TopicID) {
	k.b.Helper()
	k.b.eventually(drainLimit, func() error {
		m, err := k.admin.Metadata(k.fresh(), topic)
		if err != nil {
			return err
		}
		cluster, id = m.Cluster, resume.TopicID(m.Topics[topic].ID)
		return m.Topics[topic].Err
	})
	return cluster, id
}

func (k *kafka) lineOf(group, topic string, partition int32) (at int64, line resume.Line, ok bool) {
	k.b.Helper()
	offsets, err := k.fetchOffsets(k.b.Context(), group)
	if err != nil {
		k.b.Fatal(err)
	}
	o, found := offsets.Lookup(topic, partition)
	if !found {
		return -1, line, false
	}
	line, ok = resume.Parse(o.Metadata)
	return o.At, line, ok
}

func (k *kafka) commitAs(group, topic string, partition int32, at int64, metadata string) {
	k.b.Helper()
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	if err := k.admin.CommitAllOffsets(k.b.Context(), group, offsets); err != nil {
		k.b.Fatalf("committing for group %s: %v", group, err)
	}
}

// A topic is deleted and created again: under load, while no bridge runs, twice, with fewer and with more records, and
// with a member that takes over. Everything that the new topic holds arrives.
func topicCreatedAgain(b *bench, k *kafka) {
	for _, fresh := range []int{300, 3000} {
		topic := fmt.Sprintf("again-%d", fresh)
		group, topics := topic, []string{topic}
		k.createTopics(1, 1, []string{topic, "another-" + topic})
		to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "3s") // nothing is final when the topic goes
		old, admin := newLedger(), b.freeAddr()
		s := bridgeSettings(k.cluster, group, topics, to).set("kafka.metadata_max_age", "5m").set("admin.listen", admin)
		bridge := b.startBridge("bridge-"+topic, s)
		old.produce(k.cluster, 1000, topics...)
		b.eventually(drainLimit, func() error { return b.partition(admin, func(p partitionState) bool { return p.Position >= 1000 }) })
		k.createAgain(topic, 1)
		l := newLedger()
		l.produce(k.cluster, fresh, topics...)
		b.eventually(drainLimit, func() error {
			return b.partition(admin, func(p partitionState) bool { return p.Stall == "recreated" || p.Stall == "deleted" })
		})
		bridge.signal(syscall.SIGTERM)
		if code := bridge.wait(drainLimit); code != 3 {
			b.Errorf("exit %d after the topic was created again, want 3: its partition is stopped", code)
		}
		if at := k.committed(group)[topic][0]; at > 0 {
			b.Errorf("offset %d of the old topic was committed for the new one", at)
		}
		bridge = b.startBridge("bridge-"+topic, s)
		k.caughtUp(group, topics, drainLimit, bridge)
		b.complete("created again under load", l.judge(to.inQueue(topics)), 0)
		bridge.signal(syscall.SIGTERM)
		if code := bridge.wait(drainLimit); code != 0 {
			b.Errorf("exit %d, want 0\n%s", code, bridge.tail())
		}

		// While no bridge runs, twice; the bridge that comes reads new topics from their end. A commit of another
		// topic tells that the group is not new.
		for range 2 {
			k.createAgain(topic, 1)
		}
		l = newLedger()
		l.produce(k.cluster, fresh, topics...)
		k.commitAs(group, "another-"+topic, 0, 0, "")
		bridge = b.startBridge("bridge-"+topic, s.set("kafka.start", "latest"))
		k.caughtUp(group, topics, drainLimit, bridge)
		b.complete("created again twice while no bridge ran", l.judge(to.inQueue(topics)), 0)

		// A second member holds the topic's old id when it takes over.
		second := b.startBridge("second-"+topic, s.set("admin.listen", b.freeAddr()))
		b.pause(2 * time.Second)
		k.createAgain(topic, 1)
		l = newLedger()
		l.produce(k.cluster, fresh, topics...)
		b.pause(time.Second)
		bridge.kill()
		b.pause(8 * time.Second) // its session ends
		k.caughtUp(group, topics, drainLimit, second)
		b.complete("created again, and another member took over", l.judge(to.inQueue(topics)), 0)
	}
}

// partitionState is the only partition of a status.
type partitionState struct {
	Position int64
	Stall    string
}

func (b *bench) partition(admin string, ok func(partitionState) bool) error {
	s, err := b.statusAt(admin)
	if err != nil {
		return err
	}
	for i := range s.Parts {
		if p := (partitionState{s.Parts[i].Position, s.Parts[i].Stall}); !ok(p) {
			return fmt.Errorf("the partition is %+v", p)
		}
	}
	if len(s.Parts) == 0 {
		return errors.New("no partition is assigned")
	}
	return nil
}

// The line of a commit: of a topic that was deleted, from another cluster, and where nothing ever moves.
func commitLines(b *bench, k *kafka) {
	topics := []string{"lines"}
	k.createTopics(2, 1, topics)
	cluster, old := k.idOf("lines")
	k.createAgain("lines", 2)
	_, id := k.idOf("lines")
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	l := newLedger()
	l.produce(k.cluster, 400, topics...)
	line := func(cluster string, id resume.TopicID, at int64) string {
		return resume.Line{Cluster: cluster, Topic: id, At: time.Now(), Seen: resume.Sight{Partitions: 2, At: time.Now()}, Books: resume.Books{Final: at}}.String()
	}
	ends, err := k.admin.ListEndOffsets(b.Context(), "lines")
	if err != nil {
		b.Fatal(err)
	}
	end, _ := ends.Lookup("lines", 0)

	// Mirrored, with its line: the offset is believed. The partition is idle and gets a line of this cluster.
	k.commitAs("mirrored", "lines", 0, end.Offset, line("another-cluster", old, end.Offset))
	bridge := b.startBridge("mirrored", bridgeSettings(k.cluster, "mirrored", topics, to))
	k.caughtUp("mirrored", topics, drainLimit, bridge)
	b.eventually(drainLimit, func() error {
		if at, got, ok := k.lineOf("mirrored", "lines", 0); !ok || got.Cluster != cluster || got.Topic != id || got.Books.From != end.Offset || at != end.Offset {
			return fmt.Errorf("the commit at %d has line %+v, want one of this cluster whose books begin at %d", at, got, end.Offset)
		}
		return nil
	})
	bridge.kill()
	half := to.inQueue(topics)
	if n := len(half.times); n != 400-int(end.Offset) {
		b.Errorf("%d records arrived, want the %d of the partition without a commit", n, 400-int(end.Offset))
	}

	// Of the topic that was deleted: refused, by run and by migrate, also after a restart.
	k.commitAs("refused", "lines", 0, end.Offset-9, line(cluster, old, end.Offset-9))
	s := bridgeSettings(k.cluster, "refused", topics, to).set("kafka.start", "latest")
	for range 2 {
		migrate := b.program("migrate", "migrate", "-c", b.writeSettings("migrate", s))
		if code := migrate.wait(drainLimit); code != 3 || !strings.Contains(migrate.output(), old.String()) {
			b.Errorf("migrate: exit %d, want 3 and the id of the deleted topic\n%s", code, migrate.tail())
		}
	}
	bridge = b.startBridge("refused", s.set("kafka.start", "earliest"))
	k.caughtUp("refused", topics, drainLimit, bridge)
	b.complete("refused", l.judge(to.inQueue(topics)), 2*400)
	if _, got, ok := k.lineOf("refused", "lines", 0); !ok || got.Topic != id || got.Books.From != 0 || !got.Books.Close(end.Offset) {
		b.Errorf("line %+v, want books of the new topic from 0 to %d", got, end.Offset)
	}
}

// No commit is not a new group: partitions and topics that came while nobody looked are read from their start.
func newPartitions(b *bench, k *kafka) {
	const group = "new-partitions"
	topics := []string{"growing"}
	k.createTopics(1, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	history := newLedger()
	history.produce(k.cluster, 500, topics...)
	s := bridgeSettings(k.cluster, group, topics, to).set("kafka.start", "latest")
	k.createTopics(3, 1, []string{"replicated"})
	many := b.startSink(k.cluster, 1, []string{"replicated"}, 1, "--queue-delay", "100ms")
	long := newLedger()
	long.produce(k.cluster, 3000, "replicated")

	bridge := b.startBridge("bridge", s)
	k.caughtUp(group, topics, drainLimit, bridge)
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Fatalf("exit %d\n%s", code, bridge.tail())
	}
	grow := func(n int) {
		if res, err := k.admin.UpdatePartitions(b.Context(), n, topics...); err != nil || res.Error() != nil {
			b.Fatal(err, res.Error())
		}
		k.client.PurgeTopicsFromClient(topics...)
		b.eventually(drainLimit, func() error {
			m, err := k.admin.Metadata(k.fresh(), topics...)
			if err == nil && len(m.Topics[topics[0]].Partitions) != n {
				err = errors.New("the brokers do not tell of all partitions yet")
			}
			return err
		})
	}
	grow(2)
	l := newLedger()
	l.produce(k.cluster, 50, topics...)
	bridge = b.startBridge("bridge", s)
	k.caughtUp(group, topics, drainLimit, bridge)
	b.complete("added while no bridge ran", l.judge(to.inQueue(topics)), 0)
	grow(4)
	l.produce(k.cluster, 200, topics...)
	second := b.startBridge("second", s)
	k.caughtUp(group, topics, drainLimit, bridge, second)
	b.complete("added before a second bridge started", l.judge(to.inQueue(topics)), 0)
	if v := history.judge(to.inQueue(topics)); v.missing != v.produced {
		b.Errorf("history that start: latest passed over was sent: %v", v)
	}

	// Three replicas in the same second, the second one killed at once.
	s = bridgeSettings(k.cluster, "replicas", []string{"replicated"}, many).set("kafka.start", "latest")
	first := b.startBridge("replica-1", s)
	killed := b.startBridge("replica-2", s)
	third := b.startBridge("replica-3", s)
	b.pause(300 * time.Millisecond)
	killed.kill()
	k.caughtUp("replicas", []string{"replicated"}, drainLimit, first, third)
	if v := long.judge(many.inQueue([]string{"replicated"})); v.missing != v.produced {
		b.Errorf("a replica sent the history: %v", v)
	}
	late := newLedger()
	late.produce(k.cluster, 300, "replicated")
	k.caughtUp("replicas", []string{"replicated"}, drainLimit, first, third)
	b.complete("after three replicas started", late.judge(many.inQueue([]string{"replicated"})), 0)
}

// before is the version whose commits have no line. Its program is built from the repository's history.
const before = "f91c421"

var errNoHistory = errors.New("the version before is not to be had")

// oldBridge builds it once.
var oldBridge = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("%w: no git repository", errNoHistory)
	}
	tree, dir := filepath.Join(scratch, "tree"), strings.TrimSpace(string(root))
	if out, err := exec.Command("git", "-C", dir, "worktree", "add", "--detach", tree, before).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: the repository's history has no commit %s: %s", errNoHistory, before, out)
	}
	defer func() { _ = exec.Command("git", "-C", dir, "worktree", "remove", "--force", tree).Run() }()
	program := filepath.Join(scratch, "before")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/inlong-bridge") // the path of the tree is another one each time
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the version before: %w\n%s", err, out)
	}
	return program, nil
})

// Two bridges of the version before are replaced by this one under load, and back again, and forth.
func rolledUpAndBack(b *bench, k *kafka) {
	program, err := oldBridge()
	if err != nil && !errors.Is(err, errNoHistory) {
		b.Fatal(err)
	}
	if err != nil {
		fmt.Printf("\nSKIPPED %s: %v\n", b.Name(), err)
		b.Skipf("SKIPPED: %v", err)
	}
	const group = "rolled"
	topics := []string{"rolled"}
	k.createTopics(6, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 2, "--queue-delay", "300ms")
	s := bridgeSettings(k.cluster, group, topics, to)
	l := newLedger()
	load := l.startLoad(k.cluster, 1000, topics...)
	n := 0
	start := func(old bool) *process {
		n++
		if old {
			name := fmt.Sprintf("before-%d", n)
			return b.start(name, command(program, "run", "-c", b.writeSettings(name, s)))
		}
		return b.startBridge(fmt.Sprintf("bridge-%d", n), s)
	}
	running := []*process{start(true), start(true)}
	k.members(group, 2, 6)
	for _, old := range []bool{false, true, false} {
		for i := range running {
			running[i].signal(syscall.SIGTERM)
			if code := running[i].wait(drainLimit); code != 0 {
				b.Errorf("%s: exit %d, want 0\n%s", running[i].name, code, running[i].tail())
			}
			running[i] = start(old)
			k.members(group, 2, 6)
			k.advances(group, running[i])
		}
		for num := range int32(6) {
			if at, line, ok := k.lineOf(group, topics[0], num); ok == old || ok && !line.Books.Close(at) {
				b.Errorf("with version before: %v, the commit %d of %d has line %+v, %v", old, at, num, line, ok)
			}
		}
	}
	load.stop()
	k.caughtUp(group, topics, drainLimit, running...)
	b.complete("rolled up, back and up", l.judge(to.inQueue(topics)), 0)
}

// A broker that allows 10 bytes of metadata takes the offset and no line.
func smallMetadata(b *bench, k *kafka) {
	topics := []string{"small"}
	k.createTopics(1, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	l := newLedger()
	l.produce(k.cluster, 500, topics...)
	bridge := b.startBridge("bridge", bridgeSettings(k.cluster, "small", topics, to))
	k.caughtUp("small", topics, drainLimit, bridge)
	if _, line, ok := k.lineOf("small", "small", 0); ok {
		b.Errorf("the broker took the line %+v", line)
	}
	if n := strings.Count(bridge.output(), "offset.metadata.max.bytes"); n != 1 {
		b.Errorf("the log names offset.metadata.max.bytes %d times, want once\n%s", n, bridge.tail())
	}
	b.complete("without lines", l.judge(to.inQueue(topics)), 0)
}
