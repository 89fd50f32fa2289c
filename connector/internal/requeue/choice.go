package requeue

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"inlong-bridge/connector/deadletter"
)

// Choice says which letters are delivered. An empty field leaves none out.
type Choice struct {
	Reasons    []string  // codes
	Topics     []string  // of the originals
	Partitions []int32   // of the originals
	Offsets    []Range   // of the originals
	Since      time.Time // became a letter at this time or later
	Until      time.Time // became a letter before this time
}

// Range is the offsets from From up to To, without To.
type Range struct{ From, To int64 }

// Takes reports whether a letter is delivered.
func (c *Choice) Takes(l *deadletter.Letter) bool {
	in := func(r Range) bool { return l.Offset >= r.From && l.Offset < r.To }
	return (len(c.Reasons) == 0 || slices.Contains(c.Reasons, l.Reason)) &&
		(len(c.Topics) == 0 || slices.Contains(c.Topics, l.Topic)) &&
		(len(c.Partitions) == 0 || slices.Contains(c.Partitions, l.Partition)) &&
		(len(c.Offsets) == 0 || slices.ContainsFunc(c.Offsets, in)) &&
		(c.Since.IsZero() || !l.Time.Before(c.Since)) &&
		(c.Until.IsZero() || l.Time.Before(c.Until))
}

// Name is short and the same for every choice of the same letters, whatever the order of its parts; "" for all letters. It is part of
// the name of the consumer group: 1. a run takes the letters with reason refused, and its commits pass over the others
// 2. a run for reason too_large in that group would begin behind all of them.
func (c *Choice) Name() string {
	var parts []string
	add := func(key string, values []string) {
		for _, v := range values {
			parts = append(parts, key+"="+strconv.Quote(v))
		}
	}
	add("reason", c.Reasons)
	add("topic", c.Topics)
	for _, n := range c.Partitions {
		parts = append(parts, fmt.Sprintf("partition=%d", n))
	}
	for _, r := range c.Offsets {
		parts = append(parts, fmt.Sprintf("offset=%d-%d", r.From, r.To))
	}
	if !c.Since.IsZero() {
		parts = append(parts, fmt.Sprintf("since=%d", c.Since.UnixMilli()))
	}
	if !c.Until.IsZero() {
		parts = append(parts, fmt.Sprintf("until=%d", c.Until.UnixMilli()))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(parts), " ")))
	return hex.EncodeToString(sum[:4])
}
