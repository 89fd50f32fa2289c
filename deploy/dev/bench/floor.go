package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2" //nolint:depguard // the floor may not depend on what is measured against it
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/sdk/frame"
)

// The floor bridge is the least that moves records from Kafka to a proxy: poll, pack, compress, write,
// count acks; one goroutine, no streams, no tracking, no commits, no second try. The poll floor drops
// what it polls. Both use the client as it comes.

func floorClient(brokers, topic, group string) (*kgo.Client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		return nil, fmt.Errorf("creating kafka client: %w", err)
	}
	return cl, nil
}

// serveFloor runs until stdin ends.
func serveFloor(ctx context.Context, brokers, group, addr string, stdin io.Reader) error {
	ctx, cancel := untilEnd(ctx, stdin)
	defer cancel()
	cl, err := floorClient(brokers, benchTopic, group)
	if err != nil {
		return err
	}
	defer cl.Close()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("dialing sink: %w", err)
	}
	defer nc.Close() //nolint:errcheck // what arrived is what counts
	f := &floorBridge{nc: nc, items: make([]byte, 0, rawPack)}
	go f.countAcks()
	for ctx.Err() == nil {
		wait, stop := context.WithTimeout(ctx, 20*time.Millisecond)
		fs := cl.PollFetches(wait)
		stop()
		for _, e := range fs.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("polling: %w", e.Err)
			}
		}
		if fs.NumRecords() == 0 {
			err = f.flush()
		}
		fs.EachRecord(func(r *kgo.Record) {
			if len(f.items)+frame.ItemOverhead+len(r.Value) > rawPack || f.count == frame.MaxCount {
				err = errors.Join(err, f.flush())
			}
			f.items = frame.AppendItem(f.items, r.Value)
			f.count++
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type floorBridge struct {
	nc    net.Conn
	items []byte
	count int
	out   []byte
	uniq  uint32
	acked atomic.Int64
}

func (f *floorBridge) flush() error {
	if f.count == 0 {
		return nil
	}
	attr := fmt.Appendf(nil, "groupId=group&streamId=stream&rtms=%d", time.Now().UnixMilli())
	if need := rawHeader + s2.MaxEncodedLen(len(f.items)) + len(attr) + 4; cap(f.out) < need {
		f.out = make([]byte, need)
	}
	f.out = f.out[:cap(f.out)]
	body := len(s2.EncodeSnappy(f.out[rawHeader:], f.items))
	f.uniq++
	_, err := f.nc.Write(rawFrame(f.out, frame.FlagSnappy, body, f.count, f.uniq, attr))
	f.items, f.count = f.items[:0], 0
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

func (f *floorBridge) countAcks() {
	answers := frame.NewReader(f.nc, 64<<10)
	for {
		b, err := answers.Next()
		if err != nil {
			return
		}
		if a, err := frame.DecodeAck(b); err == nil && a.Code == 0 {
			f.acked.Add(1)
		}
	}
}

// servePoll drops what it polls and says when the marks are reached. seen, when not empty, is the file in which it notes what it
// polled, and when.
func servePoll(ctx context.Context, brokers, topic, group, seen string, m *marks, stdin io.Reader) (err error) {
	ctx, cancel := untilEnd(ctx, stdin)
	defer cancel()
	cl, err := floorClient(brokers, topic, group)
	if err != nil {
		return err
	}
	defer cl.Close()
	var to *sightings
	if seen != "" {
		if to, err = createSightings(seen); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.close()) }()
	}
	for ctx.Err() == nil {
		fs := cl.PollFetches(ctx)
		now := time.Now()
		n := 0
		fs.EachPartition(func(p kgo.FetchTopicPartition) {
			if n += len(p.Records); to != nil && len(p.Records) > 0 {
				to.add(p.Partition, p.Records[len(p.Records)-1].Offset+1, now)
			}
		})
		m.add(int64(n))
	}
	return nil
}
