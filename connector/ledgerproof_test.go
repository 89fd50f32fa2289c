package connector

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/verify"
	"inlong-bridge/sdk/frame"
)

// The whole of it: a bridge moves records through proxies that lose and repeat packs, is killed, and another one goes on. The queue
// holds all of it, and a copy without one pack lacks exactly the records that were in no other pack.
func TestQueueProvesWhatABridgeMoved(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for partition := range int32(2) {
		e.produce("orders", partition, 0, 400, 40)
	}
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 400)
	e.waitCommitted("orders", 1, 400)
	ask := func(template string) Report {
		t.Helper()
		cfg := e.config("queue")
		cfg.Queue.Kafka[0].Topic = template
		v, err := Verify(t.Context(), cfg, Deps{Log: testLog(t)}, VerifyOptions{Memory: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := ask("q.{group}.{stream}"); v.Result != Pass || v.Partitions[0].Queue.Found != 400 || v.Partitions[1].Queue.Found != 400 {
		t.Errorf("beside the running bridge: %s, %+v, %+v", v.String(), v.Partitions[0].Queue, v.Queue)
	}
	e.produce("orders", 0, 400, 400, 40)
	r.crash() // some of these are in the queue, and not committed
	r = e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 800)
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
	v := ask("q.{group}.{stream}")
	if v.Result != Pass || v.Partitions[0].Queue.Found != 800 || v.Queue.NoLineage != 0 || v.Queue.Unreadable != 0 {
		t.Fatalf("after a crash: %s, %+v, %+v", v.String(), v.Partitions[0].Queue, v.Queue)
	}

	// Copy the queue without one pack.
	if _, err := e.adm.CreateTopic(t.Context(), 1, 1, nil, "copy.g.s"); err != nil {
		t.Fatal(err)
	}
	taken, copies := -1, make(map[string]int)
	packs := e.packs()
	for i, p := range packs {
		for _, at := range p.offsets {
			copies[at]++
		}
		if len(p.offsets) > 1 && taken < 0 {
			taken = i
		}
	}
	var want []string
	for i, p := range packs {
		if i == taken {
			for _, at := range p.offsets {
				if copies[at] == 1 {
					want = append(want, at)
				}
			}
			continue
		}
		if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "copy.g.s", Value: p.value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	v = ask("copy.{group}.{stream}")
	var got []string
	for _, p := range v.Partitions {
		if p.Queue.Outcome == verify.Missing && p.Queue.AtMost {
			t.Errorf("%+v is not exact", p.Queue)
		}
		for _, in := range p.Queue.Intervals {
			for o := in.First; o <= in.Last; o++ {
				got = append(got, fmt.Sprintf("%d/%d", p.Partition, o))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if v.Result != Fail || len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("a copy without one pack: %s; missing %q, want %q", v.String(), got, want)
	}
}

// queuePack is a message of the queue, and the records in it as partition/offset.
type queuePack struct {
	value   []byte
	offsets []string
}

// packs reads the queue.
func (e *env) packs() (all []queuePack) {
	e.t.Helper()
	q, err := OpenQueue(e.t.Context(), e.config("queue"), Deps{Log: testLog(e.t)})
	if err != nil {
		e.t.Fatal(err)
	}
	defer q.Close()
	c := q.Clusters[0]
	l, err := c.Holds(e.t.Context(), queueTopic)
	if err != nil {
		e.t.Fatal(err)
	}
	for n, b := range l.Partitions {
		s := confirm.Stretch{Place: confirm.Place{Cluster: c.Name(), Topic: queueTopic, Partition: n}, TopicID: l.ID, From: b.Start, To: b.End}
		if err := c.Browse(e.t.Context(), s, func(m *confirm.Message) error {
			p, err := frame.DecodeInLongMsg(m.Value)
			if err != nil {
				return err
			}
			src, _ := frame.Attribute(p.Attr, lineage.Attr)
			from, err := lineage.Decode(string(src), int(p.Count))
			if err != nil {
				return err
			}
			k := queuePack{value: m.Value}
			for r := range from.Records() {
				k.offsets = append(k.offsets, fmt.Sprintf("%d/%d", from.Sources[r.Source].Partition, r.Offset))
			}
			all = append(all, k)
			return nil
		}); err != nil {
			e.t.Fatal(err)
		}
	}
	return all
}
