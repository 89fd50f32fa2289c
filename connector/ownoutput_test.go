package connector

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// elsewhere is the configuration with another address of the same queue, so that only the cluster's answers show
// that it is the source's.
func (e *env) elsewhere(confirm string) *config.Config {
	e.t.Helper()
	c := e.config(confirm)
	for i, b := range c.Queue.Kafka[0].Brokers {
		c.Queue.Kafka[0].Brokers[i] = strings.Replace(b, "127.0.0.1", "localhost", 1)
	}
	return c
}

func withKafka(o ...kfake.Opt) envOption {
	return func(c *envConfig) { c.kafkaOpts = append(c.kafkaOpts, o...) }
}

func (r *running) leftOut(topic string) string {
	for _, l := range r.b.Status().Group.LeftOut {
		if l.Topic == topic {
			return l.Reason
		}
	}
	return ""
}

// '.*' means the queue too when it lies in the source's Kafka: the bridge read its own packs for ever.
func TestOwnQueueIsLeftOutOfExpressions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config func(e *env) *config.Config
		opts   []kgo.Opt
	}{
		{"same address", func(e *env) *config.Config { return e.config("queue") }, nil},
		{"another address", func(e *env) *config.Config { return e.elsewhere("queue") }, nil},
		{"settle", func(e *env) *config.Config { return e.elsewhere("settle") }, nil},
		{"no topic ids", func(e *env) *config.Config { return e.elsewhere("queue") }, []kgo.Opt{kgo.MaxVersions(kversion.V2_7_0())}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.more = tt.opts
			e.routes = "  - {topics: ['.*'], exclude: [q.g.s2], group: g, stream: s}\n"
			e.produce("orders", 0, 0, 100, 0)
			log := new(lines)
			r := e.startLogging(tt.config(e), newLog(log))
			e.waitCommitted("orders", 0, 100)
			e.produce("orders", 0, 100, 10, 0) // what was read of the queue by now would have been sent
			e.waitCommitted("orders", 0, 110)
			s := r.b.Status()
			if !slices.Equal(s.Group.Topics, []string{"orders"}) || !s.Ready.Strict {
				t.Errorf("topics = %v, ready = %+v; want orders alone, and ready", s.Group.Topics, s.Ready)
			}
			if why := r.leftOut(queueTopic); !strings.Contains(why, "this bridge writes it") {
				t.Errorf("left out = %+v, want %s with its reason", s.Group.LeftOut, queueTopic)
			}
			if n := log.count("leaving out a topic"); n != 1 || log.count("level=WARN msg=\"leaving out a topic") != 1 {
				t.Errorf("it was told %d times, want once, as a warning", n)
			}
			if got := e.arrived(); len(got) != 110 {
				t.Errorf("%d different records arrived, want the 110 of the source and no packs", len(got))
			}
		})
	}
}

// The README's own shape: the queue's topic of a source topic is that topic.
func TestSourceTopicsThatAreTheQueueAreLeftOut(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, "logs.web", "logs.api"); err != nil {
		t.Fatal(err)
	}
	e.routes = "  - {topics: 'logs\\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}\n  - {topics: [orders], group: g, stream: s}\n"
	c := e.config("settle")
	c.Queue.Kafka[0].Topic = "{group}.{stream}"
	r := e.start(c)
	if s := r.b.Status(); !slices.Equal(s.Group.Topics, []string{"orders"}) || len(s.Group.LeftOut) != 2 {
		t.Errorf("group = %+v, want orders consumed and both logs left out", s.Group)
	}
	r.stop()
	<-r.done

	e.routes = "  - {topics: 'logs\\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}\n"
	c = e.config("settle")
	c.Queue.Kafka[0].Topic = "{group}.{stream}"
	b, err := New(c, Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a bridge that starts all the same
	defer cancel()
	if err := b.Run(ctx, ctx); err == nil || !strings.Contains(err.Error(), "logs.api") || !strings.Contains(err.Error(), "this bridge writes") {
		t.Errorf("Run = %v, want it refused because nothing but its own output is left", err)
	}
}

// A queue topic that is created while the bridge runs is left out as well, with one warning however often the
// topics are listed.
func TestOwnQueueThatAppearsIsLeftOut(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: ['.*'], exclude: ['q\\.g\\.s.*'], group: g, stream: '{topic}'}\n"
	log := new(lines)
	r := e.startLogging(e.elsewhere("queue"), newLog(log))
	if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, "q.g.orders", "later"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10e9, func() error {
		if got := r.b.Status().Group; !slices.Equal(got.Topics, []string{"later", "orders"}) || r.leftOut("q.g.orders") == "" {
			return fmt.Errorf("group = %+v, want later consumed and q.g.orders left out", got)
		}
		return nil
	})
	if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, "later2"); err != nil { // the topics are listed again
		t.Fatal(err)
	}
	eventually(t, 10e9, func() error {
		if got := r.b.Status().Group.Topics; !slices.Contains(got, "later2") {
			return fmt.Errorf("topics = %v, want later2 among them", got)
		}
		return nil
	})
	if n := log.count("leaving out a topic"); n != 1 {
		t.Errorf("it was told %d times, want once", n)
	}
}

func TestOwnQueueIsRefusedWhereItIsNamed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c := e.elsewhere("queue")
	c.Routes = assigntest.Mapping(t, "- {topics: [orders, "+queueTopic+"], group: g, stream: s}\n") // check would name it where the addresses tell
	b, err := New(c, Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a bridge that starts all the same
	defer cancel()
	if err := b.Run(ctx, ctx); err == nil || !strings.Contains(err.Error(), "routes name topic "+queueTopic) {
		t.Errorf("Run = %v, want the named topic refused", err)
	}
}

// A header leads to a stream whose topic is consumed already: it stops, and so does every later assignment of it.
func TestConsumedTopicThatTurnsOutToBeTheQueueStops(t *testing.T) {
	for _, cluster := range []string{"told", "not told"} {
		t.Run("cluster id "+cluster, func(t *testing.T) {
			t.Parallel()
			opts := []envOption{}
			if cluster == "not told" {
				opts = append(opts, withKafka(kfake.ClusterID("")))
			}
			e := newEnv(t, opts...)
			e.routes = "  - {topics: [orders, " + queueTopic + "], group: g, stream: '{header:s}', unmatched: skip}\n"
			r := e.start(e.elsewhere("queue"))
			r.part(queueTopic, 0, func(p PartitionStatus) bool { return !p.Stopped })
			if err := e.cl.ProduceSync(t.Context(), &kgo.Record{
				Topic: "orders", Value: []byte("x"), Headers: []kgo.RecordHeader{{Key: "s", Value: []byte("s")}},
			}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			p := r.part(queueTopic, 0, func(p PartitionStatus) bool { return p.Stopped })
			if p.Stall != string(reason.Loop) || !strings.Contains(p.Reason, "this bridge writes it") {
				t.Errorf("%s/0 = %+v, want it stopped as a loop", queueTopic, p)
			}
			e.waitCommitted("orders", 0, 1)
			if why := r.leftOut(queueTopic); !strings.Contains(why, "stopped") {
				t.Errorf("left out says %q, want that it was stopped", why)
			}
			later := assign.New(assign.Spec{Partition: part.ID{Topic: queueTopic, Num: 7}, Topic: &assign.Topic{Name: queueTopic}, Router: assigntest.RouterByHeader(t, false), Limit: -1}, r.b.consumer, new(gate.Gates).New(queueTopic, 7), new(assign.PendingBytes))
			r.b.consumer.Put(later)
			if h := later.Stopped(); h == nil || h.Code != reason.Loop {
				t.Errorf("a later assignment is halted by %+v, want %s", h, reason.Loop)
			}
			r.b.table.Remove(later)
		})
	}
}

// The Manager tells the topics, per stream; those of streams that nothing is routed to may be shipped.
func TestOwnQueueOfTheManagerIsLeftOut(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	m := dptest.StartManager(t)
	m.SetNodes(e.proxies[0].Addr())
	m.SetQueue(dptest.QueueConfig{
		Clusters: []dptest.QueueClusterConfig{{Name: "mq1", Params: map[string]string{
			"bootstrap.servers": strings.ReplaceAll(strings.Join(e.kafka.ListenAddrs(), ","), "127.0.0.1", "localhost"),
		}}},
		Streams: []dptest.StreamConfig{
			{Group: "g", Stream: "s", Topic: "s", Namespace: "q.g"}, {Group: "g", Stream: "other", Topic: "q.g.s2", Namespace: "q.g"},
		},
	})
	c, err := config.Parse("test.yaml", fmt.Appendf(nil, `kafka: {brokers: [%s], group: bridge}
inlong: {manager: {urls: ['%s']}, cluster: {name: default_dataproxy, tag: default_cluster}, refresh: 1s}
routes: [{topics: ['.*'], group: g, stream: s}]
queue: {manager: true, timeout: 1s}
memory: {budget: 64MiB}
`, strings.Join(e.kafka.ListenAddrs(), ", "), m.URL()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka.CommitInterval = 50 * time.Millisecond
	e.produce("orders", 0, 0, 20, 0)
	r := e.start(c)
	e.waitCommitted("orders", 0, 20)
	if s := r.b.Status().Group; !slices.Equal(s.Topics, []string{"orders", "q.g.s2"}) || r.leftOut(queueTopic) == "" {
		t.Errorf("group = %+v, want orders and q.g.s2 consumed and %s left out", s, queueTopic)
	}
}

func TestInternalTopicsAreToldAndCanBeNamed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, "_schemas", "connect-offsets", "mm2.internal", "__named", "__other"); err != nil {
		t.Fatal(err)
	}
	e.routes = "  - {topics: [__named], group: g, stream: s2}\n  - {topics: ['.*'], exclude: ['q\\..*'], group: g, stream: s}\n"
	log := new(lines)
	r := e.startLogging(e.config("queue"), newLog(log))
	e.produce("__named", 0, 0, 3, 0)
	e.waitCommitted("__named", 0, 3)
	s := r.b.Status().Group
	if !slices.Equal(s.Topics, []string{"__named", "orders"}) {
		t.Errorf("topics = %v, want __named and orders", s.Topics)
	}
	for _, topic := range []string{"_schemas", "connect-offsets", "mm2.internal", "__other"} {
		if r.leftOut(topic) == "" || log.count("topic="+topic+" ") != 1 {
			t.Errorf("%s: left out says %q and the log %d lines, want a reason and one line", topic, r.leftOut(topic), log.count("topic="+topic+" "))
		}
	}
}
