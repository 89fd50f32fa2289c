package dptest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
)

// clusterFuncs is a queue of one function per cluster.
type clusterFuncs struct {
	dptest.Spread
	to []func(ctx context.Context, m []dptest.QueueMessage) error
}

func (q *clusterFuncs) Clusters() int { return len(q.to) }

func (q *clusterFuncs) Put(ctx context.Context, m []dptest.QueueMessage) error {
	return q.Spread.Put(ctx, q, m)
}

func (q *clusterFuncs) PutTo(ctx context.Context, c int, m []dptest.QueueMessage) error {
	return q.to[c](ctx, m)
}

func TestSpreadGoesOnWhereThePutBeforeEnded(t *testing.T) {
	got := make([][]string, 3)
	q := &clusterFuncs{}
	for c := range got {
		q.to = append(q.to, func(_ context.Context, m []dptest.QueueMessage) error {
			got[c] = append(got[c], values(m)...)
			return nil
		})
	}
	for _, m := range [][]dptest.QueueMessage{messages(0, 4), messages(4, 5), nil, messages(5, 9)} {
		if err := q.Put(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for c, want := range [][]string{{"0", "3", "6"}, {"1", "4", "7"}, {"2", "5", "8"}} {
		if !slices.Equal(got[c], want) {
			t.Errorf("cluster %d has %v, want %v", c, got[c], want)
		}
	}
}

func TestSpreadSaysWhatEachClusterStored(t *testing.T) {
	partly, nothing := errors.New("the second was refused"), errors.New("not reached")
	q := &clusterFuncs{to: []func(context.Context, []dptest.QueueMessage) error{
		func(_ context.Context, m []dptest.QueueMessage) error {
			return &dptest.PutError{Stored: []bool{true, false}, Err: partly}
		},
		func(context.Context, []dptest.QueueMessage) error { return nothing },
		func(context.Context, []dptest.QueueMessage) error { return nil },
	}}
	err := q.Put(t.Context(), messages(0, 6))
	var all *dptest.PutError
	if !errors.As(err, &all) || !slices.Equal(all.Stored, []bool{true, false, true, false, false, true}) {
		t.Fatalf("Put = %+v", err)
	}
	if !errors.Is(err, partly) || !errors.Is(err, nothing) {
		t.Errorf("Put = %v, want both reasons", err)
	}
}

func TestAnswersThatComeAfterTheEndCountWithinTenSeconds(t *testing.T) {
	refused := errors.New("refused")
	for _, tt := range []struct {
		name   string
		after  time.Duration // of the last answer, after ctx ended
		last   error
		stored []bool // nil for no error at all
		want   string
	}{
		{"stored in time", 9 * time.Second, nil, nil, ""},
		{"refused in time", 9 * time.Second, refused, []bool{true, false}, "refused"},
		{"too late", 11 * time.Second, nil, []bool{true, false}, "1 messages without the brokers' answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				a := dptest.NewAnswers(2)
				a.Add(0, nil)
				go func() {
					time.Sleep(time.Second)
					cancel()
					time.Sleep(tt.after)
					a.Add(1, tt.last)
				}()
				err := a.Wait(ctx)
				if tt.stored == nil {
					if err != nil {
						t.Errorf("Wait = %v", err)
					}
					return
				}
				var partly *dptest.PutError
				if !errors.As(err, &partly) || !slices.Equal(partly.Stored, tt.stored) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("Wait = %v", err)
				}
				time.Sleep(time.Minute)
				if !slices.Equal(partly.Stored, tt.stored) {
					t.Error("a late answer changed what was told")
				}
			})
		})
	}
}
