package model

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/finality"
)

// reader drives the positions of connector/confirm as its Kafka reader does, over the queue of the
// world: with lag, with answers that come late, stale, or not at all.
type reader struct {
	w         *world
	instance  string
	positions *confirm.Positions
	at        map[place]readPosition
	fixed     []bool // per cluster
	kept      map[string]confirm.Listing
	slow      bool
}

type place struct{ cluster, partition int }

// readPosition is where a partition is read next, under which life.
type readPosition struct {
	next int
	life uint64
}

// barrierRun is a barrier on its way.
type barrierRun struct {
	begun   time.Duration
	since   confirm.Ticket
	answers int // tick at which the clusters' answers are there
	barrier *confirm.Barrier
}

const topic = "t"

func clusterName(i int) string { return fmt.Sprint("cluster", i) }

func newReader(w *world, instance int) *reader {
	names := make([]string, len(w.clusters))
	for i := range names {
		names[i] = clusterName(i)
	}
	return &reader{
		w: w, instance: instanceName(instance), positions: confirm.NewPositions(names...),
		at: make(map[place]readPosition), fixed: make([]bool, len(names)), kept: make(map[string]confirm.Listing),
	}
}

// watch fixes the positions in every cluster that answers, and reports whether that has been done in all:
// no pack goes out before.
func (rd *reader) watch() bool {
	for i, c := range rd.w.clusters {
		if rd.fixed[i] || c.stalled {
			continue
		}
		since := rd.positions.Ask()
		starts, err := rd.positions.Fix(clusterName(i), topic, rd.list(i, since))
		if err != nil {
			panic(breach{"fixing: " + err.Error()})
		}
		rd.begin(starts)
		rd.fixed[i] = true
	}
	return !slices.Contains(rd.fixed, false)
}

// list is what a cluster answers now to a question with this ticket.
func (rd *reader) list(i int, ticket confirm.Ticket) confirm.Listing {
	parts := make(map[int32]confirm.Bounds)
	for n, log := range rd.w.clusters[i].partitions {
		parts[int32(n)] = confirm.Bounds{End: confirm.At(int64(len(log)))}
	}
	l := confirm.Listing{Fresh: ticket, Topics: map[string]confirm.TopicListing{
		topic: {Exists: true, ID: [16]byte{1}, Partitions: parts},
	}}
	rd.kept[clusterName(i)] = l
	return l
}

func (rd *reader) begin(starts []confirm.Start) {
	for _, s := range starts {
		for i := range rd.w.clusters {
			if s.Cluster == clusterName(i) {
				rd.at[place{i, int(s.Partition)}] = readPosition{int(s.Offset.Entry), s.Life}
			}
		}
	}
}

// read returns the packs of this instance found since the last tick.
func (rd *reader) read() (seqs []finality.Pack) {
	for i, c := range rd.w.clusters {
		if !rd.fixed[i] || c.stalled || rd.slow {
			continue
		}
		if rd.w.r.IntN(20) == 0 {
			ticket := rd.positions.Ask()
			starts, err := rd.positions.Update(clusterName(i), rd.list(i, ticket))
			if err != nil {
				panic(breach{"updating: " + err.Error()})
			}
			rd.begin(starts)
		}
		for n, log := range c.partitions {
			at, known := rd.at[place{i, n}]
			for more := rd.w.r.IntN(8); known && more > 0 && at.next < len(log); more-- {
				if seq, v := confirm.Judge(log[at.next].value, rd.instance); v == confirm.Mine {
					seqs = append(seqs, finality.Pack(seq))
				}
				at.next++
			}
			if known {
				rd.at[place{i, n}] = at
				rd.positions.Advance(confirm.Place{Cluster: clusterName(i), Topic: topic, Partition: int32(n)}, at.life, confirm.At(int64(at.next)))
			}
		}
	}
	return seqs
}

// ask begins a barrier; the answers take a while.
func (rd *reader) ask(now time.Duration) *barrierRun {
	return &barrierRun{begun: now, since: rd.positions.Ask(), answers: rd.w.now + rd.w.r.IntN(4)}
}

// passed reports whether a barrier is passed, or can never be.
func (rd *reader) passed(run *barrierRun) (passed, failed bool) {
	if rd.w.now < run.answers {
		return false, false
	}
	if run.barrier == nil {
		b, starts, err := rd.positions.Begin(run.since, rd.answers(run))
		rd.begin(starts)
		if err != nil {
			return false, true
		}
		run.barrier = b
	}
	passed, err := rd.positions.Passed(run.barrier)
	return passed && err == nil, err != nil
}

// answers collects what the clusters say to a barrier's question. Now and then one says nothing, or all
// there is are answers to earlier questions.
func (rd *reader) answers(run *barrierRun) map[string]confirm.Listing {
	mood := rd.w.r.IntN(8)
	if mood == 0 {
		return maps.Clone(rd.kept)
	}
	said := make(map[string]confirm.Listing)
	silent := rd.w.r.IntN(len(rd.w.clusters))
	for i, c := range rd.w.clusters {
		if c.stalled || mood <= 3 && i == silent {
			continue
		}
		said[clusterName(i)] = rd.list(i, run.since)
	}
	return said
}
