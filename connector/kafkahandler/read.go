package kafkahandler

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/sdk/frame"
)

// Pack is one message of the queue.
type Pack struct {
	Topic         string
	Partition     int32
	Offset        int64
	Group, Stream string
	Pack          frame.Pack
	Records       [][]byte
	// Err says why the message is not a pack of records. Nothing between Offset and it is set then.
	Err error
}

// maxUnpacked is the most bytes of records taken out of one pack.
const maxUnpacked = 64 << 20

// ReadAll reads whole topics of one cluster, from their first message up to the ends they have when it
// starts, and gives every message to f, in order within a partition. What f is given stays valid. An
// error of f ends it.
func ReadAll(ctx context.Context, opts []kgo.Opt, topics []string, f func(Pack) error) error {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// Transaction markers have offsets too; without them a partition that ends in one would never be finished.
		kgo.KeepControlRecords(),
		kgo.MaxDecompressBatchBytes(64 << 20), // a pack has 20 MiB at most
	}, opts...)...)
	if err != nil {
		return fmt.Errorf("reading queue: %w", err)
	}
	defer client.Close()

	left, start, err := bounds(ctx, client, topics)
	if err != nil {
		return fmt.Errorf("reading queue: %w", err)
	}
	if len(left) == 0 {
		return nil
	}
	client.AddConsumePartitions(start)
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		for _, fe := range fetches.Errors() {
			if errors.Is(fe.Err, context.Canceled) || errors.Is(fe.Err, context.DeadlineExceeded) {
				return fmt.Errorf("reading queue: %d partitions not read to their ends: %w", len(left), fe.Err)
			}
			return fmt.Errorf("reading queue: partition %s/%d: %w", fe.Topic, fe.Partition, fe.Err)
		}
		for r := range fetches.RecordsAll() {
			at := partition{r.Topic, r.Partition}
			end, reading := left[at]
			if !reading || r.Offset >= end {
				delete(left, at)
				continue
			}
			if r.Offset == end-1 {
				delete(left, at)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if err := f(Open(r.Topic, r.Partition, r.Offset, r.Value)); err != nil {
				return err
			}
		}
	}
	return nil
}

type partition struct {
	topic  string
	number int32
}

// bounds returns where each partition that is not empty ends, and where to start it.
func bounds(ctx context.Context, client *kgo.Client, topics []string) (map[partition]int64, map[string]map[int32]kgo.Offset, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing start offsets of %v: %w", topics, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listing end offsets of %v: %w", topics, err)
	}
	left := make(map[partition]int64)
	from := make(map[string]map[int32]kgo.Offset)
	ends.Each(func(e kadm.ListedOffset) {
		s, ok := starts.Lookup(e.Topic, e.Partition)
		if !ok || s.Offset >= e.Offset {
			return
		}
		left[partition{e.Topic, e.Partition}] = e.Offset
		if from[e.Topic] == nil {
			from[e.Topic] = make(map[int32]kgo.Offset)
		}
		from[e.Topic][e.Partition] = kgo.NewOffset().At(s.Offset)
	})
	return left, from, nil
}

// Open takes the value of a message apart.
func Open(topic string, partition int32, offset int64, value []byte) Pack {
	p := Pack{Topic: topic, Partition: partition, Offset: offset}
	pack, err := frame.DecodeInLongMsg(value)
	if err == nil {
		p.Records, err = pack.Items(maxUnpacked)
	}
	if err != nil {
		p.Err = fmt.Errorf("opening %s/%d at offset %d: %w", topic, partition, offset, err)
		return p
	}
	p.Pack = pack
	group, _ := frame.Attribute(pack.Attr, "groupId")
	stream, _ := frame.Attribute(pack.Attr, "streamId")
	p.Group, p.Stream = string(group), string(stream)
	return p
}
