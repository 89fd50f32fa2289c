package observe

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"inlong-bridge/connector/resume"
)

// allPartitions is the value of the label partition where the series of a topic's partitions are added up.
const allPartitions = "all"

// partitionSeries is the values of one partition's series, or of all partitions of a topic.
type partitionSeries struct {
	topic, partition string

	position, final int64
	committed       int64   // -1 for no commit
	lag             int64   // -1 if unknown
	lagSeconds      float64 // -1 if unknown
	unfinal         int
	oldest          float64  // seconds
	lastCommit      float64  // Unix seconds, 0 for none
	retention       *float64 // seconds left, nil if unknown
	stalled, stuck  map[string]int
}

func seriesOf(p *PartitionStatus) partitionSeries {
	s := partitionSeries{
		topic: p.Topic, partition: strconv.Itoa(int(p.Partition)), position: p.Position, final: p.Final, committed: p.Committed,
		lag: p.Lag, lagSeconds: p.LagSeconds, unfinal: p.Unfinal, oldest: p.OldestUnfinal.Seconds(),
	}
	if !p.LastCommit.IsZero() {
		s.lastCommit = float64(p.LastCommit.UnixNano()) / 1e9
	}
	if p.Retention != nil {
		s.retention = &p.Retention.SecondsLeft
	}
	if p.Stall != "" {
		s.stalled = map[string]int{p.Stall: 1}
	}
	if p.Stuck > 0 {
		s.stuck = map[string]int{p.StuckCode: 1}
	}
	return s
}

// add takes one more partition of the topic in. Offsets and counts are summed up; of times the one counts that is worst,
// but of the last commit the newest. A partition without a commit counts with the offset it began at, so
// that final less committed stays what is not committed.
func (s *partitionSeries) add(p *PartitionStatus) {
	o := seriesOf(p)
	if o.committed < 0 {
		o.committed = p.Start
	}
	s.position += o.position
	s.final += o.final
	s.committed += o.committed
	if o.lag >= 0 {
		s.lag = max(s.lag, 0) + o.lag
	}
	s.lagSeconds = max(s.lagSeconds, o.lagSeconds)
	s.unfinal += o.unfinal
	s.oldest = max(s.oldest, o.oldest)
	s.lastCommit = max(s.lastCommit, o.lastCommit)
	if o.retention != nil && (s.retention == nil || *o.retention < *s.retention) {
		s.retention = o.retention
	}
	s.stalled, s.stuck = sum(s.stalled, o.stalled), sum(s.stuck, o.stuck)
}

func sum(to, from map[string]int) map[string]int {
	for code, n := range from {
		if to == nil {
			to = make(map[string]int)
		}
		to[code] += n
	}
	return to
}

// MaxPartitionSeries is of how many partitions of a topic there are series in this process, unless the configuration says
// otherwise: each partition has eight, and the text of 80,000 takes a scrape longer than everything else does.
const MaxPartitionSeries = 1000

// allSeries returns the series of partitions in the order of their labels: the registry sorts each family, and what is
// sorted costs it little. Those of a topic that has more than most partitions are added up.
func allSeries(parts []PartitionStatus, most int) []partitionSeries {
	rows := make([]partitionSeries, 0, min(len(parts), most))
	many := topicsOfMany(parts, most)
	for i := range parts {
		p := &parts[i]
		if sum := many[p.Topic]; sum != nil {
			sum.add(p)
		} else {
			rows = append(rows, seriesOf(p))
		}
	}
	for _, sum := range many {
		rows = append(rows, *sum)
	}
	slices.SortFunc(rows, func(a, b partitionSeries) int {
		return cmp.Or(strings.Compare(a.partition, b.partition), strings.Compare(a.topic, b.topic))
	})
	return rows
}

// topicsOfMany has an empty sum for each topic that has more than most of the partitions.
func topicsOfMany(parts []PartitionStatus, most int) map[string]*partitionSeries {
	if len(parts) <= most {
		return nil
	}
	counts := make(map[string]int)
	for i := range parts {
		counts[parts[i].Topic]++
	}
	many := make(map[string]*partitionSeries)
	for topic, n := range counts {
		if n > most {
			many[topic] = &partitionSeries{topic: topic, partition: allPartitions, lag: -1, lagSeconds: -1}
		}
	}
	return many
}

// books adds up the books of the partitions of each topic, by class.
func books(parts []PartitionStatus, give func(topic, class string, n int64)) {
	sums := make(map[string]resume.Books)
	for i := range parts {
		b := sums[parts[i].Topic].Add(parts[i].Books)
		b.Passed += parts[i].Books.Passed
		b.Unproven += parts[i].Books.Unproven
		sums[parts[i].Topic] = b
	}
	for topic, b := range sums {
		give(topic, "final", b.Final)
		give(topic, "skipped", b.Skipped)
		give(topic, "gap", b.Gap)
		give(topic, "lost", b.Lost)
		give(topic, "dead_lettered", b.Dead)
		give(topic, "skipped_by_hand", b.Hand)
		give(topic, "passed_over", b.Passed)
		give(topic, "not_proven", b.Unproven)
	}
}
