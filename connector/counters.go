package connector

import (
	"sync/atomic"

	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/tally"
	"inlong-bridge/connector/reason"
)

type counter = atomic.Uint64

// counters run since the start. They are added to per chunk or rarer, never per record.
type counters struct {
	records, bytes  tally.ByLabel // fetched, by topic
	skipped         tally.ByLabel // of them, that no rule wants
	packs           tally.ByLabel // of them, that are packs of somebody else
	replaced        tally.ByLabel // of them, sent with the time of arrival
	assigned        counter       // partitions
	revoked         counter
	offsetsLost     counter
	offsetsRefused  counter       // committed offsets of topics that were deleted
	passedOver      counter       // offsets that kafka.start: latest passed over
	partitionsStops tally.ByLabel // by code
	goneOn          tally.ByLabel // partitions that went on after a stop, by its code
}

func (c *counters) polled(topic string, records int, bytes, skipped int64) {
	if records == 0 {
		return
	}
	c.records.Add(topic, uint64(records))
	c.bytes.Add(topic, uint64(bytes))
	if skipped > 0 {
		c.skipped.Add(topic, uint64(skipped))
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

// snapshot copies the counters, with 0 for topics, classes and codes that did not count yet.
func (c *counters) snapshot(topics []string) observe.Counters {
	return observe.Counters{
		Records: c.records.Snapshot(topics...), Bytes: c.bytes.Snapshot(topics...), Skipped: c.skipped.Snapshot(topics...), ForeignPacks: c.packs.Snapshot(topics...), Replaced: c.replaced.Snapshot(topics...),
		Stops: c.partitionsStops.Snapshot(stopCodes()...), GoneOn: c.goneOn.Snapshot(stopCodes()...),
		Assigned: c.assigned.Load(), Revoked: c.revoked.Load(),
		OffsetsLost: c.offsetsLost.Load(), OffsetsRefused: c.offsetsRefused.Load(), PassedOver: c.passedOver.Load(),
	}
}
