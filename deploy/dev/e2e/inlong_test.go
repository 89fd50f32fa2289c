//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/lineage"
	"inlong-bridge/sdk/frame"
)

// What the bridge sent and devproxy put into the queue is read by InLong's own InLongMsg, and by ours: groups,
// streams, counts, times and bytes must be the same, and the bytes those that were produced.
func TestInLongReadsWhatIsInTheQueue(t *testing.T) {
	t.Parallel()
	r := need(t, "inlong")
	b := newBench(t)
	const group = "inlong"
	topics := []string{"texts", "blobs", "empties"}
	kafka := b.embedded(1)
	kafka.createTopics(3, 1, topics)
	to := b.startSink(kafka, 1, topics, 2, "--queue-delay", "100ms")

	rnd := rand.New(rand.NewPCG(1, 1))
	began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	want := make(map[string]int) // stream, minute and bytes of a record: how often
	var records []*kgo.Record
	for i := range 6000 {
		rec := &kgo.Record{Topic: topics[i%3], Timestamp: began.Add(time.Duration(i) * 50 * time.Millisecond)}
		switch i % 3 {
		case 0:
			rec.Value = fmt.Appendf(nil, `{"order":%d,"text":"größer & = %s"}`, i, strings.Repeat("x", i%200))
		case 1:
			rec.Value = make([]byte, rnd.IntN(3000))
			for j := range rec.Value {
				rec.Value[j] = byte(rnd.Uint32())
			}
		case 2:
			if i%2 == 0 {
				rec.Value = []byte{} // the others are tombstones
			}
		}
		records = append(records, rec)
		want[key(rec.Topic, rec.Timestamp.Truncate(time.Minute).UnixMilli(), rec.Value)]++
	}
	if err := kafka.client.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	bridge := b.startBridge("bridge", bridgeSettings(kafka, group, topics, to))
	kafka.caughtUp(group, topics, drainLimit, bridge)

	b.sameForInLong(r, kafka.values(to.topics(topics)), want)
}

// sameForInLong compares how InLong reads values of the queue with how we do, and with what was produced: how often
// each stream, minute and bytes of a record.
func (b *bench) sameForInLong(r *release, values [][]byte, want map[string]int) {
	b.Helper()
	for i, theirs := range b.readByInLong(r, values) {
		ours, err := frame.DecodeInLongMsg(values[i])
		if err != nil {
			b.Fatalf("value %d: %v", i, err)
		}
		items, err := ours.Items(64 << 20)
		if err != nil {
			b.Fatalf("value %d: %v", i, err)
		}
		at := int64(ours.DataTime) * 1000 // of the pack's first record: only the minute is that of all
		for name, want := range map[string]string{
			"groupId": streamGroup, "streamId": attribute(string(ours.Attr), "streamId"),
			"dt": strconv.FormatInt(at, 10), "cnt": strconv.Itoa(int(ours.Count)), "mid": attribute(string(ours.Attr), "mid"),
		} {
			if got := attribute(theirs.attr, name); got != want {
				b.Errorf("value %d: %s is %q for InLong and %q for us; its attributes are %q", i, name, got, want, theirs.attr)
			}
		}
		if _, err := lineage.Decode(attribute(theirs.attr, lineage.Attr), len(theirs.records)); err != nil {
			b.Errorf("value %d: %v; its attributes are %q", i, err, theirs.attr)
		}
		if theirs.count != int(ours.Count) || len(theirs.records) != len(items) {
			b.Fatalf("value %d: InLong counts %d and finds %d records, we count %d and find %d", i, theirs.count, len(theirs.records), ours.Count, len(items))
		}
		for j, rec := range theirs.records {
			if !bytes.Equal(rec, items[j]) {
				b.Errorf("value %d: record %d is %.60q for InLong and %.60q for us", i, j, rec, items[j])
			}
			want[key(attribute(theirs.attr, "streamId"), at-at%60_000, rec)]--
		}
	}
	wrong := 0
	for k, n := range want {
		if n != 0 {
			if wrong++; wrong < 5 {
				b.Errorf("%.100q was produced %d times more often than it arrived", k, n)
			}
		}
	}
	b.Logf("%d packs with %d different records are the same for InLong", len(values), len(want))
}

func key(stream string, millis int64, value []byte) string {
	return fmt.Sprintf("%s %d %s", stream, millis, value)
}

func attribute(attr, name string) string {
	for pair := range strings.SplitSeq(attr, "&") {
		if k, v, _ := strings.Cut(pair, "="); k == name {
			return v
		}
	}
	return "(none)"
}

// values reads the raw messages of whole topics.
func (c *cluster) values(topics []string) (values [][]byte) {
	c.b.Helper()
	ends, err := c.admin.ListEndOffsets(c.b.Context(), topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		c.b.Fatal(err)
	}
	left := 0
	for _, partitions := range ends {
		for _, e := range partitions {
			left += int(e.Offset) // nothing was taken out of these topics
		}
	}
	reader, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, c.opts...)...)
	if err != nil {
		c.b.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(c.b.Context(), drainLimit)
	defer cancel()
	for len(values) < left {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.b.Fatalf("reading %v: %v", topics, err)
		}
		for r := range fetches.RecordsAll() {
			values = append(values, r.Value)
		}
	}
	return values
}

// inlongPack is a message of the queue as InLong reads it, or the records of one attribute string in it.
type inlongPack struct {
	value   int // its number
	attr    string
	count   int
	records [][]byte
}

// readByInLong has Java read values, and wants one attribute string in each.
func (b *bench) readByInLong(r *release, values [][]byte) []inlongPack {
	b.Helper()
	packs := b.blocksByInLong(r, values)
	for i := range packs {
		if packs[i].value != i {
			b.Fatalf("InLong read value %d where one pack of value %d was expected", packs[i].value, i)
		}
	}
	if len(packs) != len(values) {
		b.Fatalf("InLong found %d packs in %d values", len(packs), len(values))
	}
	return packs
}

// blocksByInLong has Java read values. Records of a value with different attributes come in blocks of their own.
func (b *bench) blocksByInLong(r *release, values [][]byte) []inlongPack {
	b.Helper()
	var in bytes.Buffer
	for _, v := range values {
		in.WriteString(base64.StdEncoding.EncodeToString(v) + "\n")
	}
	source, err := filepath.Abs(filepath.Join("inlong", "ReadPacks.java"))
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), "java", "-Xmx384m", "-cp", filepath.Join(r.jars, "*"), source)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &errs
	if err := cmd.Run(); err != nil {
		b.Fatalf("reading the queue with InLong: %v\n%s", err, errs.String())
	}
	packs := make([]inlongPack, 0, len(values))
	for line := range strings.Lines(out.String()) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) < 3 {
			b.Fatalf("Java printed %q", line)
		}
		value, err := strconv.Atoi(fields[0])
		if err != nil {
			b.Fatal(err)
		}
		texts := make([][]byte, 0, len(fields))
		for _, f := range append([]string{fields[1]}, fields[3:]...) {
			text, err := base64.StdEncoding.DecodeString(f)
			if err != nil {
				b.Fatal(err)
			}
			texts = append(texts, text)
		}
		count, err := strconv.Atoi(fields[2])
		if err != nil {
			b.Fatal(err)
		}
		packs = append(packs, inlongPack{value: value, attr: string(texts[0]), count: count, records: texts[1:]})
	}
	return packs
}
