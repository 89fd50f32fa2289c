package kafkaclient

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWakeResumesNothing(t *testing.T) {
	cl, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	cl.PauseFetchPartitions(map[string][]int32{"orders": {3}})
	cl.PauseFetchTopics("parcels")
	Wake(cl)
	if got := cl.PauseFetchPartitions(nil)["orders"]; !slices.Equal(got, []int32{3}) {
		t.Errorf("paused partitions of orders = %v, want 3", got)
	}
	if got := cl.PauseFetchTopics(); !slices.Equal(got, []string{"parcels"}) {
		t.Errorf("paused topics = %v, want parcels", got)
	}
}
