package main

import (
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/lineage"
)

// What --dedupe remembers.
const (
	maxDedupeStreams   = 1000
	maxDedupeIntervals = 1 << 22 // of all streams together
)

// dedupe drops repeats by the lineage of the packs.
type dedupe struct {
	limit      int // of intervals, for each stream
	partitions []string
	streams    map[[2]string]*lineage.Dedupe
	verdicts   []lineage.Verdict
}

// newDedupe remembers much of one stream, or less of each of many.
func newDedupe(one bool) *dedupe {
	d := &dedupe{limit: maxDedupeIntervals / maxDedupeStreams, streams: make(map[[2]string]*lineage.Dedupe)}
	if one {
		d.limit = maxDedupeIntervals
	}
	return d
}

// read says which partitions are going to be read.
func (d *dedupe) read(chosen []browsed) {
	for _, c := range chosen {
		d.partitions = append(d.partitions, partitionKey(c.Place))
	}
}

func partitionKey(p confirm.Place) string { return p.Cluster + " " + placeOf(p) }

// drop leaves only records that are no repeats. untold counts those of which nobody can tell.
func (d *dedupe) drop(p *decodedPack) (untold int64, err error) {
	if p.lineage == nil {
		return int64(len(p.records)), nil
	}
	key := [2]string{p.group, p.stream}
	s := d.streams[key]
	if s == nil {
		if len(d.streams) == maxDedupeStreams {
			return 0, usagef("--dedupe with more than %d streams; hint: choose one with --group and --stream", maxDedupeStreams)
		}
		s = lineage.NewDedupe(d.limit, d.partitions...)
		d.streams[key] = s
	}
	d.verdicts = s.Pack(partitionKey(p.Place), p.lineage, d.verdicts[:0])
	kept := p.records[:0]
	for i, v := range d.verdicts {
		if v == lineage.Repeat {
			continue
		}
		if v == lineage.Unsure {
			untold++
		}
		kept = append(kept, p.records[i])
	}
	p.records = kept
	return untold, nil
}
