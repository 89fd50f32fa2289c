package connector

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkahandler"
)

// With a broker and the client's own conversion: microseconds arrive as now, are counted, and are said once.
func TestImpossibleEventTimesArriveAsNowAndAreCounted(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var log lines
	began := time.Now().Truncate(time.Second)
	micros := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC).UnixMicro()
	for part := range int32(2) {
		e.produceAt("orders", part, micros, "late", "later")
		e.produceAt("orders", part, -1, "none")
		e.produceAt("orders", part, 1_700_000_000_000, "well")
	}
	r := e.startLogging(e.config("queue"), slog.New(slog.NewTextHandler(&log, nil)))
	for part := range int32(2) {
		e.waitCommitted("orders", part, 4)
	}
	times := map[string][]int64{}
	err := kafkahandler.ReadAll(t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{queueTopic}, func(p kafkahandler.Pack) error {
		for _, v := range p.Records {
			times[string(v)] = append(times[string(v)], int64(p.Pack.DataTime))
		}
		return p.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"late", "later", "none"} {
		for _, at := range times[v] {
			if at < began.Unix() || at > time.Now().Unix() {
				t.Errorf("%s arrived at %d, want the time of arrival, from %d on", v, at, began.Unix())
			}
		}
	}
	if got := times["well"]; len(got) != 2 || got[0] != 1_700_000_000 || got[1] != got[0] {
		t.Errorf("well arrived at %v, want its own time twice", got)
	}
	got := map[string]uint64{}
	each(&r.b.consumer.Counters.Replaced, func(topic string, n uint64) { got[topic] = n })
	if got["orders"] != 6 {
		t.Errorf("replaced %v, want 6 of orders", got)
	}
	if n := log.count("impossible event time"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}
