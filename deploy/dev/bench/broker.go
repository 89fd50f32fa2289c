package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerSpec is what an embedded Kafka in a process of its own holds.
type brokerSpec struct {
	Corpus     string `json:"corpus,omitempty"`
	Codec      string `json:"codec,omitempty"` // snappy, lz4, zstd, empty for none
	Seed       uint64 `json:"seed"`
	Keys       int    `json:"keys,omitempty"` // records carry the keys k0 to k<Keys-1> in turn
	Partitions int    `json:"partitions"`
	// Records are spread over the partitions before the broker is ready. Hot is how many of them go to
	// partition 0, the rest is shared by the others. 0 records: every fetch of every partition is
	// answered with the same batch, and the log never ends.
	Records int  `json:"records,omitempty"`
	Hot     int  `json:"hot,omitempty"`
	Empty   bool `json:"empty,omitempty"` // nothing is in the topic
	Large   bool `json:"large,omitempty"` // the batches of a log without end are as large as others
	// Bounded has answers of a log without end stay within the bytes that are asked for. It is for clients without fetch sessions.
	Bounded bool `json:"bounded,omitempty"`
	// Kafka is the address of an Apache Kafka on which Topic is filled, and is deleted with the process, instead of an embedded one.
	Kafka string `json:"kafka,omitempty"`
	Topic string `json:"topic,omitempty"` // empty for benchTopic
}

const (
	benchTopic = "bench"
	// batchPayload is how many bytes of values one record batch has: what a producer with room for
	// lingering sends.
	batchPayload = 500 << 10
	// endlessPayload is the same for logs without end: every fetch has a batch of every partition, also
	// where there are hundreds.
	endlessPayload = 16 << 10
)

// codecs by name, as the attributes of a record batch have them.
var codecs = map[string]kgo.CompressionCodec{
	"": kgo.NoCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// batchMaker makes record batches out of a corpus.
type batchMaker struct {
	from ring
	keys int
	key  int
	comp kgo.Compressor
}

func newBatchMaker(spec *brokerSpec) (*batchMaker, error) {
	records, err := newCorpus(spec.Corpus, spec.Seed)
	if err != nil {
		return nil, err
	}
	codec, ok := codecs[spec.Codec]
	if !ok {
		return nil, fmt.Errorf("making record batches: codec %q is not known; use snappy, lz4, zstd, or none", spec.Codec)
	}
	comp, err := kgo.DefaultCompressor(codec)
	if err != nil {
		return nil, fmt.Errorf("making record batches: %w", err)
	}
	return &batchMaker{from: ring{records: records}, keys: spec.Keys, comp: comp}, nil
}

// perBatch is how many records a full batch has.
func (m *batchMaker) perBatch() int { return max(batchPayload/len(m.from.records[0]), 1) }

// next returns a batch of n records.
func (m *batchMaker) next(n int, now time.Time) ([]byte, error) {
	var body []byte
	for i := 0; i < n; {
		part := m.from.next(n - i)
		for _, value := range part {
			r := kmsg.Record{OffsetDelta: int32(i), Value: value}
			if m.keys > 0 {
				r.Key = strconv.AppendInt([]byte{'k'}, int64(m.key), 10)
				m.key = (m.key + 1) % m.keys
			}
			r.Length = int32(len(r.AppendTo(nil)) - 1) // of what comes after the length itself
			body = r.AppendTo(body)
			i++
		}
	}
	var attributes int16
	if m.comp != nil {
		var out bytes.Buffer
		packed, used := m.comp.Compress(&out, body)
		if used == kgo.CodecError {
			return nil, fmt.Errorf("compressing a batch of %d records failed", n)
		}
		body, attributes = packed, int16(used)
	}
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(n - 1),
		FirstTimestamp: now.UnixMilli(), MaxTimestamp: now.UnixMilli(),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: body,
	}
	raw := b.AppendTo(nil)
	// The length counts what follows it; the checksum covers everything from the attributes on.
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw, nil
}

// serveBroker is the broker's process: it says its address once the topic is filled, and ends with stdin.
func serveBroker(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
	var spec brokerSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("reading spec: %w", err)
	}
	if spec.Kafka != "" {
		if err := kafkaTopic(ctx, spec.Kafka, spec.Topic, spec.Partitions); err != nil {
			return err
		}
		defer dropTopic(spec.Kafka, spec.Topic)
		return serveFilled(ctx, strings.Split(spec.Kafka, ","), spec.Topic, &spec, stdin, stdout)
	}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(int32(spec.Partitions), benchTopic)}
	if spec.Records == 0 && !spec.Empty {
		m, err := newBatchMaker(&spec)
		if err != nil {
			return err
		}
		n := max(endlessPayload/len(m.from.records[0]), 1)
		if spec.Large {
			n = m.perBatch()
		}
		batch, err := m.next(n, time.Now())
		if err != nil {
			return err
		}
		opts = append(opts, kfake.SyntheticFetch(kfake.SyntheticBatch{Batch: batch}))
	}
	opts = append(opts, kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(4))
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return fmt.Errorf("starting kafka: %w", err)
	}
	defer cluster.Close()
	if spec.Bounded {
		cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			boundFetch(req.(*kmsg.FetchRequest))
			return nil, nil, false
		})
	}
	return serveFilled(ctx, cluster.ListenAddrs(), benchTopic, &spec, stdin, stdout)
}

// serveFilled fills a topic, says the brokers' addresses, and ends with stdin.
func serveFilled(ctx context.Context, brokers []string, topic string, spec *brokerSpec, stdin io.Reader, stdout io.Writer) error {
	if spec.Records > 0 {
		if err := fillTopic(ctx, brokers, topic, spec); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(stdout, strings.Join(brokers, ",")); err != nil {
		return fmt.Errorf("saying the address: %w", err)
	}
	_, err := io.Copy(io.Discard, stdin)
	return err
}

// boundFetch leaves as many partitions in a request as the answer has room for, the first ones, as Apache Kafka does: the embedded
// one answers with a batch of each partition of a log without end, however many they are.
func boundFetch(req *kmsg.FetchRequest) {
	left := max(int(req.MaxBytes)/endlessPayload, 1)
	for i := range req.Topics {
		t := &req.Topics[i]
		n := min(left, len(t.Partitions))
		t.Partitions = t.Partitions[:n]
		left -= n
	}
}

// fillTopic produces the records of the spec.
func fillTopic(ctx context.Context, brokers []string, topic string, spec *brokerSpec) error {
	m, err := newBatchMaker(spec)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return fmt.Errorf("filling topic: %w", err)
	}
	defer cl.Close()
	id, err := topicID(ctx, cl, topic)
	if err != nil {
		return err
	}
	left := make([]int, spec.Partitions)
	if spec.Hot > 0 {
		left[0] = spec.Hot
		for i := 1; i < len(left); i++ {
			left[i] = (spec.Records - spec.Hot) / (spec.Partitions - 1)
		}
	} else {
		for i := range left {
			left[i] = spec.Records / spec.Partitions
		}
	}
	for again := true; again; {
		again = false
		for p := range left {
			n := min(left[p], m.perBatch())
			if n == 0 {
				continue
			}
			batch, err := m.next(n, time.Now())
			if err != nil {
				return err
			}
			if err := produceBatch(ctx, cl, topic, id, int32(p), batch); err != nil {
				return err
			}
			left[p] -= n
			again = again || left[p] > 0
		}
	}
	return nil
}

func topicID(ctx context.Context, cl *kgo.Client, topic string) ([16]byte, error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return [16]byte{}, fmt.Errorf("asking for topic %s: %w", topic, err)
	}
	if len(resp.Topics) != 1 {
		return [16]byte{}, fmt.Errorf("asking for topic %s: %d answers", topic, len(resp.Topics))
	}
	return resp.Topics[0].TopicID, kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}

func produceBatch(ctx context.Context, cl *kgo.Client, topic string, id [16]byte, partition int32, batch []byte) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("filling partition %d: %w", partition, err)
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return fmt.Errorf("filling partition %d: %w", partition, err)
			}
		}
	}
	return nil
}
