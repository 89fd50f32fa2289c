package connector

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// 1. topic orders is deleted and created again  2. a fetch returns records of the new one at offsets that follow
// the old one's. They are another topic's records: the partition stops and takes none of them.
func TestFetchOfAnotherTopicOfTheSameNameIsNotTaken(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 10, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	r.b.consumer.Group.PauseFetchTopics("orders")
	if err := r.b.consumer.Take(ofAnotherTopic(e.jump("orders", 10, 5)), cutting()); err != nil {
		t.Fatal(err)
	}
	p := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0})
	if h := p.Stopped(); h == nil || h.Code != reason.Recreated {
		t.Errorf("halted by %+v, want %s", h, reason.Recreated)
	}
	if at := p.Expects(); at != 10 {
		t.Errorf("the next offset is %d, want 10: records of the other topic were taken", at)
	}
}

// ofAnotherTopic is the fetch as it would be of a topic of the same name with another id.
func ofAnotherTopic(fs kgo.Fetches) kgo.Fetches {
	fs[0].Topics[0].TopicID = [16]byte{0xFF}
	return fs
}
