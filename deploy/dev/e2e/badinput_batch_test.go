//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/crc32"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector"
	"inlong-bridge/connector/reason"
)

// batchHead is what stands before a batch's CRC: first offset, length, leader epoch and magic.
const batchHead = 8 + 4 + 4 + 1

// produceDamaged writes a batch of n records whose CRC is right and whose gzip stream has other bytes behind its end. The broker, whose
// Java reads on past these, takes it; Go's gzip does not. It returns the offset of the first record, and the
// batch: brokers change nothing of it from its CRC on.
func (k *kafka) produceDamaged(topic string, partition int32, n int) (offset int64, raw []byte) {
	k.b.Helper()
	var records bytes.Buffer
	zip := gzip.NewWriter(&records)
	for i := range n {
		r := []byte{0}                     // attributes
		r = kbin.AppendVarlong(r, 0)       // timestamp, from the first one
		r = kbin.AppendVarint(r, int32(i)) // offset, from the first one
		r = kbin.AppendVarint(r, -1)       // no key
		r = kbin.AppendVarintBytes(r, valueOf("damaged"))
		r = kbin.AppendVarint(r, 0)                      // headers
		_, _ = zip.Write(kbin.AppendVarintBytes(nil, r)) // to memory
	}
	_ = zip.Close()
	records.WriteString("what gzip does not expect")
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		Magic: 2, Attributes: 1, LastOffsetDelta: int32(n - 1), FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: records.Bytes(),
	}
	raw = batch.AppendTo(nil)
	batch.Length = int32(len(raw) - 12)
	batch.CRC = int32(crc32.Checksum(raw[batchHead+4:], crc32.MakeTable(crc32.Castagnoli)))

	raw = batch.AppendTo(nil)

	_, id := k.idOf(topic)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	rt, rp := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	rt.Topic, rt.TopicID, rp.Partition, rp.Records = topic, [16]byte(id), partition, raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(k.b.Context(), k.client)
	if err != nil {
		k.b.Fatalf("producing a damaged batch: %v", err)
	}
	p := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		message := ""
		if p.ErrorMessage != nil {
			message = *p.ErrorMessage
		}
		k.b.Fatalf("producing a damaged batch: %v: %s", err, message)
	}
	return p.BaseOffset, raw
}

// A batch that cannot be decompressed, under each policy: its partition stops before it, passes over it, or goes on behind a letter that
// holds the batch.
func damagedBatch(b *bench, k *kafka, to *faultySink) {
	const (
		group, letters = "damaged", "damaged-letters"
		n              = 3
	)
	topics := []string{"damaged-stop", "damaged-skip", "damaged-dead_letter"}
	k.createTopics(1, 1, append([]string{letters}, topics...))
	k.createTopics(1, 1, to.topics(topics))
	ledgers, raws := make(map[string]*ledger), make(map[string][]byte)
	var rules []any
	for _, topic := range topics {
		l := newLedger()
		l.produce(k.cluster, oddBeside, topic)
		at, raw := k.produceDamaged(topic, 0, n)
		if at != oddBeside {
			b.Fatalf("the damaged batch lies at offset %d, want %d", at, oddBeside)
		}
		l.produce(k.cluster, oddBeside, topic)
		ledgers[topic], raws[topic] = l, raw
		rules = append(rules, map[string]any{"topics": []string{topic}, "group": streamGroup, "stream": "{topic}",
			"on_error": map[string]any{"undecodable": strings.TrimPrefix(topic, "damaged-")}})
	}
	admin := b.freeAddr()
	s := bridgeSettings(k.cluster, group, nil, to.sink).set("admin.listen", admin).set("dead_letter.topic", letters).set("routes", rules)
	bridge := b.startBridge("damaged", s)
	for _, topic := range topics[1:] {
		b.partitionsOf(admin, topic, 1, bridge, drainLimit, func(p connector.PartitionStatus) bool { return p.Final == 2*oddBeside+n })
	}
	b.eventually(drainLimit, func() error {
		status, err := b.statusAt(admin)
		if err != nil {
			return err
		}
		for i := range status.Conditions {
			if c := &status.Conditions[i]; c.Code == reason.Undecodable && c.Object == topics[0]+"/0" && c.Offset == oddBeside &&
				strings.Contains(c.Sentence, "offsets 20 to 22") && strings.Contains(c.Sentence, "gzip") {
				return nil
			}
		}
		return fmt.Errorf("no condition undecodable at offset %d in %+v\n%s", oddBeside, status.Conditions, bridge.tail())
	})
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 3 {
		b.Errorf("exit %d, want 3: a partition is stopped\n%s", code, bridge.tail())
	}
	books, _, _ := b.report("ledger", s)
	for _, topic := range topics {
		row, got := of(&books, topic), to.values(b, topic)[topic]
		want := connector.PartitionReport{Committed: 2*oddBeside + n, Final: 2 * oddBeside}
		switch topic {
		case topics[0]:
			want.Committed, want.Final = oddBeside, oddBeside
		case topics[1]:
			want.Skipped = n
		default:
			want.DeadLettered = n
		}
		if row.Committed != want.Committed || row.Final != want.Final || row.Skipped != want.Skipped || row.DeadLettered != want.DeadLettered {
			b.Errorf("the books of %s are %+v, want %+v", topic, row, want)
		}
		for id, at := range ledgers[topic].all() {
			if want := btoi(at.offset < want.Committed); int64(got[string(valueOf(id))]) != want {
				b.Errorf("%s: the record at offset %d arrived %d times, want %d", topic, at.offset, got[string(valueOf(id))], want)
			}
		}
		if len(got) != int(want.Final) {
			b.Errorf("%s: %d values arrived, want %d", topic, len(got), want.Final)
		}
	}
	ls := k.letters(letters)
	dead := ls[topics[2]]
	if len(ls) != 1 || len(dead) != 1 {
		b.Fatalf("letters %+v, want one of %s", ls, topics[2])
	}
	if l := dead[0]; l.Reason != string(reason.Undecodable) || l.Offset != oddBeside || l.Last != oddBeside+n-1 || len(l.original.Value) < batchHead ||
		!bytes.Equal(l.original.Value[batchHead:], raws[topics[2]][batchHead:]) {
		b.Errorf("the letter is %+v with %d bytes, want the batch of offsets 20 to 22 as it was produced", l.Letter, len(l.original.Value))
	}
}
