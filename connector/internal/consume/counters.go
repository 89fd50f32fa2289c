package consume

import (
	"sync/atomic"

	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/tally"
	"inlong-bridge/connector/reason"
)

// Counters run since the start. They are added to per chunk or rarer, never per record.
type Counters struct {
	Records, Bytes tally.ByLabel // fetched, by topic
	Skipped        tally.ByLabel // of them, that no rule wants
	Packs          tally.ByLabel // of them, that are packs of somebody else
	Replaced       tally.ByLabel // of them, sent with the time of arrival
	Assigned       atomic.Uint64 // partitions
	Revoked        atomic.Uint64
	OffsetsLost    atomic.Uint64
	OffsetsRefused atomic.Uint64 // committed offsets of topics that were deleted
	PassedOver     atomic.Uint64 // offsets that kafka.start passed over
	Stops          tally.ByLabel // by code
	GoneOn         tally.ByLabel // partitions that went on after a stop, by its code
	setAside       setAside
}

// Polled counts what was fetched of a topic, and of it what no rule wants.
func (c *Counters) Polled(topic string, records int, bytes, skipped int64) {
	if records == 0 {
		return
	}
	c.Records.Add(topic, uint64(records))
	c.Bytes.Add(topic, uint64(bytes))
	if skipped > 0 {
		c.Skipped.Add(topic, uint64(skipped))
	}
}

// stopCodes are the codes with which a partition stops.
func stopCodes() (codes []string) {
	for _, k := range reason.Kinds() {
		if k.Stops {
			codes = append(codes, string(k.Code))
		}
	}
	return codes
}

// Snapshot copies the counters, with 0 for topics, classes and codes that did not count yet.
func (c *Counters) Snapshot(topics []string) observe.Counters {
	return observe.Counters{
		Records: c.Records.Snapshot(topics...), Bytes: c.Bytes.Snapshot(topics...), Skipped: c.Skipped.Snapshot(topics...), ForeignPacks: c.Packs.Snapshot(topics...), Replaced: c.Replaced.Snapshot(topics...),
		Stops: c.Stops.Snapshot(stopCodes()...), GoneOn: c.GoneOn.Snapshot(stopCodes()...),
		Assigned: c.Assigned.Load(), Revoked: c.Revoked.Load(),
		OffsetsLost: c.OffsetsLost.Load(), OffsetsRefused: c.OffsetsRefused.Load(), PassedOver: c.PassedOver.Load(),
	}
}
