//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/reason"
)

// letter is a dead letter and the record that it holds.
type letter struct {
	deadletter.Letter
	original *kgo.Record
}

// letters reads a dead-letter topic to its end, by the topic of the originals.
func (k *kafka) letters(topic string) map[string][]letter {
	k.b.Helper()
	all := make(map[string][]letter)
	for _, r := range k.records(topic) {
		l, original, err := deadletter.Decode(r)
		if err != nil {
			k.b.Fatal(err)
		}
		all[l.Topic] = append(all[l.Topic], letter{l, original})
	}
	return all
}

// records reads a topic that nobody compacts or writes to in transactions to its end.
func (k *kafka) records(topic string) (all []*kgo.Record) {
	k.b.Helper()
	ends, err := k.admin.ListEndOffsets(k.b.Context(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		k.b.Fatal(err)
	}
	var n int64
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	reader, err := kgo.NewClient(append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, k.opts...)...)
	if err != nil {
		k.b.Fatal(err)
	}
	defer reader.Close()
	for int64(len(all)) < n {
		fetches := reader.PollFetches(k.b.Context())
		if err := fetches.Err(); err != nil {
			k.b.Fatalf("reading %s: %v", topic, err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// holds says what is wrong with the letters of the topic: there must be one, of the odd record as it was produced.
func (o *oddTopic) holds(k *kafka, ls []letter) error {
	if o.code == "" || o.record == nil {
		if len(ls) > 0 {
			return fmt.Errorf("%d letters, the first is %+v", len(ls), ls[0])
		}
		return nil
	}
	if len(ls) != 1 {
		return fmt.Errorf("%d letters, want 1", len(ls))
	}
	l, got, want := ls[0].Letter, ls[0].original, o.record
	cluster, id := k.idOf(o.topic)
	sent := o.code == reason.Poison || o.code == reason.Refused
	switch {
	case l.Reason != string(o.code) || !strings.Contains(l.Sentence, o.says):
		return fmt.Errorf("it says %s, %q; want %s and %q", l.Reason, l.Sentence, o.code, o.says)
	case l.Cluster != cluster || l.TopicID != [16]byte(id) || l.Partition != 0 || l.Offset != oddBeside || l.Last != oddBeside:
		return fmt.Errorf("it is of %+v, want the record at offset %d of topic %s", l, oddBeside, id)
	case l.Instance == "" || l.Time.Before(want.Timestamp) || sent != (l.Attempts > 0):
		return fmt.Errorf("instance %q, time %v, %d attempts", l.Instance, l.Time, l.Attempts)
	case !bytes.Equal(got.Value, want.Value) || (got.Value == nil) != (want.Value == nil):
		return fmt.Errorf("the value has %d bytes, null: %v; want the %d bytes that were produced", len(got.Value), got.Value == nil, len(want.Value))
	case !bytes.Equal(got.Key, want.Key) || (got.Key == nil) != (want.Key == nil):
		return fmt.Errorf("the key is %q, null: %v; want %q", got.Key, got.Key == nil, want.Key)
	case !got.Timestamp.Equal(want.Timestamp):
		return fmt.Errorf("the timestamp is %v, want %v", got.Timestamp, want.Timestamp)
	case !slices.EqualFunc(got.Headers, want.Headers, func(a, b kgo.RecordHeader) bool {
		return a.Key == b.Key && bytes.Equal(a.Value, b.Value)
	}):
		return fmt.Errorf("%d headers, want the %d that were produced", len(got.Headers), len(want.Headers))
	}
	return nil
}

// All odd records become dead letters, once, and everything else arrives once. A stream that the proxies do not know waits.
func oddLettered(b *bench, k *kafka, to *faultySink) {
	const (
		group   = "odd-lettered"
		letters = "odd-letters"
	)
	all := produceOdd(k, "letter-", to)
	k.createTopics(3, 1, []string{letters}, "cleanup.policy", "compact")
	unknown := "kind=deny-stream&group=" + streamGroup + "&stream=letter-unknown-stream"
	to.fault(b, unknown)
	admin := b.freeAddr()
	s := bridgeSettings(k.cluster, group, nil, to.sink).set("admin.listen", admin).set("delivery.drain", "2s").set("dead_letter.topic", letters)
	routes := func() settings {
		var rules []any
		for _, o := range all {
			rules = append(rules, o.route(map[string]any{"on_error": "dead_letter"}))
		}
		return s.set("routes", rules)
	}
	bridge := b.startBridge("lettered", routes())
	for _, o := range all {
		b.eventually(drainLimit, func() error {
			status, err := b.statusAt(admin)
			if err == nil && o.record == nil && o.code != "" {
				err = o.stands(&status)
			} else if err == nil {
				err = o.passed(&status)
			}
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, bridge.tail())
			}
			return err
		})
	}
	to.fault(b, unknown+"&on=false")
	b.partitionsOf(admin, "letter-unknown-stream", 1, bridge, drainLimit, func(p connector.PartitionStatus) bool { return p.Final == 2*oddBeside })
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 3 {
		b.Errorf("exit %d, want 3: a group is unknown\n%s", code, bridge.tail())
	}
	for _, o := range all {
		o.group = ""
	}
	r, code, log := b.report("migrate", routes())
	if code != 0 || r.Result != connector.Pass {
		b.Errorf("migrate with the group mended: exit %d and %s, want 0 and PASS\n%s", code, r.Result, log)
	}
	books, code, log := b.report("ledger", s)
	if code != 0 || books.Sums != r.Sums {
		b.Errorf("ledger: exit %d and %+v, want 0 and the sums of migrate, %+v\n%s", code, books.Sums, r.Sums, log)
	}
	written := k.letters(letters)
	for _, o := range all {
		b.Run(o.name, func(t *testing.T) {
			b := b.on(t)
			delivered := o.code == "" && o.record != nil
			row, dead := of(&books, o.topic), btoi(o.code != "" && o.record != nil)
			if row.DeadLettered != dead || row.Final != int64(len(o.good))+btoi(delivered) || row.Start != 0 {
				b.Errorf("the books of %s are %+v, want %d dead-lettered", o.topic, row, dead)
			}
			if err := o.holds(k.on(b), written[o.topic]); err != nil {
				b.Errorf("dead letters of %s: %v", o.topic, err)
			}
			o.arrived(b, to.values(b, o.topic)[o.topic], o.good, delivered, 1)
		})
	}
}

// passed wants the partition of the topic to be final up to its end.
func (o *oddTopic) passed(s *connector.Status) error {
	for i := range s.Parts {
		if p := &s.Parts[i]; p.Topic == o.topic {
			if want := int64(len(o.good)) + btoi(o.record != nil); p.Final != want || p.Stall != "" {
				return fmt.Errorf("%s is final up to %d of %d, and stands for %q", o.topic, p.Final, want, p.Reason)
			}
			return nil
		}
	}
	return fmt.Errorf("%s is not assigned", o.topic)
}

// The dead-letter topic is missing, then may not be written, then takes no letter so large. The partition stands at the record all the
// while, the one beside it goes on, and the record becomes a letter once the topic takes it.
func letterTopic(b *bench, k *kafka, to *faultySink) {
	const (
		group, user    = "letter-topic", "letters"
		topic, letters = "hindered", "hindered-letters"
	)
	k.createTopics(2, 1, []string{topic})
	k.createTopics(1, 1, to.topics([]string{topic}))
	source := k.through(k.nodes[0].sasl, k.login(user))
	k.allow(user, kadm.NewACLs().Topics(topic))
	k.allow(user, kadm.NewACLs().Topics(to.topics([]string{topic})...))
	k.allow(user, kadm.NewACLs().Groups(group))
	grant := func(op kadm.ACLOperation) {
		b.Helper()
		acl := kadm.NewACLs().Topics(letters).ResourcePatternType(kadm.ACLPatternLiteral).Operations(op).Allow("User:" + user).AllowHosts("*")
		if made, err := k.admin.CreateACLs(b.Context(), acl); err != nil || made[0].Err != nil {
			b.Fatal(err, made)
		}
	}
	grant(kadm.OpDescribe)
	l := newLedger()
	var good []*kgo.Record
	partitioned, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, k.opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	defer partitioned.Close()
	produce := func(partition int32, key string, value []byte) *kgo.Record {
		b.Helper()
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: value}
		if err := partitioned.ProduceSync(b.Context(), r).FirstErr(); err != nil {
			b.Fatal(err)
		}
		return r
	}
	beside := func(n int) {
		for i := range n {
			good = append(good, produce(int32(i%2), topic, valueOf(l.id())))
		}
	}
	beside(10)
	odd := produce(0, "a&b", noise(5000))
	beside(10)

	queue := *to.sink
	queue.queue = source
	admin := b.freeAddr()
	s := bridgeSettings(source, group, nil, &queue).set("admin.listen", admin).set("dead_letter.topic", letters).set("routes", []any{
		map[string]any{"topics": []string{topic}, "group": streamGroup, "stream": "{key}", "on_error": "dead_letter"},
	})
	bridge := b.startBridge("hindered", s)
	stands := func(says string) {
		b.Helper()
		b.eventually(drainLimit, func() error {
			status, err := b.statusAt(admin)
			if err != nil {
				return err
			}
			for i := range status.Conditions {
				if c := &status.Conditions[i]; c.Code == reason.LetterTopic && c.Object == topic+"/0" && c.Offset == odd.Offset && strings.Contains(c.Sentence+c.Hint, says) {
					return nil
				}
			}
			return fmt.Errorf("no condition %s saying %q in %+v\n%s", reason.LetterTopic, says, status.Conditions, bridge.tail())
		})
		b.partitionsOf(admin, topic, 2, bridge, drainLimit, func(p connector.PartitionStatus) bool {
			return p.Partition == 1 && p.Committed == 10 || p.Partition == 0 && p.Stall == string(reason.LetterTopic) && p.Committed <= odd.Offset
		})
	}
	stands("does not exist")
	k.createTopics(1, 1, []string{letters}, "max.message.bytes", "1000")
	stands("no right to write")
	grant(kadm.OpWrite)
	stands("max.message.bytes")
	if n := len(k.records(letters)); n > 0 {
		b.Errorf("%d letters in a topic that takes none", n)
	}
	larger := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: new("100000")}}
	if _, err := k.admin.AlterTopicConfigs(b.Context(), larger, letters); err != nil {
		b.Fatal(err)
	}
	k.caughtUp(group, []string{topic}, drainLimit, bridge)
	b.partitionsOf(admin, topic, 2, bridge, drainLimit, func(p connector.PartitionStatus) bool { return p.Stall == "" }) // it is told soon after
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d once the letter is written, want 0\n%s", code, bridge.tail())
	}
	ls := k.letters(letters)[topic]
	if len(ls) != 1 || ls[0].Offset != odd.Offset || !bytes.Equal(ls[0].original.Value, odd.Value) || ls[0].Reason != string(reason.Unrouted) {
		b.Errorf("letters %+v, want one of the record at offset %d", ls, odd.Offset)
	}
	got := to.values(b, topic)[topic]
	for _, r := range good {
		if n := got[string(r.Value)]; n != 1 {
			b.Errorf("record %d/%d arrived %d times, want once", r.Partition, r.Offset, n)
		}
	}
	if len(got) != len(good) {
		b.Errorf("%d records arrived, want %d", len(got), len(good))
	}
}
