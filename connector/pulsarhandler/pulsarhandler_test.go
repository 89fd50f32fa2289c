package pulsarhandler

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest"
)

func TestMessagesLookAsPulsarHandlerWritesThem(t *testing.T) {
	got := message(&dptest.QueueMessage{Group: "g", Stream: "s", Value: []byte("value"), Headers: []dptest.Header{
		{Key: "rt", Value: "1"}, {Key: "msgEnType", Value: "2"}, {Key: "srcIp", Value: "127.0.0.1"},
	}})
	want := map[string]string{"rt": "1", "msgEnType": "2", "srcIp": "127.0.0.1"}
	if string(got.Payload) != "value" || got.Key != "" || got.OrderingKey != "" || !got.EventTime.IsZero() || !maps.Equal(got.Properties, want) {
		t.Errorf("message is %+v", got)
	}
}

func TestTopicsAreNamedByTemplates(t *testing.T) {
	for _, tt := range []struct{ namespace, topic, want string }{
		{"ns", "{stream}", "persistent://t/ns/s"},
		{"{group}", "{stream}", "persistent://t/g/s"},
		{"ns", "{group}-{stream}", "persistent://t/ns/g-s"},
	} {
		c := Cluster{Tenant: "t", Namespace: tt.namespace, Topic: tt.topic}
		if got := c.TopicOf("g", "s"); got != tt.want {
			t.Errorf("topic %s in namespace %s: %s, want %s", tt.topic, tt.namespace, got, tt.want)
		}
	}
}

func TestOpeningSaysWhatIsWrong(t *testing.T) {
	if _, err := New(); err == nil || !strings.Contains(err.Error(), "no Pulsar cluster") {
		t.Errorf("no cluster: %v", err)
	}
	_, err := New(Cluster{ServiceURL: "pulsar://127.0.0.1:1"}, Cluster{ServiceURL: "ftp://127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "cluster 1") {
		t.Errorf("a service URL of another kind: %v", err)
	}
}

// A broker that takes connections and says nothing: every call ends with its context all the same.
func TestABrokerThatSaysNothingHoldsNobodyLongerThanTheContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	q, err := New(Cluster{ServiceURL: "pulsar://" + l.Addr().String(), Tenant: "t", Namespace: "ns", Topic: "{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := q.Ping(ctx, "g", "s"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping = %v", err)
	}
	err = q.Put(ctx, []dptest.QueueMessage{{Group: "g", Stream: "s"}, {Group: "g", Stream: "s"}})
	var none *dptest.PutError
	if !errors.As(err, &none) || !slices.Equal(none.Stored, []bool{false, false}) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put = %v, want nothing stored because the context ended", err)
	}
}
