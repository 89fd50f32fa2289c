package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// digest identifies a record by its stream and value. The empty values of a stream share one digest and are only
// counted.
type digest [16]byte

func digestOf(group, stream string, value []byte) digest {
	h := sha256.New()
	_, _ = io.WriteString(h, group+"\x00"+stream+"\x00")
	_, _ = h.Write(value)
	var sum [sha256.Size]byte
	return digest(h.Sum(sum[:0])[:len(digest{})])
}

// books count, for one topic, how often each record was produced and how often it arrived.
type books struct {
	produced, arrived map[digest]int
	foreign           int // arrived in a stream that the topic does not feed, or cannot be read
}

func newBooks() *books {
	return &books{produced: make(map[digest]int), arrived: make(map[digest]int)}
}

// topicReport is the closed books of one topic; the sum of all topics has the name "".
// arrived = produced - lost + duplicates + corrupt.
type topicReport struct {
	Topic      string  `json:"topic,omitempty"`
	Produced   int     `json:"produced"`
	Arrived    int     `json:"arrived"`
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"`
	Corrupt    int     `json:"corrupt"`
	Seconds    float64 `json:"elapsed_s"`
}

func (b *books) close(topic string) topicReport {
	v := topicReport{Topic: topic, Corrupt: b.foreign, Arrived: b.foreign}
	for d, n := range b.produced {
		v.Produced += n
		v.Lost += max(0, n-b.arrived[d])
	}
	for d, n := range b.arrived {
		v.Arrived += n
		if produced, known := b.produced[d]; known {
			v.Duplicates += max(0, n-produced)
		} else {
			v.Corrupt += n
		}
	}
	return v
}

// demoReport is what the demo prints. The names of its JSON fields are a public interface.
type demoReport struct {
	topicReport
	Confirm     string        `json:"confirm"`
	Seed        uint64        `json:"seed"`
	KilledPacks int           `json:"killed_packs"`   // packs that the proxy held when it was killed
	Killed      int           `json:"killed_records"` // records in these packs
	Committed   bool          `json:"committed"`      // all offsets were committed in time
	Topics      []topicReport `json:"topics"`
}

func (v *demoReport) add(t topicReport) {
	v.Topics = append(v.Topics, t)
	v.Produced += t.Produced
	v.Arrived += t.Arrived
	v.Lost += t.Lost
	v.Duplicates += t.Duplicates
	v.Corrupt += t.Corrupt
}

// err returns nil if nothing is lost and every byte matches.
func (v *demoReport) err() error {
	hint := "the bridge is broken, please report the seed"
	switch v.Confirm {
	case "ack":
		hint = "this is what confirm: ack means: a proxy acks records that it has in memory, and loses them when it is killed; use --confirm queue"
	case "settle":
		hint = "a proxy that lags behind its queue by more than --settle loses records unnoticed; use --confirm queue, or a longer --settle"
	}
	switch {
	case v.Lost > 0 || v.Corrupt > 0:
		return &codedError{exitLost, fmt.Errorf("%d of %d records lost, %d corrupt; hint: %s", v.Lost, v.Produced, v.Corrupt, hint)}
	case !v.Committed:
		return fmt.Errorf("everything arrived, but not all offsets were committed in time; hint: is this machine very busy?")
	}
	return nil
}

// seconds rounds to milliseconds exactly: 22.798, not 22.798000000000002.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}

func (v *demoReport) printJSON(w io.Writer) error { return json.NewEncoder(w).Encode(v) }

func (v *demoReport) printTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	printf(t, "topic\tproduced\tarrived\tlost\tduplicates\tcorrupt\ttime\trecords/s\t\n")
	row := func(name string, r topicReport) {
		printf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name,
			thousands(int64(r.Produced)), thousands(int64(r.Arrived)), thousands(int64(r.Lost)),
			thousands(int64(r.Duplicates)), thousands(int64(r.Corrupt)),
			time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond),
			thousands(int64(float64(r.Produced)/max(0.001, r.Seconds))))
	}
	for _, r := range v.Topics {
		row(r.Topic, r)
	}
	row("all", v.topicReport)
	return t.Flush()
}
