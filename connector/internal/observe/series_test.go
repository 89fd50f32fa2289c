package observe

import (
	"maps"
	"math"
	"reflect"
	"testing"
	"time"

	"inlong-bridge/connector/resume"
)

func TestBooksAreAddedUpByTopic(t *testing.T) {
	parts := []PartitionStatus{
		{Topic: "orders", Books: resume.Books{From: 7, Final: 10, Skipped: 20, Gap: 30, Lost: 40, Dead: 50, Hand: 60, Passed: 70, Unproven: 80}},
		{Topic: "logs", Books: resume.Books{Final: 1000}},
		{Topic: "orders", Books: resume.Books{From: 9, Final: 1, Skipped: 2, Gap: 3, Lost: 4, Dead: 5, Hand: 6, Passed: 7, Unproven: 8}},
	}
	got := make(map[string]int64)
	books(parts, func(topic, class string, n int64) {
		if topic == "orders" {
			got[class] = n
		} else if n != 0 && (class != "final" || n != 1000) {
			t.Errorf("%s of %s is %d", class, topic, n)
		}
	})
	want := map[string]int64{
		"final": 11, "skipped": 22, "gap": 33, "lost": 44, "dead_lettered": 55, "skipped_by_hand": 66, "passed_over": 77, "not_proven": 88,
	}
	if !maps.Equal(got, want) {
		t.Errorf("books of orders are %v, want %v", got, want)
	}
}

func TestSeriesOfPartitionsAreAddedUpByTopic(t *testing.T) {
	hour, day := 3600.0, 86400.0
	parts := []PartitionStatus{
		{
			Topic: "orders", Partition: 0, Start: 5, Position: 100, Final: 90, Committed: 80, Lag: 30, LagSeconds: 7, Unfinal: 3,
			OldestUnfinal: 2 * time.Second, LastCommit: time.Unix(50, 0), Stall: "gap", Retention: &RetentionStatus{SecondsLeft: day},
		},
		{
			Topic: "orders", Partition: 1, Start: 7, Position: 7, Final: 7, Committed: -1, Lag: -1, LagSeconds: -1,
			Stall: "gap", Stuck: time.Second, StuckCode: "queue",
		},
		{
			Topic: "orders", Partition: 2, Position: 10, Final: 10, Committed: 10, Lag: 12, LagSeconds: 9, Unfinal: 1,
			OldestUnfinal: time.Second, LastCommit: time.Unix(60, 0), Stall: "stream", Retention: &RetentionStatus{SecondsLeft: hour},
		},
		{Topic: "logs", Partition: 0, Position: 1, Final: 1, Committed: 1, Lag: 0, LagSeconds: 0},
	}
	got := allSeries(parts, 0)
	want := []partitionSeries{
		{topic: "logs", partition: "all", position: 1, final: 1, committed: 1},
		{
			topic: "orders", partition: "all", position: 117, final: 107, committed: 97, lag: 42, lagSeconds: 9, unfinal: 4, oldest: 2,
			lastCommit: 60, retention: &hour, stalled: map[string]int{"gap": 2, "stream": 1}, stuck: map[string]int{"queue": 1},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("series by topic are\n%+v, want\n%+v", got, want)
	}
	each := allSeries(parts, math.MaxInt)
	if len(each) != 4 || each[0].topic != "logs" || each[1].partition != "0" || each[1].committed != 80 || each[2].committed != -1 || each[2].lag != -1 {
		t.Errorf("series by partition are %+v", each)
	}
}

func TestOnlyTopicsOfManyPartitionsAreAddedUp(t *testing.T) {
	parts := []PartitionStatus{
		{Topic: "orders", Partition: 0, Position: 1}, {Topic: "orders", Partition: 1, Position: 2}, {Topic: "orders", Partition: 2, Position: 4},
		{Topic: "logs", Partition: 0, Position: 8}, {Topic: "logs", Partition: 1, Position: 16},
	}
	got := make(map[string]int64)
	for _, row := range allSeries(parts, 2) {
		got[row.topic+"/"+row.partition] = row.position
	}
	want := map[string]int64{"orders/all": 7, "logs/0": 8, "logs/1": 16}
	if !maps.Equal(got, want) {
		t.Errorf("positions are %v, want %v", got, want)
	}
}
