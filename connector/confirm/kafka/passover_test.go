package kafka_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// putRaw puts a batch of n records into partition 0 as it is; records are what the codec makes of them.
func (q *queue) putRaw(n int, codec int16, records []byte) {
	q.t.Helper()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: codec, LastOffsetDelta: int32(n - 1), FirstTimestamp: 1_700_000_000_000,
		MaxTimestamp: 1_700_000_000_000, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: records,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	meta, err := q.admins[0].Metadata(q.t.Context(), topicName)
	if err != nil {
		q.t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topicName, meta.Topics[topicName].ID
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	leader := int(meta.Topics[topicName].Partitions[0].Leader)
	resp, err := q.writers[0].Broker(leader).Request(q.t.Context(), req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		q.t.Fatal(err)
	}
}

const gzipCodec = 1

// putDamaged puts a batch that claims to be compressed and is not.
func (q *queue) putDamaged() {
	q.t.Helper()
	q.putRaw(3, gzipCodec, []byte("this was never compressed"))
}

func (q *queue) waitStatus(what string, ok func(answers bool, lastError string, passed uint64) bool) {
	q.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c := q.reader.Status().Clusters[0]
		if ok(c.Answers, c.LastError, c.Passed) {
			return
		}
		if time.Now().After(deadline) {
			q.t.Fatalf("%s: status %+v", what, c)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// What cannot be read is not waited for: it is only sent again, if it was ours.
func TestBatchThatCannotBeReadIsPassedOver(t *testing.T) {
	for name, put := range map[string]func(q *queue){
		"damaged": func(q *queue) { q.putDamaged() },
		"unfolds to too much": func(q *queue) {
			var body []byte
			for i := range 3 {
				r := kmsg.Record{OffsetDelta: int32(i), Value: make([]byte, 1<<20)}
				r.Length = int32(len(r.AppendTo(nil)) - 1)
				body = r.AppendTo(body)
			}
			comp, err := kgo.DefaultCompressor(kgo.GzipCompression())
			if err != nil {
				q.t.Fatal(err)
			}
			var out bytes.Buffer
			packed, codec := comp.Compress(&out, body)
			q.putRaw(3, int16(codec), packed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(t, 1)
			q.create(0, 1)
			q.run()
			q.watch()
			q.put(0, 0, q.packs(0, 3)...)
			put(q)
			q.put(0, 0, q.packs(3, 6)...)
			q.sink.waitFor(t, "the packs behind the batch", func() bool { return q.sink.has(5) })
			q.waitStatus("the cluster answers", func(answers bool, _ string, passed uint64) bool { return answers && passed == 1 })
			q.barrier()
			q.wantSeen(upTo(0, 6)...)
		})
	}
}

// Sending again does not end a row of them: the cluster counts as one that cannot be read, until the log begins
// behind them.
func TestTenUnreadableBatchesInARowMakeTheClusterUnreadable(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	for range 11 {
		q.putDamaged()
	}
	q.put(0, 0, q.packs(0, 3)...)
	q.waitStatus("the cluster is unreadable", func(answers bool, last string, passed uint64) bool {
		return !answers && passed == 10 && strings.Contains(last, "partition 0 of topic "+topicName) && strings.Contains(last, "10 batches before it")
	})
	q.sink.waitFor(t, "the queue clock stands", func() bool { return !q.sink.answersNow() })
	if q.sink.has(0) {
		t.Error("the reader went on behind the eleventh")
	}
	os := make(kadm.Offsets)
	os.AddOffset(topicName, 0, 33, -1)
	if _, err := q.admins[0].DeleteRecords(t.Context(), os); err != nil {
		t.Fatal(err)
	}
	q.sink.waitFor(t, "the packs behind what retention took", func() bool { return q.sink.has(2) })
}

// 1. a batch cannot be read, and packs in it are sent again  2. another one cannot be read: it may hold the copies. To
// pass over it too could go on for ever.
func TestSecondUnreadableBatchWaitsForWhatWasSentAgain(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	q.sink.repairs.Store(7) // of other losses: nothing was passed over yet
	q.putDamaged()
	q.put(0, 0, q.packs(0, 1)...)
	q.sink.waitFor(t, "the pack behind the first", func() bool { return q.sink.has(0) })
	q.putDamaged()
	q.put(0, 0, q.packs(1, 2)...)
	q.waitStatus("the cluster is unreadable", func(answers bool, last string, passed uint64) bool {
		return !answers && passed == 1 && strings.Contains(last, "7 packs that were sent again have not been seen")
	})
	q.sink.repairs.Store(0)
	q.sink.waitFor(t, "the pack behind the second", func() bool { return q.sink.has(1) })
	if n := q.reader.Status().Clusters[0].Passed; n != 2 {
		t.Errorf("%d batches were passed over, want 2", n)
	}
}
