//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/verify"
	"inlong-bridge/sdk/frame"
)

// found is what lies in the queue.
type found struct {
	times    map[place]int // how often each record of the source arrived, without what was requeued
	requeued map[place]int
	packs    []foundPack // of the plain stream
	compared int         // first copies whose place in an order was compared
}

type foundPack struct {
	topic     string
	partition int32
	offset    int64
	records   []place
}

// lane is what keeps its order in the queue.
type lane struct {
	stream string
	at     at
	key    string
}

// find reads the queue. Each record must have the bytes of the one at the offset that its pack names, lie in that one's stream, and remain
// once when repeats are dropped by lineage; what travels with it must be what was produced.
func (r *randomRun) find(template string) *found {
	r.Helper()
	sources, clusterID := make(map[lineage.Source]at), ""
	for _, topic := range r.topics {
		cluster, id := r.k.idOf(topic)
		clusterID = lineage.ClusterOf(cluster).String()
		for p := range r.partitions {
			sources[lineage.SourceOf(lineage.ClusterOf(cluster), id, topic, p)] = at{topic, p}
		}
	}
	to := sink{queue: r.k.cluster, template: template}
	topics := to.topics(streams())
	ends, err := r.k.admin.ListEndOffsets(r.Context(), topics...)
	if err != nil {
		r.Fatal(err)
	}
	dedupe := make(map[string]*lineage.Dedupe)
	for i, s := range streams() {
		dedupe[s] = lineage.NewDedupe(1 << 20)
		for p := range ends[topics[i]] {
			dedupe[s].Join(fmt.Sprint(p))
		}
	}
	f := &found{times: make(map[place]int), requeued: make(map[place]int)}
	taken, last := make(map[place]int), make(map[lane]int64)
	var verdicts []lineage.Verdict
	failures := 0
	fail := func(format string, args ...any) {
		if failures++; failures <= 20 {
			r.Errorf(format, args...)
		}
	}
	err = kafkahandler.ReadAll(r.Context(), r.k.opts, topics, func(p kafkahandler.Pack) error {
		if p.Err != nil {
			return p.Err
		}
		src, _ := frame.Attribute(p.Pack.Attr, lineage.Attr)
		l, err := lineage.Decode(string(src), len(p.Records))
		if err != nil {
			return fmt.Errorf("%s/%d at offset %d: %w", p.Topic, p.Partition, p.Offset, err)
		}
		items, err := p.Pack.ItemsAttrs(64 << 20)
		if err != nil || len(items) != len(p.Records) {
			return fmt.Errorf("%s/%d at offset %d: %d records: %w", p.Topic, p.Partition, p.Offset, len(items), err)
		}
		verdicts = dedupe[p.Stream].Pack(fmt.Sprint(p.Partition), l, verdicts[:0])
		pack, n := foundPack{topic: p.Topic, partition: p.Partition, offset: p.Offset}, -1
		for rec := range l.Records() {
			n++
			from, ok := sources[l.Sources[rec.Source].Source]
			here := place{from.topic, from.partition, rec.Offset}
			number, want, w := r.produced.at(here)
			if !ok || want == nil {
				fail("%s/%d at offset %d: record %d, %.40q, names %+v, where no record was produced", p.Topic, p.Partition, p.Offset, n, items[n].Data, here)
				continue
			}
			// Nobody remembers whether a record was taken that long ago, so a consumer takes what comes from a letter.
			unsure := verdicts[n] == lineage.Unsure
			if !bytes.Equal(items[n].Data, want.Value) || unsure && !l.Requeued {
				fail("%s/%d at offset %d: record %d of %+v is %.40q, %s; want %.40q", p.Topic, p.Partition, p.Offset, n, here, items[n].Data, verdicts[n], want.Value)
			}
			if home := stream(here.topic, number); !l.Requeued && (p.Stream != home || p.Group != streamGroup) {
				fail("%+v lies in %s/%s, want %s", here, p.Group, p.Stream, home)
			}
			if here.topic == travelsTopic && !l.Requeued {
				if err := travelled(items[n].Attr, want, here, clusterID); err != nil {
					fail("%+v (%s): %v", here, w, err)
				}
			}
			if verdicts[n] == lineage.First || unsure {
				taken[here]++
				if r.order != "" && !l.Requeued {
					in := lane{p.Stream, from, ""}
					if r.order == "key" {
						in.key = string(want.Key)
					}
					if before, ok := last[in]; ok {
						f.compared++
						if before >= rec.Offset {
							fail("%s/%d at offset %d: the first copy of %+v lies behind that of offset %d (%+v)", p.Topic, p.Partition, p.Offset, here, before, in)
						}
					}
					last[in] = rec.Offset
				}
			}
			if l.Requeued {
				f.requeued[here]++
			} else {
				f.times[here]++
			}
			pack.records = append(pack.records, here)
		}
		if p.Stream == plainTopic && !l.Requeued {
			f.packs = append(f.packs, pack)
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	for _, times := range []map[place]int{f.times, f.requeued} {
		for here := range times {
			if taken[here] != 1 {
				fail("%+v remains %d times when repeats are dropped by lineage, want once", here, taken[here])
			}
		}
	}
	if failures > 20 {
		r.Errorf("and %d more failures", failures-20)
	}
	return f
}

// travelled compares what travels with a record.
func travelled(attr []byte, want *kgo.Record, here place, cluster string) error {
	got, err := forwarded.FromAttrs(attr)
	if err != nil {
		return err
	}
	ms := want.Timestamp.UnixMilli()
	if want.Timestamp.Year() > 9999 {
		ms = got.Timestamp // beyond what a client represents; the letters and the value tell the rest
	}
	switch o := got.Origin; {
	case !bytes.Equal(got.Key, want.Key) || got.Timestamp != ms:
		return fmt.Errorf("key %q and timestamp %d, want %q and %d", got.Key, got.Timestamp, want.Key, ms)
	case o.Cluster != cluster || o.Topic != here.topic || o.Partition != here.partition || o.Offset != here.offset:
		return fmt.Errorf("origin %+v", o)
	case !slices.EqualFunc(got.Headers, want.Headers, func(a forwarded.Header, b kgo.RecordHeader) bool {
		return a.Name == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
	}):
		return fmt.Errorf("headers %q, want %q", got.Headers, want.Headers)
	}
	return nil
}

// copyQueue copies the topics of the queue into others, without one message.
func (r *randomRun) copyQueue(into []string, without foundPack) {
	r.Helper()
	writer, err := kgo.NewClient(append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond)}, r.k.opts...)...)
	if err != nil {
		r.Fatal(err)
	}
	defer writer.Close()
	for i, topic := range r.to.topics(streams()) {
		var copies []*kgo.Record
		for _, m := range r.k.records(topic) {
			if topic != without.topic || m.Partition != without.partition || m.Offset != without.offset {
				copies = append(copies, &kgo.Record{Topic: into[i], Partition: m.Partition, Value: m.Value, Headers: m.Headers, Timestamp: m.Timestamp})
			}
		}
		if err := writer.ProduceSync(r.Context(), copies...).FirstErr(); err != nil {
			r.Fatalf("copying the queue: %v", err)
		}
	}
}

// intervalsOf returns the intervals of some offsets.
func intervalsOf(offsets []int64) (all []verify.Interval) {
	slices.Sort(offsets)
	for _, o := range offsets {
		if n := len(all); n > 0 && all[n-1].Last == o-1 {
			all[n-1].Last = o
			continue
		}
		all = append(all, verify.Interval{First: o, Last: o})
	}
	return all
}
