package model

import (
	"fmt"
	"strconv"

	"inlong-bridge/connector/internal/route"
	"inlong-bridge/sdk/finality"
)

// checkOrder looks at records that reach the queue: with an order, the first copy of each arrives before those of the records behind
// it in its lane. Records that the source had let go of before they arrived are given up, and a late copy of them is nobody's.
func (w *world) checkOrder(records []int) {
	for _, id := range records {
		f := &w.facts[id]
		if f.arrived {
			continue
		}
		f.arrived = true
		if w.knobs.lanes == 0 || w.mode != finality.Queue || f.fate != kept || f.passed || f.topic != w.src.id {
			continue
		}
		for _, other := range w.src.ids[f.partition] {
			if o := &w.facts[other]; o.arrived && o.offset > f.offset && o.fate == kept && w.laneOf(o) == w.laneOf(f) {
				panic(breach{fmt.Sprintf("partition %d: record %d arrives behind record %d of its lane", f.partition, f.offset, o.offset)})
			}
		}
	}
}

func (w *world) laneOf(f *fact) uint8 {
	return route.Lane(strconv.AppendInt(nil, int64(f.route), 10), w.knobs.lanes)
}
