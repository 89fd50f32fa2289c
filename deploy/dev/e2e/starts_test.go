//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
)

// Where partitions without a commit begin: nowhere with start: committed, and where a file says with start: file. What
// the file cannot say stops, alone, and nothing of it is read or committed.
func starts(b *bench, k *kafka) {
	const (
		group, topic = "starts", "starts"
		partitions   = 6
	)
	topics := []string{topic}
	k.createTopics(partitions, 1, topics)
	_, old := k.idOf(topic)
	k.createAgain(topic, partitions)
	_, id := k.idOf(topic)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	l := newLedger()
	l.produce(k.cluster, 1200, topics...)
	ends := make(map[int32]int64)
	for _, at := range l.all() {
		ends[at.partition] = max(ends[at.partition], at.offset+1)
	}
	if len(ends) != partitions {
		b.Fatalf("only the partitions %v have records", ends)
	}
	admin := b.freeAddr()
	s := bridgeSettings(k.cluster, group, topics, to).set("admin.listen", admin)

	s.set("kafka.start", "committed")
	for _, command := range []string{"run", "migrate"} {
		p := b.program("refused-"+command, command, "-c", b.writeSettings("refused", s))
		if code := p.wait(drainLimit); code != 1 || !strings.Contains(p.output(), "group starts has no committed offset") {
			b.Errorf("%s with a group without commits: exit %d, want 1 and the reason\n%s", command, code, p.tail())
		}
	}

	half := ends[4] / 2
	k.commitAs(group, topic, 4, half, "")
	entry := func(id resume.TopicID, num int32, offset int64) string {
		return startfile.Entry{Topic: topic, ID: id, Partition: num, Offset: offset}.String()
	}
	write := func(lines ...string) { b.write("starts.offsets", strings.Join(lines, "\n")+"\n") }
	write(
		"# partition 3 is not named, and 4 has a commit",
		entry(id, 0, 7), entry(id, 1, ends[1]+1), entry(id, 4, 0), entry(id, 5, ends[5]),
		"elsewhere:"+old.String()+"/0@0",
	)
	s.set("kafka.start", "file").set("kafka.start_file", b.path("starts.offsets"))
	check := b.program("check", "check", "-c", b.writeSettings("check", s))
	if code := check.wait(drainLimit); code != 0 || !strings.Contains(check.output(), "do not consume topic elsewhere") {
		b.Errorf("check: exit %d, want 0 and a note on the topic that nobody consumes\n%s", code, check.tail())
	}

	// stopped runs a bridge until the named partitions have stopped and the others are at their ends.
	stopped := func(says map[int32]string) {
		b.Helper()
		bridge := b.startBridge("bridge", s)
		b.eventually(drainLimit, func() error {
			status, err := b.statusAt(admin)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, bridge.tail())
			}
			if len(status.Parts) != partitions {
				return fmt.Errorf("%d partitions are assigned\n%s", len(status.Parts), bridge.tail())
			}
			for _, p := range status.Parts {
				if text, stops := says[p.Partition]; stops && (p.Stall != "no_start" || !strings.Contains(p.Reason, text)) || !stops && p.Final != ends[p.Partition] {
					return fmt.Errorf("partition %d is %+v, want it stopped: %v %q", p.Partition, p, stops, text)
				}
			}
			return nil
		})
		bridge.signal(syscall.SIGTERM)
		if code := bridge.wait(drainLimit); code != 3 {
			b.Errorf("exit %d, want 3: partitions are stopped\n%s", code, bridge.tail())
		}
		for num, at := range k.committed(group)[topic] {
			if _, stops := says[num]; stops && at >= 0 {
				b.Errorf("offset %d was committed for partition %d, which nothing gave a start", at, num)
			}
		}
	}
	begins := map[int32]int64{0: 7, 4: half, 5: ends[5]}
	// mustHold wants exactly what lies at and behind the starts.
	mustHold := func(what string) {
		b.Helper()
		got := to.inQueue(topics)
		for record, at := range l.all() {
			begin, ok := begins[at.partition]
			if want := ok && at.offset >= begin; want != (got.times[record] > 0) {
				b.Errorf("%s: the record at offset %d of partition %d arrived %d times, want it: %v", what, at.offset, at.partition, got.times[record], want)
				return
			}
		}
	}
	stopped(map[int32]string{1: "outside its log", 2: "no line", 3: "no line"})
	mustHold("with a file")

	// The topic that the file was made for was deleted. What has a commit goes on, and the file says nothing of it.
	write(entry(old, 0, 0), entry(old, 1, 0), entry(old, 2, 0), entry(old, 3, 0), entry(old, 4, 0))
	stopped(map[int32]string{1: old.String(), 2: "is of a topic with id", 3: id.String()})
	mustHold("with a file of the deleted topic")

	// Retention took what the line names.
	gone := make(kadm.Offsets)
	gone.AddOffset(topic, 1, 5, -1)
	if _, err := k.admin.DeleteRecords(b.Context(), gone); err != nil {
		b.Fatal(err)
	}
	write(entry(id, 1, 4), entry(id, 2, 0))
	migrate := b.program("migrate", "migrate", "-c", b.writeSettings("migrate", s))
	if code := migrate.wait(drainLimit); code != 3 || !strings.Contains(migrate.output(), "outside its log, which begins at 5") || !strings.Contains(migrate.output(), "no line of") {
		b.Errorf("migrate: exit %d, want 3 with both reasons\n%s", code, migrate.tail())
	}
	begins[2] = 0
	mustHold("after a migration")

	// What offsets prints lets the rest begin by hand; then committed is enough.
	printed := b.program("offsets", "offsets", "-c", b.writeSettings("offsets", s))
	if code := printed.wait(drainLimit); code != 0 || !strings.Contains(printed.output(), entry(id, 4, ends[4])+"\n") || !strings.Contains(printed.output(), "# starts/3: no committed offset; its log holds offsets 0 to") {
		b.Errorf("offsets: exit %d, want a line for partition 4 and a comment for partition 3\n%s", code, printed.output())
	}
	write(entry(id, 1, 5), entry(id, 3, 0))
	begins[1], begins[3] = 5, 0
	bridge := b.startBridge("bridge", s)
	k.caughtUp(group, topics, drainLimit, bridge)
	bridge.kill()
	mustHold("with all lines")
	bridge = b.startBridge("bridge", s.set("kafka.start", "committed").set("kafka.start_file", nil))
	more := newLedger()
	more.produce(k.cluster, 300, topics...)
	k.caughtUp(group, topics, drainLimit, bridge)
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d with committed, want 0\n%s", code, bridge.tail())
	}
	b.complete("with committed", more.judge(to.inQueue(topics)), 0)
	mustHold("with committed")
}
