//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"inlong-bridge/connector"
)

// TestKafkaRecords accounts for each of RECORDS records, of which one in a thousand is odd, while proxies and bridges are killed. E2E_SEED
// repeats the draw.
func TestKafkaRecords(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.newRandomRun(records(t, 100_000), 4, 2, plainTopic, keyedTopic, lenientTopic, travelsTopic, abortsTopic)
	r.move(8000)
	f := r.find(r.to.template)
	r.accounted(f, r.letters())
	r.proved(0)
	r.packMissing(f)
	r.requeued(f)
}

// TestKafkaRecordsInOrder does the same with delivery.order. The first copies of a partition's, or a key's, records lie in the queue in the order
// of the source.
func TestKafkaRecordsInOrder(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"partition", "key"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			// A partition whose records alternate between streams would move one record at a time.
			r := b.newRandomRun(records(t, 100_000)/10, 2, 1, plainTopic, travelsTopic, abortsTopic)
			r.order = order
			r.s.set("delivery.order", order).set("pack.bytes", "16KiB")
			r.move(1000)
			f := r.find(r.to.template)
			r.accounted(f, r.letters())
			if f.compared == 0 {
				b.Error("no order was compared, so this shows nothing")
			}
			b.Logf("order: %s: %d first copies lie behind the one before them", order, f.compared)
		})
	}
}

func records(t *testing.T, n int) int {
	t.Helper()
	if text := os.Getenv("RECORDS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1000 {
			t.Fatalf("RECORDS=%s: want a number of at least 1000", text)
		}
	}
	return n
}

// randomRun is one run: a Kafka with the source, the queue and the dead letters, proxies, and bridges of one group.
type randomRun struct {
	*bench
	k          *kafka
	n          int
	topics     []string
	partitions int32
	to         *sink
	produced   *produced
	s          settings
	order      string
	rnd        *rand.Rand
	seed       uint64
}

const (
	recordsGroup   = "records"
	recordsLetters = "records-letters"
	queueCopy      = "copy.{group}.{stream}"
)

// faults that make single records odd for all proxies.
var recordFaults = []string{"--fault", "kind=bad-record&prefix=poison", "--fault", "kind=bad-record&prefix=refused&code=102"}

func (b *bench) newRandomRun(n int, partitions, queuePartitions int32, topics ...string) *randomRun {
	b.Helper()
	rel := need(b.T, "kafka-"+releases()[len(releases())-1])
	r := &randomRun{bench: b, k: b.startKafka(rel, 1), n: n, topics: topics, partitions: partitions, rnd: b.moments()}
	r.seed = r.rnd.Uint64()
	r.produced = &produced{prefix: newLedger().prefix, began: time.Now(), places: make(map[at][]int), odd: make(map[int]oddRecord)}
	k := r.k
	k.createTopics(partitions, 1, topics, "message.timestamp.after.max.ms", strconv.FormatInt(1<<62, 10))
	k.createTopics(3, 1, []string{recordsLetters}, "cleanup.policy", "compact", "message.timestamp.after.max.ms", strconv.FormatInt(1<<62, 10))
	r.to = &sink{queue: k.cluster, template: "queue.{group}.{stream}"}
	k.createTopics(queuePartitions, 1, r.to.topics(streams()))
	r.to.startProxies(b, 3, append([]string{"--queue-delay", "300ms", "--out", ""}, recordFaults...)...)
	rules := map[string]map[string]any{
		plainTopic: rule(plainTopic, "{topic}", nil), keyedTopic: rule(keyedTopic, "{key}", nil), abortsTopic: rule(abortsTopic, "{topic}", nil),
		lenientTopic: rule(lenientTopic, "{key}", map[string]any{"on_error": "skip"}),
		travelsTopic: rule(travelsTopic, "{topic}", map[string]any{
			"tombstone": "dead_letter", "forward": map[string]any{"key": true, "headers": "/.*/", "timestamp": true, "origin": true},
		}),
	}
	var routes []any
	for _, t := range topics {
		routes = append(routes, rules[t])
	}
	r.s = bridgeSettings(k.cluster, recordsGroup, nil, r.to).set("dead_letter.topic", recordsLetters).set("inlong.max_frame", "256KiB").
		set("pack.bytes", "128KiB").set("routes", routes)
	return r
}

func rule(topic, stream string, more map[string]any) map[string]any {
	r := map[string]any{"topics": []string{topic}, "group": streamGroup, "stream": stream, "on_error": "dead_letter"}
	maps.Copy(r, more)
	return r
}

// move starts two bridges, produces, kills bridges and proxies all the while, and waits until everything is committed.
func (r *randomRun) move(rate int) {
	r.Helper()
	began := time.Now()
	bridges := make([]*process, 2)
	start := func(i int) {
		// A static member comes back at once; a dynamic one would first have to be given up by the group.
		name := fmt.Sprintf("bridge-%d", i+1)
		s := maps.Clone(r.s)
		kafka := maps.Clone(s["kafka"].(map[string]any))
		s["kafka"] = kafka
		bridges[i] = r.startBridge(name, s.set("kafka.instance_id", name))
	}
	for i := range bridges {
		start(i)
	}
	done := r.produce(rate)
	kills := make(map[string]int)
	for producing := true; producing || kills["bridges"] == 0 || kills["proxies"] == 0; {
		select {
		case <-done:
			producing, done = false, nil
			continue
		case <-time.After(between(r.rnd, 50*time.Millisecond, 2*time.Second)):
		}
		victim := r.rnd.IntN(len(bridges) + len(r.to.proxies))
		down := between(r.rnd, 0, time.Second)
		if victim < len(bridges) {
			if bridge := bridges[victim]; bridge.ended() {
				r.Fatalf("%s ended by itself with %d; its log ends with\n%s", bridge.name, bridge.code, bridge.tail())
			}
			bridges[victim].kill()
			r.pause(down)
			start(victim)
			kills["bridges"]++
			continue
		}
		p := r.to.proxies[victim-len(bridges)]
		p.kill()
		r.pause(down)
		p.restart()
		kills["proxies"]++
	}
	produced := time.Since(began)
	r.k.caughtUp(recordsGroup, r.topics, drainLimit+time.Duration(r.n)*time.Millisecond, bridges...)
	r.Logf("%d records, %d of them odd, %d in aborted transactions beside them; %v killed in %v; all committed after %v", r.produced.size, len(r.produced.odd),
		r.produced.aborted, kills, produced.Round(time.Second), time.Since(began).Round(time.Second))
	for _, bridge := range bridges {
		bridge.signal(syscall.SIGTERM)
	}
	for _, bridge := range bridges {
		if code := bridge.wait(drainLimit); code != 0 {
			r.Errorf("%s: exit %d after SIGTERM, want 0; the log ends with\n%s", bridge.name, code, bridge.tail())
		}
	}
}

// reported runs a command with --json to its end and returns its report.
func (r *randomRun) reported(s settings, limit time.Duration, want int, command string, args ...string) connector.Report {
	r.Helper()
	p := r.program(command, append([]string{command, "-c", r.writeSettings(command, s), "--json"}, args...)...)
	if code := p.wait(limit); code != want {
		r.Errorf("%s %v: exit %d, want %d\n%s", command, args, code, want, p.tail())
	}
	var report connector.Report
	for line := range strings.Lines(p.output()) {
		if strings.HasPrefix(line, `{"result"`) {
			if err := json.Unmarshal([]byte(line), &report); err != nil {
				r.Fatal(err)
			}
			return report
		}
	}
	r.Fatalf("%s %v: no report in\n%s", command, args, p.tail())
	return report
}

// proved wants the books and the queue to say what was counted here; so many letters came home.
func (r *randomRun) proved(home int) {
	r.Helper()
	v := r.reported(r.s, 5*time.Minute, 0, "ledger", "--verify")
	count := r.produced.fates()
	var queue, missing, letters, byNumber, offsets int64
	for i := range v.Partitions {
		p := &v.Partitions[i]
		if p.Queue == nil {
			r.Fatalf("%s/%d is not verified: %+v", p.Topic, p.Partition, p)
		}
		queue += p.Queue.Found
		missing += p.Queue.Missing + p.Queue.NoProof
		letters += p.Queue.Letters
		byNumber += p.Queue.ByNumber
		offsets += p.Committed
	}
	s := v.Sums
	r.Logf("ledger --verify: %s", v.String())
	want := [...]int64{int64(count[arrives]), int64(count[arrives] + home), int64(count[lettered]), int64(count[lettered]), int64(count[skipped]), int64(count[skipped]), 0, 0, 0, offsets - int64(r.produced.size)}
	got := [...]int64{s.Final, queue, s.DeadLettered, letters, s.Skipped, byNumber, missing, s.Lost, s.SkippedByHand, s.Gap}
	if v.Result != connector.Pass || got != want {
		r.Errorf("ledger --verify: %s with final, found, letters by the books and found, skipped by the books and by number, missing, lost, by hand, gap %v; want PASS and %v", v.Result, got, want)
	}
	if v.Queue.NoLineage+v.Queue.Unreadable+v.Queue.Foreign > 0 {
		r.Errorf("ledger --verify read %+v, want only packs of the group, with lineage", v.Queue)
	}
}

// packMissing copies the queue without one pack of the plain stream. Exactly its records are missing then.
func (r *randomRun) packMissing(f *found) {
	r.Helper()
	copied := sink{queue: r.k.cluster, template: queueCopy}
	r.k.createTopics(2, 1, copied.topics(streams()))
	var alone []foundPack
	for _, p := range f.packs {
		if slices.ContainsFunc(p.records, func(at place) bool { return f.times[at] == 1 }) {
			alone = append(alone, p)
		}
	}
	if len(alone) == 0 {
		r.Fatal("each pack has only records that lie in another one too")
	}
	left := alone[r.rnd.IntN(len(alone))]
	r.copyQueue(copied.topics(streams()), left)
	want := make(map[at][]int64)
	for _, p := range left.records {
		if k := (at{p.topic, p.partition}); f.times[p] == 1 {
			want[k] = append(want[k], p.offset)
		}
	}
	s := maps.Clone(r.s)
	s["queue"] = map[string]any{"kafka": []any{map[string]any{"brokers": r.k.brokers, "topic": queueCopy}}}
	v := r.reported(s, 5*time.Minute, 4, "ledger", "--verify")
	if v.Result != connector.Fail {
		r.Errorf("ledger --verify of the queue without a pack: %s, want FAIL", v.Result)
	}
	for i := range v.Partitions {
		p := &v.Partitions[i]
		k := at{p.Topic, p.Partition}
		if wanted := intervalsOf(want[k]); p.Queue == nil || int(p.Queue.Missing) != len(want[k]) || p.Queue.NoProof > 0 || p.Queue.AtMost || !slices.Equal(p.Queue.Intervals, wanted) {
			r.Errorf("%s/%d without the pack: %+v; want %d missing at %v", p.Topic, p.Partition, p.Queue, len(want[k]), wanted)
		}
	}
	r.Logf("without the pack of %d records at %s/%d offset %d: FAIL with %v", len(left.records), left.topic, left.partition, left.offset,
		slices.SortedFunc(maps.Keys(want), func(a, b at) int { return cmp.Compare(a.partition, b.partition) }))
}

// requeued mends what made the letters, and wants each of them to arrive. The first run is killed.
func (r *randomRun) requeued(before *found) {
	r.Helper()
	for _, p := range r.to.proxies {
		p.kill()
		p.args = p.args[:len(p.args)-len(recordFaults)]
		p.restart()
	}
	mended := maps.Clone(r.s)
	mended["inlong"] = maps.Clone(mended["inlong"].(map[string]any))
	mended.set("inlong.max_frame", "512KiB")
	mended["routes"] = []any{rule(plainTopic, "{topic}", nil), rule(keyedTopic, keyedTopic+"-0", nil), rule(travelsTopic, "{topic}", nil)}
	count, batches := r.produced.fates()[lettered], 0
	for _, o := range r.produced.odd {
		batches += int(btoi(o.record == nil && o.way.fate == lettered))
	}
	count -= batches
	rate := max(10, count/4)
	cut := r.program("requeue", "requeue", "-c", r.writeSettings("requeue", mended), "--skip-unreadable", "--rate", strconv.Itoa(rate))
	r.eventually(drainLimit, func() error {
		if total(r.k.committed(recordsGroup+".requeue")) > 0 {
			return nil
		}
		return fmt.Errorf("nothing is committed\n%s", cut.tail())
	})
	if cut.ended() {
		r.Error("requeue ended before it was killed, so the kill shows nothing")
	}
	cut.kill()
	v := r.reported(mended, 5*time.Minute, 0, "requeue", "--skip-unreadable")
	r.Logf("requeue: %s", v.String())
	if v.Result != connector.Pass || v.Sums.DeadLettered+v.Sums.Lost > 0 {
		r.Errorf("requeue: %s, want PASS and nothing dead-lettered again", v.String())
	}
	home := 0
	for p, n := range r.find(r.to.template).requeued {
		if before.times[p] > 0 || r.produced.fateOf(p) != lettered {
			r.Errorf("%+v arrived %d times from a letter, and has none", p, n)
		}
		home++
	}
	if home != count {
		r.Errorf("%d letters came home, want %d", home, count)
	}
	r.proved(home)
}
