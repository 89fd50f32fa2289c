package dptest_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
)

func messages(from, to int) []dptest.QueueMessage {
	var m []dptest.QueueMessage
	for i := from; i < to; i++ {
		m = append(m, dptest.QueueMessage{Group: "g", Stream: "s", Value: []byte(strconv.Itoa(i))})
	}
	return m
}

func values(m []dptest.QueueMessage) []string {
	var v []string
	for _, m := range m {
		v = append(v, string(m.Value))
	}
	return v
}

func TestMemoryQueueSpreadsOverClustersAndPartitions(t *testing.T) {
	q := dptest.NewMemoryQueue(2, 2)
	if err := q.Put(t.Context(), messages(0, 5)); err != nil {
		t.Fatal(err)
	}
	if err := q.Put(t.Context(), messages(5, 8)); err != nil {
		t.Fatal(err)
	}
	want := [][][]string{{{"0", "4"}, {"2", "6"}}, {{"1", "5"}, {"3", "7"}}}
	for c := range want {
		for p, want := range want[c] {
			if got := values(q.Read(c, p, 0)); !slices.Equal(got, want) || q.End(c, p) != int64(len(want)) {
				t.Errorf("cluster %d partition %d has %v to %d, want %v", c, p, got, q.End(c, p), want)
			}
		}
	}
	if got := values(q.Read(0, 0, 1)); !slices.Equal(got, []string{"4"}) {
		t.Errorf("from offset 1: %v", got)
	}
	if got := q.Read(0, 0, 2); len(got) != 0 {
		t.Errorf("from the end: %v", values(got))
	}
}

func TestMemoryQueuePutToAStalledClusterWaitsAndSaysWhatWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := dptest.NewMemoryQueue(2, 1)
		q.Stall(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := q.Put(ctx, messages(0, 3))
		var partly *dptest.PutError
		if !errors.As(err, &partly) || !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(partly.Stored, []bool{true, false, true}) {
			t.Fatalf("Put to a stalled queue: %v, %+v", err, partly)
		}
		if q.End(0, 0) != 2 || q.End(1, 0) != 0 || !q.Stalled(1) {
			t.Errorf("ends are %d and %d", q.End(0, 0), q.End(1, 0))
		}
		time.AfterFunc(time.Hour, func() { q.Resume(1) })
		start := time.Now()
		if err := q.PutTo(t.Context(), 1, messages(3, 4)); err != nil || time.Since(start) != time.Hour {
			t.Errorf("PutTo: %v after %v", err, time.Since(start))
		}
	})
}

func TestMemoryQueueUsesAnAddedPartition(t *testing.T) {
	q := dptest.NewMemoryQueue(1, 1)
	changed := q.Changed()
	if p := q.AddPartition(0); p != 1 || q.Partitions(0) != 2 {
		t.Errorf("new partition is %d of %d", p, q.Partitions(0))
	}
	select {
	case <-changed:
	default:
		t.Error("Changed did not tell")
	}
	if err := q.Put(t.Context(), messages(0, 4)); err != nil {
		t.Fatal(err)
	}
	if q.End(0, 0) != 2 || q.End(0, 1) != 2 {
		t.Errorf("ends are %d and %d", q.End(0, 0), q.End(0, 1))
	}
}

func TestMemoryQueueStoresNothingOnceTheContextEnded(t *testing.T) {
	q := dptest.NewMemoryQueue(2, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Put(ctx, messages(0, 4)); !errors.Is(err, context.Canceled) || q.Len() != 0 {
		t.Errorf("Put: %v, %d stored", err, q.Len())
	}
}
