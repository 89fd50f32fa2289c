package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"inlong-bridge/connector/confirm"
)

// Nothing is put into a topic before it is watched, so whoever asks then knows all that is written.
func TestOutputsAreWhatIsWatchedWithItsIDs(t *testing.T) {
	q := newQueue(t, 2, kfake.ClusterID("c"))
	if got := q.reader.Outputs(); len(got) != 0 {
		t.Errorf("Outputs = %+v before anything is watched, want none", got)
	}
	q.create(0, 1) // in one of the two
	q.run()
	q.watch()
	details, err := q.admins[0].ListTopics(t.Context(), topicName)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]confirm.Output{}
	for _, o := range q.reader.Outputs() {
		got[o.Cluster] = o
	}
	id := [16]byte(details[topicName].ID)
	if want := (confirm.Output{Cluster: "q0", ClusterID: "c", Topic: topicName, ID: id}); got["q0"] != want || id == ([16]byte{}) {
		t.Errorf("Outputs of q0 = %+v, want %+v", got["q0"], want)
	}
	if want := (confirm.Output{Cluster: "q1", ClusterID: "c", Topic: topicName}); got["q1"] != want {
		t.Errorf("Outputs of q1, where the topic does not exist = %+v, want %+v", got["q1"], want)
	}
}
