package pulsarhandler

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/pulsar-client-go/pulsar"

	"inlong-bridge/connector/kafkahandler"
)

// Pack is one message of the queue. Its Offset is the number of its entry.
type Pack struct {
	kafkahandler.Pack
	Value      []byte
	Properties map[string]string
}

// ReadAll reads whole topics of one cluster, from their first message up to the ends they have when it
// starts, and gives every message to f, in order within a partition. An error of f ends it. The brokers must
// stay up meanwhile: the client loses messages when it reconnects.
func ReadAll(ctx context.Context, c Cluster, topics []string, f func(Pack) error) error {
	client, err := c.open()
	if err != nil {
		return fmt.Errorf("reading queue: %w", err)
	}
	defer client.Close()
	for _, topic := range topics {
		partitions, err := client.TopicPartitions(topic)
		if err != nil {
			return fmt.Errorf("reading queue: topic %s: %w", topic, err)
		}
		for n, name := range partitions {
			if err := readPartition(ctx, client, topic, int32(n), name, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func readPartition(ctx context.Context, client pulsar.Client, topic string, n int32, name string, f func(Pack) error) error {
	reader, err := client.CreateReader(pulsar.ReaderOptions{Topic: name, StartMessageID: pulsar.EarliestMessageID()})
	if err != nil {
		return fmt.Errorf("reading queue: %s: %w", name, err)
	}
	defer reader.Close()
	end, err := reader.GetLastMessageID()
	if err != nil {
		return fmt.Errorf("reading queue: the end of %s: %w", name, err)
	}
	if end.EntryID() < 0 {
		return nil
	}
	for {
		m, err := reader.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = errors.Join(err, context.Cause(ctx))
			}
			return fmt.Errorf("reading queue: %s is not read to its end: %w", name, err)
		}
		p := Pack{kafkahandler.Open(topic, n, m.ID().EntryID(), m.Payload()), m.Payload(), m.Properties()}
		if err := f(p); err != nil {
			return err
		}
		at := m.ID()
		if at.LedgerID() > end.LedgerID() || at.LedgerID() == end.LedgerID() && (at.EntryID() > end.EntryID() ||
			at.EntryID() == end.EntryID() && at.BatchIdx() >= end.BatchIdx()) {
			return nil
		}
	}
}
