package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/manager"
)

// oracle is a Manager that answers what it is told to.
type oracle struct {
	mu    sync.Mutex
	says  manager.QueueConfig
	err   error
	asked []string // the md5 of each question
}

func (o *oracle) ask(_ context.Context, md5 string) (manager.QueueConfig, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, md5)
	if o.err != nil {
		return manager.QueueConfig{}, o.err
	}
	if md5 == o.says.MD5 {
		return manager.QueueConfig{MD5: md5}, nil // unchanged
	}
	return o.says, nil
}

func (o *oracle) set(f func(*oracle)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
}

func kafkaQueue(md5 string, topics map[string]string, clusters ...string) manager.QueueConfig {
	q := manager.QueueConfig{MD5: md5, Type: "KAFKA", Topics: topics}
	for _, c := range clusters {
		name, brokers, _ := strings.Cut(c, "=")
		q.Clusters = append(q.Clusters, manager.QueueCluster{Name: name, Type: "KAFKA", Params: map[string]string{"bootstrap.servers": brokers}})
	}
	return q
}

func sourceOf(o *oracle, file string) *queueSource {
	return &queueSource{
		ask: o.ask, cluster: "dp", tag: "tag", file: file, topics: make(map[RouteStatus]string), log: slog.New(slog.DiscardHandler),
		came: make(map[string]time.Time), left: make(map[string]time.Time), news: make(chan struct{}, 1), away: make(map[string]bool),
	}
}

func TestQueueOfTheManagerThatCannotBeReadIsRefused(t *testing.T) {
	tdmq, pulsar := kafkaQueue("1", nil, "p=pulsar:6650"), kafkaQueue("1", nil, "p=pulsar:6650")
	tdmq.Type, pulsar.Type = "TDMQ_PULSAR", "PULSAR"
	for _, tt := range []struct {
		says manager.QueueConfig
		want []string
	}{
		{tdmq, []string{"TDMQ_PULSAR", "delivery.confirm: settle"}},
		{pulsar, []string{"serviceUrl", "pulsar://host:port", "hint"}},
		{kafkaQueue("1", nil, "mq="), []string{"mq", "bootstrap.servers", "hint"}},
		{kafkaQueue("1", nil, "mq=host"), []string{`"host"`, "host:port"}},
		{kafkaQueue("1", nil), []string{manager.ErrNoQueue.Error()}},
	} {
		_, _, err := sourceOf(&oracle{says: tt.says}, "").start(t.Context())
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("start = %v, want an error with %q", err, want)
			}
		}
	}
}

func TestClustersOfTheManagerAreReadWithAllTheirBrokers(t *testing.T) {
	q := sourceOf(&oracle{says: kafkaQueue("1", nil, "b=b1:9092, b2:9092,", "a=[::1]:9092")}, "")
	_, places, err := q.start(t.Context())
	if got := fmt.Sprint(places); err != nil || got != "[{a [[::1]:9092]  } {b [b1:9092 b2:9092]  }]" {
		t.Errorf("start = %s, %v", got, err)
	}
}

func TestPulsarClustersOfTheManagerHaveTheirTenantAndNamespace(t *testing.T) {
	said := manager.QueueConfig{MD5: "1", Type: "PULSAR", Topics: map[string]string{"g.s": "ns/s", "g.t": "t"}, Clusters: []manager.QueueCluster{
		{Name: "b", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar+ssl://b:6651", "tenant": "acme", "namespace": "all"}},
		{Name: "a", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar://a1:6650,a2:6650"}},
	}}
	o := &oracle{says: said}
	q := sourceOf(o, "")
	kind, places, err := q.start(t.Context())
	want := "[{a [pulsar://a1:6650,a2:6650] public {group}} {b [pulsar+ssl://b:6651] acme all}]"
	if got := fmt.Sprint(places); err != nil || kind != "PULSAR" || got != want {
		t.Errorf("start = %s, %s, %v, want %s", kind, got, err, want)
	}
	if topic, err := q.topicOf(t.Context(), "g", "s"); err != nil || topic != "ns/s" {
		t.Errorf("topicOf = %q, %v", topic, err)
	}
	o.says = kafkaQueue("2", said.Topics, "a=a:1", "b=b:1")
	if _, err := q.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := q.status(); !strings.Contains(s.Restart, "type KAFKA now") {
		t.Errorf("status %+v, want another kind of queue in it", s)
	}
}

// A token must not go out in clear because the Manager names an address without TLS.
func TestPulsarClusterWithoutTLSIsRefusedWhereTLSIsConfigured(t *testing.T) {
	for _, tt := range []struct {
		url     string
		enabled bool
		ok      bool
	}{
		{"pulsar://p:6650", true, false}, {"pulsar://p:6650", false, true}, {"pulsar+ssl://p:6651", true, true}, {"pulsar+ssl://p:6651", false, true},
	} {
		c, err := pulsarCluster(config.PulsarCluster{Name: "p", ServiceURL: tt.url, TLS: config.TLS{Enabled: tt.enabled}})
		if (err == nil) != tt.ok || tt.ok && (c.TLS != nil) != strings.HasPrefix(tt.url, "pulsar+ssl") {
			t.Errorf("%s with tls %v: TLS %v, %v", tt.url, tt.enabled, c.TLS != nil, err)
		}
		if err == nil && c.AdminTLS != nil && c.AdminTLS.ServerName != "" {
			t.Errorf("%s: the admin URL, which may be another host's, must show a certificate for %s", tt.url, c.AdminTLS.ServerName)
		}
	}
}

// joiner is a reader whose clusters come and go.
type joiner struct {
	confirm.Reader

	mu    sync.Mutex
	err   error // of joining
	tries int
	since time.Time // as it was told last
	read  []string
	away  []string // could not join, and did not leave
}

func (j *joiner) join(_ context.Context, p queuePlace, since time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tries, j.since = j.tries+1, since
	j.away = slices.DeleteFunc(j.away, func(name string) bool { return name == p.Name })
	if j.err != nil {
		j.away = append(j.away, p.Name)
		return j.err
	}
	j.read = append(j.read, p.Name+"="+strings.Join(p.Brokers, ","))
	return nil
}

func (j *joiner) set(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

func (j *joiner) now() (read string, tries int, since time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	read = strings.Join(j.read, " ")
	if len(j.away) > 0 {
		read += " without " + strings.Join(j.away, " ")
	}
	return read, j.tries, j.since
}

func (j *joiner) Expect(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Contains(j.away, name) {
		j.away = append(j.away, name)
	}
}

func (j *joiner) Leave(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if slices.Contains(j.away, name) {
		j.away = slices.DeleteFunc(j.away, func(n string) bool { return n == name })
		return true
	}
	i := slices.IndexFunc(j.read, func(r string) bool { return strings.HasPrefix(r, name+"=") })
	if i >= 0 {
		j.read = slices.Delete(j.read, i, i+1)
	}
	return i >= 0
}

func TestClustersThatComeAndGoAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{says: kafkaQueue("1", nil, "a=a:1", "b=b:1")}
		q, j := sourceOf(o, ""), &joiner{read: []string{"a=a:1", "b=b:1"}}
		q.join = j.join
		if _, _, err := q.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); q.run(ctx, time.Minute, j) }()
		at := func(d time.Duration) {
			time.Sleep(d - time.Since(began))
			synctest.Wait()
		}
		want := func(read, joining, leaving string) {
			t.Helper()
			s := q.status()
			if got, _, _ := j.now(); got != read || fmt.Sprint(s.Joining) != joining || fmt.Sprint(s.Leaving) != leaving || s.Restart != "" {
				t.Errorf("after %v: read %s, status %+v; want %s, joining %s, leaving %s", time.Since(began), got, s, read, joining, leaving)
			}
		}
		at(5*time.Minute + time.Second)
		want("a=a:1 b=b:1", "[]", "[]")

		o.set(func(o *oracle) { o.says = kafkaQueue("2", nil, "b=b:1", "c=c:1,c:2") })
		j.set(errors.New("away"))
		at(6*time.Minute + time.Second)
		want("a=a:1 b=b:1 without c", "[c]", "[a]")
		// At five minutes the Manager did not name it; clocks may differ by one.
		if _, _, since := j.now(); since.Sub(began) != 4*time.Minute {
			t.Errorf("told to read from %v on, want 4m", since.Sub(began))
		}
		at(6*time.Minute + 21*time.Second)
		if _, tries, since := j.now(); tries != 5 || since.Sub(began) != 4*time.Minute {
			t.Errorf("tried %d times, from %v on; want 5 times, from 4m on", tries, since.Sub(began))
		}
		j.set(nil)
		at(6*time.Minute + 26*time.Second)
		want("a=a:1 b=b:1 c=c:1,c:2", "[]", "[a]")
		at(7*time.Minute - time.Second)
		want("a=a:1 b=b:1 c=c:1,c:2", "[]", "[a]")
		at(7*time.Minute + 6*time.Second) // a minute after it was named no more
		want("b=b:1 c=c:1,c:2", "[]", "[]")

		// One that is named again in time stays; one that is named no more before it could join is forgotten.
		o.set(func(o *oracle) { o.says = kafkaQueue("3", nil, "b=b:1") })
		at(8*time.Minute + 40*time.Second)
		o.set(func(o *oracle) { o.says = kafkaQueue("4", nil, "b=b:1", "c=c:1,c:2", "d=d:1") })
		j.set(errors.New("away"))
		at(8*time.Minute + 50*time.Second)
		want("b=b:1 c=c:1,c:2 without d", "[d]", "[]")
		o.set(func(o *oracle) { o.says = kafkaQueue("5", nil, "b=b:1", "c=c:1,c:2") })
		at(12 * time.Minute)
		want("b=b:1 c=c:1,c:2", "[]", "[]")

		// What is learned when somebody asks for a stream is applied at once, and a kind of queue that changes gives up
		// what could not join.
		at(14*time.Minute + time.Second)
		o.set(func(o *oracle) {
			o.says = kafkaQueue("6", map[string]string{"g.new": "t"}, "b=b:1", "c=c:1,c:2", "e=e:1")
		})
		if topic, err := q.topicOf(ctx, "g", "new"); topic != "t" || err != nil {
			t.Errorf("topic = %q, %v", topic, err)
		}
		at(14*time.Minute + 2*time.Second)
		want("b=b:1 c=c:1,c:2 without e", "[e]", "[]")
		o.set(func(o *oracle) { o.says = manager.QueueConfig{MD5: "7", Type: "PULSAR", Clusters: pulsarPlaces} })
		at(14*time.Minute + 20*time.Second)
		if read, _, _ := j.now(); read != "b=b:1 c=c:1,c:2" || !strings.Contains(q.status().Restart, "PULSAR") {
			t.Errorf("read %s, status %+v; want that e is given up, and a restart", read, q.status())
		}
		cancel()
		<-done
	})
}

// during is a reader that calls back while clusters join or leave it.
type during struct {
	joiner
	leaves func()
}

func (d *during) Leave(name string) bool {
	d.leaves()
	return d.joiner.Leave(name)
}

// Somebody asks for a new stream while a cluster joins or leaves, and the Manager has changed its mind.
func TestClustersNamedOtherwiseWhileTheyJoinOrLeave(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		start, changed, again string // the clusters that the Manager names; again while it is applied
		want                  string
	}{
		{"named again while it leaves", "a=a:1 b=b:1", "a=a:1", "a=a:1 b=b:1", "a=a:1 b=b:1"},
		{"named no more while it joins", "a=a:1", "a=a:1 b=b:1", "a=a:1", "a=a:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &oracle{says: kafkaQueue("1", nil, strings.Fields(tt.start)...)}
				q := sourceOf(o, "")
				if _, _, err := q.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				refresh := func(md5, clusters string) {
					o.set(func(o *oracle) { o.says = kafkaQueue(md5, nil, strings.Fields(clusters)...) })
					if _, err := q.refresh(t.Context()); err != nil {
						t.Error(err)
					}
				}
				once := sync.OnceFunc(func() { refresh("3", tt.again) })
				d := &during{joiner: joiner{read: strings.Fields(tt.start)}, leaves: once}
				q.join = func(ctx context.Context, p queuePlace, since time.Time) error {
					once()
					return d.join(ctx, p, since)
				}
				refresh("2", tt.changed)
				for range 5 {
					time.Sleep(leaveAfter)
					q.followClusters(t.Context(), d)
					if _, err := q.refresh(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if read, _, _ := d.now(); read != tt.want || len(q.status().Joining)+len(q.status().Leaving) > 0 {
					t.Errorf("read %s, status %+v; want %s", read, q.status(), tt.want)
				}
			})
		})
	}
}

// Between the joins of two clusters that are named at once no barrier may pass.
func TestAllClustersThatAreNamedAreExpectedBeforeTheFirstJoins(t *testing.T) {
	o := &oracle{says: kafkaQueue("1", nil, "a=a:1")}
	q := sourceOf(o, "")
	if _, _, err := q.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := &joiner{read: []string{"a=a:1"}}
	q.join = func(ctx context.Context, p queuePlace, since time.Time) error {
		if read, _, _ := j.now(); p.Name == "b" && read != "a=a:1 without b c" || p.Name == "c" && read != "a=a:1 b=b:1 without c" {
			t.Errorf("joining %s: read %s", p.Name, read)
		}
		return j.join(ctx, p, since)
	}
	o.set(func(o *oracle) { o.says = kafkaQueue("2", nil, "a=a:1", "b=b:1", "c=c:1") })
	if _, err := q.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q.followClusters(t.Context(), j) {
		t.Error("something is to be tried again")
	}
	if read, _, _ := j.now(); read != "a=a:1 b=b:1 c=c:1" {
		t.Errorf("read %s", read)
	}
}

var pulsarPlaces = []manager.QueueCluster{{Name: "p", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar://p:1"}}}

func TestAnotherNamespaceOfAPulsarClusterIsTold(t *testing.T) {
	o := &oracle{says: manager.QueueConfig{MD5: "1", Type: "PULSAR", Clusters: pulsarPlaces}}
	q := sourceOf(o, "")
	if _, _, err := q.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	moved := []manager.QueueCluster{{Name: "p", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar://p:1", "namespace": "other"}}}
	o.set(func(o *oracle) { o.says = manager.QueueConfig{MD5: "2", Type: "PULSAR", Clusters: moved} })
	if _, err := q.refresh(t.Context()); err != nil || q.status().Brokers != "p: pulsar://p:1 public/other" {
		t.Errorf("status = %+v after %v, want the new namespace", q.status(), err)
	}
}

func TestOtherAddressesOrAnotherKindOfQueueAskForARestart(t *testing.T) {
	o := &oracle{says: kafkaQueue("1", nil, "a=a:1", "b=b:1")}
	q := sourceOf(o, "")
	if _, _, err := q.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.set(func(o *oracle) { o.says = kafkaQueue("2", nil, "a=a:1,a:2", "b=b:1") })
	if _, err := q.refresh(t.Context()); err != nil || q.status().Restart != "" || q.status().Brokers != "a: a:1,a:2" {
		t.Errorf("status = %+v after %v, want the new addresses", q.status(), err)
	}
	tube := kafkaQueue("5", nil, "t=t:1")
	tube.Type = "TUBEMQ"
	o.set(func(o *oracle) { o.says = tube })
	if _, err := q.refresh(t.Context()); err == nil || !strings.Contains(q.status().Restart, "TUBEMQ") {
		t.Errorf("status = %+v after %v, want the type that cannot be read", q.status(), err)
	}
	// A Manager that does not answer changes nothing.
	o.set(func(o *oracle) { o.err = errors.New("away") })
	if _, err := q.refresh(t.Context()); err == nil || q.status().Restart != "" || q.status().LastError != "away" {
		t.Errorf("status = %+v, want nothing to restart for", q.status())
	}
	// Pulsar in place of Kafka: neither is its cluster read, nor are those of Kafka given up.
	o.set(func(o *oracle) {
		o.err, o.says = nil, manager.QueueConfig{MD5: "6", Type: "PULSAR", Clusters: pulsarPlaces}
	})
	q.join = func(context.Context, queuePlace, time.Time) error {
		t.Error("a cluster of another kind was joined")
		return nil
	}
	if _, err := q.refresh(t.Context()); err != nil || q.followClusters(t.Context(), nil) || !strings.Contains(q.status().Restart, "PULSAR") {
		t.Errorf("status = %+v after %v, want another kind of queue", q.status(), err)
	}
}

func TestUnknownStreamAsksTheManagerAgainButNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{says: kafkaQueue("1", map[string]string{"g.s": "ns.s", "whole": "w"}, "a=a:1")}
		q := sourceOf(o, "")
		if _, _, err := q.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for stream, want := range map[RouteStatus]string{{Group: "g", Stream: "s"}: "ns.s", {Group: "whole", Stream: "any"}: "w"} {
			if topic, err := q.topicOf(t.Context(), stream.Group, stream.Stream); topic != want || err != nil {
				t.Errorf("topic of %v = %q, %v; want %q", stream, topic, err, want)
			}
		}
		for range 20 {
			if _, err := q.topicOf(t.Context(), "g", "new"); err == nil || !strings.Contains(err.Error(), "hint") {
				t.Fatalf("topicOf = %v, want an error with a hint", err)
			}
			time.Sleep(time.Second)
		}
		if n := len(o.asked); n < 4 || n > 6 {
			t.Errorf("the Manager was asked %d times in 20 s, want every %v", n, askAgainAfter)
		}
		o.set(func(o *oracle) { o.says = kafkaQueue("2", map[string]string{"g.new": "t"}, "a=a:1") })
		time.Sleep(askAgainAfter)
		if topic, err := q.topicOf(t.Context(), "g", "new"); topic != "t" || err != nil {
			t.Errorf("topic of a stream created meanwhile = %q, %v; want t", topic, err)
		}
	})
}

// watcher is a reader that notes what it is told to watch.
type watcher struct {
	confirm.Reader
	q *queueSource

	mu    sync.Mutex
	err   error
	named []string
}

func (w *watcher) Watch(ctx context.Context, group, stream string) error {
	topic, err := w.q.topicOf(ctx, group, stream)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.named = append(w.named, topic)
	return errors.Join(err, w.err)
}

func (w *watcher) Unwatch(_, stream string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.named = append(w.named, "not "+stream)
}

func (w *watcher) set(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// A stream that was forgotten may get as many topics as it likes: none of them is watched before it comes again.
func TestTopicsOfAForgottenStreamAreNotFollowed(t *testing.T) {
	o := &oracle{says: kafkaQueue("1", map[string]string{"g.s": "old", "g.t": "t"}, "a=a:1")}
	q := sourceOf(o, "")
	if _, _, err := q.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &watcher{q: q}
	r := sourcedReader{w, q}
	for _, stream := range []string{"s", "t"} {
		if err := r.Watch(t.Context(), "g", stream); err != nil {
			t.Fatal(err)
		}
	}
	o.set(func(o *oracle) { o.says = kafkaQueue("2", map[string]string{"g.s": "new", "g.t": "t"}, "a=a:1") })
	moved, err := q.refresh(t.Context())
	if err != nil || len(moved) != 1 {
		t.Fatalf("moved %v, %v; want one stream", moved, err)
	}
	r.Unwatch("g", "s") // after the question, before what follows from it
	q.followTopics(t.Context(), r, moved)
	if moved, err = q.refresh(t.Context()); err != nil || len(moved) != 0 {
		t.Errorf("moved %v, %v; want none", moved, err)
	}
	if got := fmt.Sprint(w.named); got != "[old t not s]" {
		t.Errorf("the reader was told %s, want no topic of the forgotten stream", got)
	}
	if err := r.Watch(t.Context(), "g", "s"); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(w.named); got != "[old t not s new]" {
		t.Errorf("the reader was told %s, want the new topic of the stream that came again", got)
	}
}

func TestStreamThatGetsAnotherTopicIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{says: kafkaQueue("1", map[string]string{"g.s": "old", "g.t": "t"}, "a=a:1")}
		q := sourceOf(o, "")
		if _, _, err := q.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w := &watcher{q: q}
		for _, stream := range []string{"s", "t"} {
			if err := w.Watch(t.Context(), "g", stream); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); q.run(ctx, time.Minute, w) }()
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		pass(3*time.Minute + time.Second)
		if len(w.named) != 2 {
			t.Errorf("watched %v while nothing changed", w.named)
		}
		o.set(func(o *oracle) { o.says = kafkaQueue("2", map[string]string{"g.s": "new", "g.t": "t"}, "a=a:1") })
		w.set(errors.New("cluster is silent"))
		pass(2 * time.Minute)
		w.set(nil)
		pass(3 * time.Minute)
		if got := fmt.Sprint(w.named); got != "[old t new new new]" {
			t.Errorf("watched %s, want the new topic until that went well, and no more", got)
		}
		cancel()
		<-done
	})
}

func TestQueueIsKnownWithoutTheManagerFromItsLastAnswer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "made", queueFile)
	o := &oracle{says: kafkaQueue("1", map[string]string{"g.s": "ns.s"}, "a=a:1")}
	o.says.Clusters[0].Params["sasl.jaas.config"] = "hidden"
	if _, _, err := sourceOf(o, file).start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "hidden") {
		t.Errorf("the file is %s, %v; want no credentials in it", data, err)
	}

	away, began := &oracle{err: errors.New("away")}, time.Now()
	q := sourceOf(away, file)
	_, places, err := q.start(t.Context())
	if err != nil || len(places) != 1 || places[0].Brokers[0] != "a:1" {
		t.Fatalf("start without the Manager = %v, %v; want the cluster of the file", places, err)
	}
	if topic, err := q.topicOf(t.Context(), "g", "s"); topic != "ns.s" || err != nil {
		t.Errorf("topic = %q, %v; want that of the file", topic, err)
	}
	away.set(func(o *oracle) { o.err, o.says = nil, kafkaQueue("1", nil, "a=a:1", "b=b:1") })
	if _, err := q.refresh(t.Context()); err != nil || away.asked[1] != "" || fmt.Sprint(q.status().Joining) != "[b]" {
		t.Errorf("status = %+v, %v after questions %q; want everything asked for, and the new cluster named", q.status(), err, away.asked)
	}
	if at := q.came["b"]; at.Before(began) || at.After(time.Now()) { // nothing of ours is older than this process
		t.Errorf("b came after %v, want the time of the start", at)
	}

	for name, tt := range map[string]struct {
		q   *queueSource
		err error
	}{
		"no file":         {sourceOf(away, ""), errors.New("away")},
		"another cluster": {sourceOf(away, file), errors.New("away")},
		"it said no":      {sourceOf(away, file), manager.ErrRefused},
	} {
		if name == "another cluster" {
			tt.q.cluster = "other"
		}
		away.set(func(o *oracle) { o.err = tt.err })
		if _, _, err := tt.q.start(t.Context()); !errors.Is(err, tt.err) {
			t.Errorf("%s: start = %v, want %v", name, err, tt.err)
		}
	}
}

// Two clusters behind the proxies, known from the Manager alone; then the Manager names a third.
func TestQueueFromTheManager(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	second, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, queueTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	clusters := []dptest.QueueClusterConfig{
		{Name: "mq1", Params: map[string]string{"bootstrap.servers": strings.Join(e.kafka.ListenAddrs(), ",")}},
		{Name: "mq2", Params: map[string]string{"bootstrap.servers": strings.Join(second.ListenAddrs(), ",")}},
	}
	q, err := kafkahandler.New(
		kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, Topic: "q.{group}.{stream}"},
		kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(second.ListenAddrs()...)}, Topic: "q.{group}.{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	proxy, err := dptest.NewProxy(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	m := dptest.StartManager(t)
	m.SetNodes(proxy.Addr())
	streams := []dptest.StreamConfig{{Group: "g", Stream: "s", Topic: "s", Namespace: "q.g"}}
	m.SetQueue(dptest.QueueConfig{Clusters: clusters, Streams: streams})

	text := fmt.Sprintf(`kafka: {brokers: [%s], group: bridge, isolation: read_uncommitted}
inlong: {manager: {urls: ['%s']}, cluster: {name: default_dataproxy, tag: default_cluster}, refresh: 1s}
routes:
  - {topics: [orders], group: g, stream: s}
queue: {manager: true, timeout: 1s, loss_grace: 1s}
memory: {budget: 64MiB}
admin: {listen: '127.0.0.1:0'}
`, strings.Join(e.kafka.ListenAddrs(), ", "), m.URL())
	c, err := config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka.CommitInterval = 50 * time.Millisecond
	c.InLong.Refresh = 100 * time.Millisecond
	c.Pack.Linger, c.Pack.Bytes.N = 5*time.Millisecond, 2<<10

	e.produce("orders", 0, 0, 500, 100)
	r := e.start(c)
	e.waitCommitted("orders", 0, 500)
	s := r.b.Status()
	if s.Queue == nil || len(s.Queue.Clusters) != 2 || s.Queue.Clusters[0].Mine == 0 || s.Queue.Clusters[1].Mine == 0 {
		t.Errorf("queue = %+v, want packs seen in both clusters", s.Queue)
	}
	if s.QueueSource == nil || s.QueueSource.Restart != "" || s.QueueSource.Streams != 1 || !s.Ready.Strict {
		t.Errorf("queue_source = %+v, ready = %+v; want one stream, nothing to restart for, ready", s.QueueSource, s.Ready)
	}
	// One more that cannot be reached: nothing counts as lost, and what is seen in the others goes on.
	away := dptest.QueueClusterConfig{Name: "mq3", Params: map[string]string{"bootstrap.servers": "127.0.0.1:1"}}
	m.SetQueue(dptest.QueueConfig{Streams: streams, Clusters: append(clusters, away)})
	eventually(t, 10*time.Second, func() error {
		code, body := get(t, "http://"+r.b.AdminAddr()+"/readyz?strict=1")
		if code != 503 || !strings.Contains(body, "queue cluster mq3 does not answer") {
			return fmt.Errorf("/readyz = %d %s, want 503 and the cluster that is not read", code, body)
		}
		return nil
	})
	e.produce("orders", 0, 500, 100, 0) // what is read goes on
	e.waitCommitted("orders", 0, 600)
	// It can be reached after all, under another address, and is where everything goes from now on.
	third, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, queueTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(third.Close)
	away.Params = map[string]string{"bootstrap.servers": strings.Join(third.ListenAddrs(), ",")}
	m.SetQueue(dptest.QueueConfig{Streams: streams, Clusters: append(clusters, away)})
	eventually(t, 20*time.Second, func() error {
		s := r.b.Status()
		if !s.Ready.Strict || len(s.Queue.Clusters) != 3 || len(s.QueueSource.Joining) > 0 {
			return fmt.Errorf("ready = %+v, queue = %+v, source = %+v; want three clusters", s.Ready, s.Queue, s.QueueSource)
		}
		return nil
	})
	behind, err := kafkahandler.New(kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(third.ListenAddrs()...)}, Topic: "q.{group}.{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.Close)
	only, err := dptest.NewProxy(behind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = only.Close() })
	m.SetNodes(only.Addr())
	_ = proxy.Close()
	e.produce("orders", 0, 600, 100, 0)
	e.waitCommitted("orders", 0, 700)
	if s := r.b.Status(); s.Queue.Clusters[2].Mine == 0 {
		t.Errorf("queue = %+v, want packs seen in the new cluster", s.Queue)
	}
	if err := r.drain(); err != nil {
		t.Error(err)
	}
}

func TestQueueFromTheManagerThatIsOfAnotherKindIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	m := dptest.StartManager(t)
	m.SetQueue(dptest.QueueConfig{Type: "TUBEMQ", Clusters: []dptest.QueueClusterConfig{{Name: "p", Params: map[string]string{"serviceUrl": "pulsar://p:6650"}}}})
	c, err := config.Parse("test.yaml", fmt.Appendf(nil, `kafka: {brokers: ['127.0.0.1:1'], group: bridge}
inlong: {manager: {urls: ['%s']}, cluster: {name: default_dataproxy, tag: default_cluster}}
routes: [{topics: [orders], group: g, stream: s}]
queue: {manager: true}
admin: {listen: ''}
`, m.URL()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(c, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context(), t.Context()); err == nil || !strings.Contains(err.Error(), "TUBEMQ") || !strings.Contains(err.Error(), "delivery.confirm: settle") {
		t.Errorf("Run = %v, want a refusal that names settle", err)
	}
}
