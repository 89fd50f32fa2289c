package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk/dptest"
)

// env is a world in this process: a Kafka with source topics and the queue topic behind two proxies.
type env struct {
	t       *testing.T
	kafka   *kfake.Cluster
	cl      *kgo.Client // of the test
	adm     *kadm.Client
	proxies []*dptest.Proxy
	routes  string
	more    []kgo.Opt
	skip    []HandSkip
	tune    func(b *Bridge) // before it runs
}

const queueTopic = "q.g.s"

type envOption func(*envConfig)

type envConfig struct {
	proxies    int
	brokers    int
	partitions int32
	proxyOpts  []dptest.Option
	kafkaOpts  []kfake.Opt
}

func withProxies(n int) envOption      { return func(c *envConfig) { c.proxies = n } }
func withBrokers(n int) envOption      { return func(c *envConfig) { c.brokers = n } }
func withPartitions(n int32) envOption { return func(c *envConfig) { c.partitions = n } }
func withProxy(o ...dptest.Option) envOption {
	return func(c *envConfig) { c.proxyOpts = append(c.proxyOpts, o...) }
}

func newEnv(t *testing.T, opts ...envOption) *env {
	t.Helper()
	c := envConfig{proxies: 2, brokers: 1, partitions: 2}
	for _, o := range opts {
		o(&c)
	}
	e := &env{t: t, routes: "  - {topics: [orders], group: g, stream: s}\n"}
	var err error
	if e.kafka, err = kfake.NewCluster(append(c.kafkaOpts, kfake.NumBrokers(c.brokers), kfake.SeedTopics(c.partitions, "orders"),
		kfake.SeedTopics(2, queueTopic, "q.g.s2"))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.kafka.Close)
	if e.cl, err = kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(10*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.cl.Close)
	e.adm = kadm.NewClient(e.cl)
	q, err := kafkahandler.New(kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, Topic: "q.{group}.{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	for range c.proxies {
		p, err := dptest.NewProxy(q, append([]dptest.Option{dptest.WithQueueDelay(30 * time.Millisecond)}, c.proxyOpts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		e.proxies = append(e.proxies, p)
	}
	return e
}

// config is a whole configuration with durations short enough for tests.
func (e *env) config(confirm string) *config.Config {
	e.t.Helper()
	var addrs []string
	for _, p := range e.proxies {
		addrs = append(addrs, p.Addr())
	}
	text := fmt.Sprintf(`kafka: {brokers: [%s], group: bridge, isolation: read_uncommitted}
inlong: {proxies: [%s]}
routes:
%sdelivery: {confirm: %s}
queue: {kafka: [{brokers: [%s], topic: 'q.{group}.{stream}'}]}
memory: {budget: 64MiB}
admin: {listen: '127.0.0.1:0'}
`, strings.Join(e.kafka.ListenAddrs(), ", "), strings.Join(addrs, ", "), e.routes, confirm, strings.Join(e.kafka.ListenAddrs(), ", "))
	c, err := config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		e.t.Fatal(err)
	}
	c.Kafka.CommitInterval = 50 * time.Millisecond
	c.Kafka.CommitTimeout = 2 * time.Second
	c.Kafka.SessionTimeout, c.Kafka.RebalanceTimeout = 6*time.Second, 5*time.Second
	c.Kafka.MetadataMaxAge = 300 * time.Millisecond
	c.Delivery.Drain = 10 * time.Second
	c.Delivery.RevokeWait = time.Second
	c.Delivery.RetryMin, c.Delivery.RetryMax = 10*time.Millisecond, 100*time.Millisecond
	c.Delivery.Settle = 1200 * time.Millisecond
	c.Queue.LossGrace, c.Queue.Patience = 200*time.Millisecond, 2*time.Second
	c.Pack.Linger = 5 * time.Millisecond
	c.Pack.Bytes.N = 2 << 10
	return c
}

// running is a bridge that runs.
type running struct {
	e    *env
	b    *Bridge
	stop context.CancelFunc
	kill context.CancelFunc
	done chan struct{}
	err  error
}

func (e *env) start(c *config.Config) *running {
	e.t.Helper()
	return e.startLogging(c, testLog(e.t))
}

func (e *env) startLogging(c *config.Config, log *slog.Logger) *running {
	e.t.Helper()
	b, err := New(c, Deps{Log: log, Skip: e.skip, KafkaOpts: append([]kgo.Opt{kgo.FetchMaxWait(50 * time.Millisecond)}, e.more...)})
	if err != nil {
		e.t.Fatal(err)
	}
	if e.tune != nil {
		e.tune(b)
	}
	r := &running{e: e, b: b, done: make(chan struct{})}
	var ctx, hard context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	hard, r.kill = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		r.err = b.Run(ctx, hard)
	}()
	e.t.Cleanup(func() { r.kill(); r.stop(); <-r.done })
	select {
	case <-b.Ready():
	case <-r.done:
		e.t.Fatalf("bridge did not start: %v", r.err)
	}
	return r
}

// flip restarts a proxy that is dead, or kills one while not more than one other is.
func (e *env) flip(dead map[int]bool, i int) {
	e.t.Helper()
	if dead[i] {
		if err := e.proxies[i].Restart(); err != nil {
			e.t.Fatal(err)
		}
		delete(dead, i)
	} else if len(dead) < 2 {
		e.proxies[i].Kill()
		dead[i] = true
	}
}

// drain stops the bridge as SIGTERM does and returns what Run returned.
func (r *running) drain() error {
	r.stop()
	<-r.done
	return r.err
}

// crash stops the bridge without a last word: the broker takes no commit of the group any more. It is as near
// to kill -9 as one process allows.
func (r *running) crash() {
	var over atomic.Bool
	r.e.refuseCommits(&over)
	r.kill()
	r.stop()
	<-r.done
	over.Store(true)
}

// refuseCommits makes every commit fail until over.
func (e *env) refuseCommits(over *atomic.Bool) {
	e.refuseCommitsWith(kerr.RebalanceInProgress, -1, over)
}

// refuseCommitsAbove makes commits with an offset above at fail until over.
func (e *env) refuseCommitsAbove(at int64, over *atomic.Bool) {
	e.refuseCommitsWith(kerr.RebalanceInProgress, at, over)
}

func (e *env) refuseCommitsWith(refusal *kerr.Error, at int64, over *atomic.Bool) {
	e.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		in := req.(*kmsg.OffsetCommitRequest)
		above := false
		for _, t := range in.Topics {
			for _, p := range t.Partitions {
				above = above || p.Offset > at
			}
		}
		if !above {
			return nil, nil, false
		}
		resp := in.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range in.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, refusal.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

// produce appends n records with payloads that name them; size pads them.
func (e *env) produce(topic string, partition int32, from, n, size int) {
	e.t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		v := payload(topic, partition, from+i)
		if len(v) < size {
			v += strings.Repeat(".", size-len(v))
		}
		recs[i] = &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v), Timestamp: time.Unix(1_700_000_000+int64(from+i), 0)}
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

func payload(topic string, partition int32, i int) string {
	return fmt.Sprintf("%s/%d/%d ", topic, partition, i)
}

// arrived returns how often each payload is in the queue.
func (e *env) arrived() map[string]int {
	e.t.Helper()
	got := make(map[string]int)
	err := kafkahandler.ReadAll(e.t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{queueTopic, "q.g.s2"}, func(p kafkahandler.Pack) error {
		for _, r := range p.Records {
			got[string(r)]++
		}
		return p.Err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return got
}

// missing returns the payloads of [0, n) of a partition that are not in the queue.
func missing(got map[string]int, topic string, partition int32, n int) (out []int) {
	have := make(map[string]bool)
	for v := range got {
		have[strings.TrimRight(v, ".")] = true
	}
	for i := range n {
		if !have[payload(topic, partition, i)] {
			out = append(out, i)
		}
	}
	return out
}

func duplicates(got map[string]int) (n int) {
	for _, c := range got {
		n += c - 1
	}
	return n
}

// committed returns the group's offset of a partition, -1 for none.
func (e *env) committed(topic string, partition int32) int64 {
	e.t.Helper()
	os, err := e.adm.FetchOffsets(e.t.Context(), "bridge")
	if err != nil {
		return -1
	}
	o, ok := os.Lookup(topic, partition)
	if !ok {
		return -1
	}
	return o.At
}

func (e *env) waitCommitted(topic string, partition int32, at int64) {
	e.t.Helper()
	eventually(e.t, 20*time.Second, func() error {
		if got := e.committed(topic, partition); got != at {
			return fmt.Errorf("committed offset of %s/%d = %d, want %d", topic, partition, got, at)
		}
		return nil
	})
}

// part waits for the bridge to have a partition and returns its status once cond holds.
func (r *running) part(topic string, partition int32, cond func(p PartitionStatus) bool) PartitionStatus {
	r.e.t.Helper()
	var found PartitionStatus
	eventually(r.e.t, 20*time.Second, func() error {
		s := r.b.Status()
		for _, p := range s.Parts {
			if p.Topic == topic && p.Partition == partition {
				if found = p; cond(p) {
					return nil
				}
			}
		}
		return fmt.Errorf("no such state of %s/%d: %+v", topic, partition, found)
	})
	return found
}

func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond) // real sockets and processes: there is nothing to wait for but time
	}
}

// testLog writes to the test's log until the test has ended.
func testLog(t *testing.T) *slog.Logger {
	w := &testWriter{t: t}
	t.Cleanup(w.close)
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

type testWriter struct {
	mu sync.Mutex
	t  *testing.T
}

func (w *testWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = nil
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t == nil {
		return 0, errors.New("the test has ended")
	}
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
