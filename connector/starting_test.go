package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/manager"
)

// bubble is a world in virtual time: a Kafka that comes when the test says so, one proxy and one bridge.
type bubble struct {
	t     *testing.T
	stack kfake.VirtualNetwork
	proxy *dptest.Proxy
	net   dptest.Network
	cfg   *config.Config
	log   logBuffer
	began time.Time

	b    *Bridge
	stop context.CancelFunc
	kill context.CancelFunc
	done chan struct{}
	err  error
}

// inBubble runs f in a bubble whose configuration edit has changed.
func inBubble(t *testing.T, edit func(c *config.Config), f func(w *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &bubble{t: t, began: time.Now(), done: make(chan struct{})}
		w.proxy = dptest.Start(t, dptest.WithNetwork(&w.net), dptest.WithQueueDelay(0))
		text := fmt.Sprintf(`kafka: {brokers: ['localhost:9092'], group: bridge}
inlong: {proxies: ['%s']}
routes: [{topics: [orders], group: g, stream: s}]
delivery: {confirm: ack}
memory: {budget: 64MiB}
admin: {listen: ''}
`, w.proxy.Addr())
		var err error
		if w.cfg, err = config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false }); err != nil {
			t.Fatal(err)
		}
		w.cfg.Kafka.CommitInterval = 50 * time.Millisecond
		w.cfg.Pack.Linger = 5 * time.Millisecond
		if edit != nil {
			edit(w.cfg)
		}
		f(w)
	})
}

// kafka starts the brokers; topics of two partitions are there from the start.
func (w *bubble) kafka(opts []kfake.Opt, topics ...string) *kfake.Cluster {
	w.t.Helper()
	opts = append(opts, kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(w.stack.Listen))
	if len(topics) > 0 {
		opts = append(opts, kfake.SeedTopics(2, topics...))
	}
	k, err := kfake.NewCluster(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(k.Close)
	return k
}

// client is a client of the test.
func (w *bubble) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers("localhost:9092"), kgo.Dialer(w.stack.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

func (w *bubble) produce(cl *kgo.Client, partition int32, n int) {
	w.t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: "orders", Partition: partition, Value: []byte(payload("orders", partition, i))}
		if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// committed returns the group's offset of a partition of orders, -1 for none.
func (w *bubble) committed(cl *kgo.Client, partition int32) int64 {
	w.t.Helper()
	os, err := kadm.NewClient(cl).FetchOffsets(w.t.Context(), "bridge")
	if o, ok := os.Lookup("orders", partition); ok && err == nil {
		return o.At
	}
	return -1 // also when there is no group yet
}

func (w *bubble) start() {
	w.t.Helper()
	var err error
	w.b, err = New(w.cfg, Deps{
		Log:       slog.New(slog.NewTextHandler(&w.log, nil)),
		KafkaOpts: []kgo.Opt{kgo.Dialer(w.stack.DialContext), kgo.FetchMaxWait(50 * time.Millisecond)}, Dial: w.net.DialContext,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var ctx, hard context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	hard, w.kill = context.WithCancel(context.Background())
	go func() {
		defer close(w.done)
		w.err = w.b.Run(ctx, hard)
	}()
	w.t.Cleanup(func() {
		w.kill()
		w.stop()
		<-w.done
		if w.t.Failed() {
			w.t.Log(w.log.String())
		}
	})
}

// wait returns what Run returned, and fails when that takes longer than within.
func (w *bubble) wait(within time.Duration) error {
	w.t.Helper()
	began := time.Now()
	select {
	case <-w.done:
	case <-time.After(time.Hour):
		w.t.Fatal("Run did not return")
	}
	if took := time.Since(began); took > within {
		w.t.Errorf("Run returned after %v, want %v at most", took, within)
	}
	return w.err
}

// until waits until cond holds.
func (w *bubble) until(what string, cond func() bool) {
	w.t.Helper()
	for range 6000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond) // of virtual time
	}
	w.t.Fatalf("a minute passed, and not yet: %s", what)
}

// says asks the admin server.
func (w *bubble) says(path string) (code int, body string) {
	rec := httptest.NewRecorder()
	w.b.handler().ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), "GET", path, nil))
	return rec.Code, rec.Body.String()
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines counts the lines that hold all of words.
func (l *logBuffer) lines(words ...string) (n int) {
	for line := range strings.SplitSeq(l.String(), "\n") {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		n += btoi(has)
	}
	return n
}

func TestStartWaitsForKafka(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		w.start()
		time.Sleep(100 * time.Second)
		if code, body := w.says("/healthz"); code != 200 || body != "ok\n" {
			t.Errorf("/healthz = %d %q", code, body)
		}
		for _, path := range []string{"/readyz", "/status"} {
			code, body := w.says(path)
			if want := map[string]int{"/readyz": 503, "/status": 200}[path]; code != want || !strings.Contains(body, "starting: asking kafka at [localhost:9092]") {
				t.Errorf("%s = %d %s; want %d with the reason", path, code, body, want)
			}
		}
		if n := w.log.lines("level=WARN", `msg="the start waits"`, "at_most=5m0s", "no listener on port 9092"); n != 3 { // at once, after 30 s and after 90 s
			t.Errorf("%d lines say that the start waits, want 3", n)
		}
		w.kafka(nil, "orders")
		cl := w.client()
		w.produce(cl, 0, 10)
		w.until("all is committed", func() bool { return w.committed(cl, 0) == 10 })
		if n := w.log.lines("level=INFO", `msg="the start goes on"`, "waited_for=kafka"); n != 1 {
			t.Errorf("%d lines say that the start goes on, want 1", n)
		}
		if s := w.b.Status(); !s.Ready.Ready || s.Group.Error != "" {
			t.Errorf("ready %+v, group %+v", s.Ready, s.Group)
		}
		w.stop()
		if err := w.wait(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestStartEndsAfterStartTimeout(t *testing.T) {
	inBubble(t, func(c *config.Config) { c.Kafka.StartTimeout = time.Minute }, func(w *bubble) {
		w.start()
		err := w.wait(61 * time.Second)
		for _, want := range []string{"starting bridge: ", "kafka.start_timeout (1m0s) passed", "asking kafka at [localhost:9092]", "no listener on port 9092"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Run = %v, want it to say %q", err, want)
			}
		}
		if took := time.Since(w.began); took < 59*time.Second {
			t.Errorf("Run returned after %v, want a minute", took)
		}
		if errors.Is(err, ErrUnfinished) {
			t.Error("a start that failed left no work")
		}
	})
}

func TestStartWithoutTimeoutWaitsForEver(t *testing.T) {
	inBubble(t, func(c *config.Config) { c.Kafka.StartTimeout = 0 }, func(w *bubble) {
		w.start()
		time.Sleep(time.Hour)
		if n := w.log.lines(`msg="the start waits"`, `at_most="no limit"`); n < 6 || n > 12 {
			t.Errorf("%d lines in an hour, want one now and then", n)
		}
		w.kafka(nil, "orders")
		w.until("it runs", func() bool { return w.b.Status().Ready.Ready })
	})
}

// 1. the group is new and starts at the logs' ends  2. the topic is created, and filled, while the bridge waits for it
// What came while the bridge was there is delivered.
func TestStartWaitsForTheFirstTopic(t *testing.T) {
	inBubble(t, func(c *config.Config) { c.Kafka.Start = "latest" }, func(w *bubble) {
		k := w.kafka(nil)
		w.start()
		time.Sleep(time.Minute)
		if code, body := w.says("/readyz"); code != 503 || !strings.Contains(body, "none of the topics that routes name exists") {
			t.Errorf("/readyz = %d %s", code, body)
		}
		if s := w.b.Status(); fmt.Sprint(s.Group.Missing) != "[orders]" || s.State != "starting" {
			t.Errorf("state %s, group %+v; want topic orders to be missing", s.State, s.Group)
		}
		if err := k.CreateTopic("orders", 2, nil); err != nil {
			t.Fatal(err)
		}
		cl := w.client()
		w.produce(cl, 1, 10)
		w.until("all is committed", func() bool { return w.committed(cl, 1) == 10 })
		if got := w.proxy.Stats().Records; got != 10 {
			t.Errorf("%d records arrived, want 10", got)
		}
	})
}

func TestStartWithoutAnyTopicEndsAfterStartTimeout(t *testing.T) {
	inBubble(t, func(c *config.Config) { c.Kafka.StartTimeout = time.Minute }, func(w *bubble) {
		w.kafka(nil)
		w.start()
		if err := w.wait(61 * time.Second); err == nil || !strings.Contains(err.Error(), "start_timeout (1m0s) passed: none of the topics") || !strings.Contains(err.Error(), "hint") {
			t.Errorf("Run = %v", err)
		}
	})
}

// refuse answers requests of a key with an error until the test ends.
func refuse(k *kfake.Cluster, key int16, answer func(req kmsg.Request) kmsg.Response) {
	k.ControlKey(key, func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return answer(req), nil, true
	})
}

func TestWrongCredentialsEndTheStartAtOnce(t *testing.T) {
	sasl := func(c *config.Config) {
		c.Kafka.SASL = config.SASL{Mechanism: "plain", Username: "bridge", Password: config.NewSecret("wrong")}
	}
	inBubble(t, sasl, func(w *bubble) {
		k := w.kafka([]kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "bridge", "right")}, "orders")
		refuse(k, int16(kmsg.SASLAuthenticate), func(req kmsg.Request) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return resp
		})
		w.start()
		if err := w.wait(100 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "refuses the credentials") || strings.Contains(err.Error(), "start_timeout") {
			t.Errorf("Run = %v", err)
		}
	})
	// A broker that closes the connection instead, without a word: that may also be an outage that passes.
	inBubble(t, sasl, func(w *bubble) {
		w.kafka([]kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "bridge", "right")}, "orders")
		w.start()
		if err := w.wait(2 * unclearFor); err == nil || !strings.Contains(err.Error(), "closed the connection") {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestMissingRightEndsTheStartAtOnce(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		k.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
			k.KeepControl()
			in := req.(*kmsg.MetadataRequest)
			if len(in.Topics) == 0 {
				return nil, nil, false
			}
			resp := in.ResponseKind().(*kmsg.MetadataResponse)
			for _, asked := range in.Topics {
				topic := kmsg.NewMetadataResponseTopic()
				topic.Topic, topic.ErrorCode = asked.Topic, kerr.TopicAuthorizationFailed.Code
				resp.Topics = append(resp.Topics, topic)
			}
			return resp, nil, true
		})
		w.start()
		if err := w.wait(time.Second); err == nil || !strings.Contains(err.Error(), "grant READ and DESCRIBE") {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestSignalEndsTheWaitOfTheStart(t *testing.T) {
	for _, topics := range []bool{false, true} {
		inBubble(t, nil, func(w *bubble) {
			if topics {
				w.kafka(nil) // without any
			}
			w.start()
			time.Sleep(20*time.Second + 123*time.Millisecond)
			w.stop()
			if err := w.wait(200 * time.Millisecond); err != nil {
				t.Errorf("Run = %v, want nil: nothing was moved", err)
			}
		})
	}
}

// The Manager is asked for the queue before anything else.
func TestStartWaitsForTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &manager.Error{URL: "http://manager", Op: "asking", Err: errors.New("nothing listens there")}
		var answers atomic.Bool
		ask := func(context.Context, string) (manager.QueueConfig, error) {
			if !answers.Load() {
				return manager.QueueConfig{}, away
			}
			return manager.QueueConfig{MD5: "1", Type: managed.Kafka, Clusters: []manager.QueueCluster{
				{Name: "mq", Type: managed.Kafka, Params: map[string]string{"bootstrap.servers": "mq:9092"}},
			}}, nil
		}
		b := &Bridge{cfg: &config.Config{Kafka: config.Kafka{StartTimeout: time.Minute}}, log: slog.New(slog.DiscardHandler), startWait: startWait{started: time.Now()}}
		b.source = managed.New(ask, "dp", "tag", "", b.log)
		wait := func() error {
			return b.awaitStart(t.Context(), "the Manager", managerOutlook, func(ctx context.Context) error {
				_, _, err := b.source.Start(ctx)
				return err
			})
		}
		time.AfterFunc(20*time.Second, func() { answers.Store(true) })
		if err := wait(); err != nil || time.Since(b.started) < 20*time.Second {
			t.Errorf("it waited %v and returned %v", time.Since(b.started), err)
		}
		answers.Store(false)
		if err := wait(); err == nil || !strings.Contains(err.Error(), "start_timeout (1m0s) passed") || time.Since(b.started) != time.Minute {
			t.Errorf("after %v: %v", time.Since(b.started), err)
		}
	})
}

func TestOutlookOfTheManagersErrors(t *testing.T) {
	said := func(status int, err error) error {
		return fmt.Errorf("asking: %w", &manager.Error{Status: status, Err: err})
	}
	some := errors.New("no")
	for _, tt := range []struct {
		name string
		err  error
		want kafkaclient.Outlook
	}{
		{"no answer", said(0, some), kafkaclient.Passes},
		{"time-out", said(0, context.DeadlineExceeded), kafkaclient.Passes},
		{"trouble", said(503, some), kafkaclient.Passes},
		{"too many", said(429, some), kafkaclient.Passes},
		{"credentials", said(401, some), kafkaclient.Lasts},
		{"rights", said(403, some), kafkaclient.Lasts},
		{"another URL", said(404, some), kafkaclient.Lasts},
		{"no", said(200, manager.ErrRefused), kafkaclient.Lasts},
		{"no queue", said(200, manager.ErrNoQueue), kafkaclient.Lasts},
		{"another queue", fmt.Errorf("asking: %w", managed.ErrOtherQueue), kafkaclient.Lasts},
		{"two, one is away", errors.Join(said(401, some), said(0, some)), kafkaclient.Passes},
		{"two, both refuse", errors.Join(said(401, some), said(404, some)), kafkaclient.Lasts},
	} {
		if got := managerOutlook(tt.err); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A migration waits as well, but told to stop it has not done what it was started for.
func TestMigrationWaitsForKafkaAndIsUnfinishedWhenToldToStop(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		b, err := New(w.cfg, Deps{Log: slog.New(slog.NewTextHandler(&w.log, nil)), KafkaOpts: []kgo.Opt{kgo.Dialer(w.stack.DialContext)}, Dial: w.net.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(w.t.Context())
		time.AfterFunc(time.Minute, stop)
		v, err := b.Migrate(ctx, w.t.Context(), nil)
		if !errors.Is(err, ErrUnfinished) || len(v.Partitions) > 0 || v.Result == Pass {
			t.Errorf("Migrate = %s, %v; want ErrUnfinished", v.String(), err)
		}
		if took := time.Since(w.began); took != time.Minute {
			t.Errorf("it took %v, want a minute", took)
		}
		w.kafka(nil, "orders")
		w.produce(w.client(), 0, 10)
		if b, err = New(w.cfg, Deps{KafkaOpts: []kgo.Opt{kgo.Dialer(w.stack.DialContext)}, Dial: w.net.DialContext}); err != nil {
			t.Fatal(err)
		}
		if v, err := b.Migrate(w.t.Context(), w.t.Context(), nil); err != nil || v.Sums.Final != 10 {
			t.Errorf("Migrate = %s, %v; want 10 records", v.String(), err)
		}
	})
}
