package connector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/reason"
)

// produceZeros puts one batch of n records of size bytes, which zstd makes a thousand times smaller,
// into a partition. A client would make several batches of it.
func (e *env) produceZeros(topic string, partition int32, n, size int) {
	e.t.Helper()
	var body []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: make([]byte, size)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // of what comes after the length itself
		body = r.AppendTo(body)
	}
	comp, err := kgo.DefaultCompressor(kgo.ZstdCompression())
	if err != nil {
		e.t.Fatal(err)
	}
	var out bytes.Buffer
	packed, codec := comp.Compress(&out, body)
	e.produceRaw(topic, partition, rawBatch(1_700_000_000_000, n, int16(codec), packed))
}

// produceAt puts one batch of values into a partition with a timestamp that no client would set.
func (e *env) produceAt(topic string, partition int32, millis int64, values ...string) {
	e.t.Helper()
	var body []byte
	for i, v := range values {
		r := kmsg.Record{OffsetDelta: int32(i), Value: []byte(v)}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		body = r.AppendTo(body)
	}
	e.produceRaw(topic, partition, rawBatch(millis, len(values), 0, body))
}

// rawBatch is a batch of n records as it lies in a log.
func rawBatch(millis int64, n int, codec int16, records []byte) []byte {
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: codec, LastOffsetDelta: int32(n - 1),
		FirstTimestamp: millis, MaxTimestamp: millis,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: records,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func (e *env) produceRaw(topic string, partition int32, raw []byte) {
	e.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, e.topicID(topic)
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, raw
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(e.t.Context(), e.cl)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) topicID(topic string) [16]byte {
	e.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = new(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(e.t.Context(), e.cl)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.Topics[0].TopicID
}

// A batch of some KiB on the wire may unfold to any size. Larger than all of the budget it stops its
// partition before it, and the others go on.
func TestBatchThatUnfoldsBeyondTheBudgetStopsItsPartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c := e.config("queue")
	c.Memory.Budget.N = 16 << 20
	e.produce("orders", 0, 0, 3, 0)
	e.produceZeros("orders", 0, 20, 1<<20)
	e.produceZeros("orders", 1, 20, 400<<10) // half of it
	e.produce("orders", 1, 20, 3, 0)
	r := e.start(c)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.TooLarge) || !strings.Contains(p.Reason, "offset 3") || !strings.Contains(p.Reason, "memory.budget") {
		t.Errorf("stopped as %s: %q, want %s naming offset 3 and memory.budget", p.Stall, p.Reason, reason.TooLarge)
	}
	e.waitCommitted("orders", 0, 3)
	e.waitCommitted("orders", 1, 23)
}

// A fetch by hand has the same bound as those of the client.
func TestLookingForTheNextRecordUnfoldsNoMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c := e.config("queue")
	c.Memory.Budget.N = 16 << 20
	e.produceZeros("orders", 0, 20, 1<<20)
	r := e.start(c)
	_, err := r.b.kafka.NewRound().NextRecord(t.Context(), orders0, [16]byte{}, 0)
	if tooLarge, ok := errors.AsType[*kgo.ErrDecompressTooLarge](err); !ok || tooLarge.Offset != 0 {
		t.Errorf("nextRecord = %v, want the batch at 0 to unfold to too much", err)
	}
}
