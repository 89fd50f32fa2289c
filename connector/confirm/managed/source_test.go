package managed

import (
	"bytes"
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

	"inlong-bridge/connector/confirm"
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

func sourceOf(o *oracle, file string) *Source {
	s := New(o.ask, "dp", "tag", "", slog.New(slog.DiscardHandler))
	s.file = file
	return s
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
		_, _, err := sourceOf(&oracle{says: tt.says}, "").Start(t.Context())
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Start = %v, want an error with %q", err, want)
			}
		}
	}
}

func TestClustersOfTheManagerAreReadWithAllTheirBrokers(t *testing.T) {
	q := sourceOf(&oracle{says: kafkaQueue("1", nil, "b=b1:9092, b2:9092,", "a=[::1]:9092")}, "")
	_, places, err := q.Start(t.Context())
	if got := fmt.Sprint(places); err != nil || got != "[{a [[::1]:9092]  } {b [b1:9092 b2:9092]  }]" {
		t.Errorf("Start = %s, %v", got, err)
	}
}

func TestPulsarClustersOfTheManagerHaveTheirTenantAndNamespace(t *testing.T) {
	said := manager.QueueConfig{MD5: "1", Type: "PULSAR", Topics: map[string]string{"g.s": "ns/s", "g.t": "t"}, Clusters: []manager.QueueCluster{
		{Name: "b", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar+ssl://b:6651", "tenant": "acme", "namespace": "all"}},
		{Name: "a", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar://a1:6650,a2:6650"}},
	}}
	o := &oracle{says: said}
	q := sourceOf(o, "")
	kind, places, err := q.Start(t.Context())
	want := "[{a [pulsar://a1:6650,a2:6650] public {group}} {b [pulsar+ssl://b:6651] acme all}]"
	if got := fmt.Sprint(places); err != nil || kind != "PULSAR" || got != want {
		t.Errorf("Start = %s, %s, %v, want %s", kind, got, err, want)
	}
	if topic, err := q.TopicOf(t.Context(), "g", "s"); err != nil || topic != "ns/s" {
		t.Errorf("TopicOf = %q, %v", topic, err)
	}
	o.says = kafkaQueue("2", said.Topics, "a=a:1", "b=b:1")
	if _, err := q.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := q.Status(); !strings.Contains(s.Restart, "type KAFKA now") {
		t.Errorf("status %+v, want another kind of queue in it", s)
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

func (j *joiner) join(_ context.Context, p Place, since time.Time) error {
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
		if _, _, err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); q.Follow(ctx, time.Minute, j) }()
		at := func(d time.Duration) {
			time.Sleep(d - time.Since(began))
			synctest.Wait()
		}
		want := func(read, joining, leaving string) {
			t.Helper()
			s := q.Status()
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
		if topic, err := q.TopicOf(ctx, "g", "new"); topic != "t" || err != nil {
			t.Errorf("topic = %q, %v", topic, err)
		}
		at(14*time.Minute + 2*time.Second)
		want("b=b:1 c=c:1,c:2 without e", "[e]", "[]")
		o.set(func(o *oracle) { o.says = manager.QueueConfig{MD5: "7", Type: "PULSAR", Clusters: pulsarPlaces} })
		at(14*time.Minute + 20*time.Second)
		if read, _, _ := j.now(); read != "b=b:1 c=c:1,c:2" || !strings.Contains(q.Status().Restart, "PULSAR") {
			t.Errorf("read %s, status %+v; want that e is given up, and a restart", read, q.Status())
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
				if _, _, err := q.Start(t.Context()); err != nil {
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
				q.join = func(ctx context.Context, p Place, since time.Time) error {
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
				if read, _, _ := d.now(); read != tt.want || len(q.Status().Joining)+len(q.Status().Leaving) > 0 {
					t.Errorf("read %s, status %+v; want %s", read, q.Status(), tt.want)
				}
			})
		})
	}
}

// Between the joins of two clusters that are named at once no barrier may pass.
func TestAllClustersThatAreNamedAreExpectedBeforeTheFirstJoins(t *testing.T) {
	o := &oracle{says: kafkaQueue("1", nil, "a=a:1")}
	q := sourceOf(o, "")
	if _, _, err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	j := &joiner{read: []string{"a=a:1"}}
	q.join = func(ctx context.Context, p Place, since time.Time) error {
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
	if _, _, err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	moved := []manager.QueueCluster{{Name: "p", Type: "PULSAR", Params: map[string]string{"serviceUrl": "pulsar://p:1", "namespace": "other"}}}
	o.set(func(o *oracle) { o.says = manager.QueueConfig{MD5: "2", Type: "PULSAR", Clusters: moved} })
	if _, err := q.refresh(t.Context()); err != nil || q.Status().Brokers != "p: pulsar://p:1 public/other" {
		t.Errorf("status = %+v after %v, want the new namespace", q.Status(), err)
	}
}

func TestOtherAddressesOrAnotherKindOfQueueAskForARestart(t *testing.T) {
	o := &oracle{says: kafkaQueue("1", nil, "a=a:1", "b=b:1")}
	q := sourceOf(o, "")
	if _, _, err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.set(func(o *oracle) { o.says = kafkaQueue("2", nil, "a=a:1,a:2", "b=b:1") })
	if _, err := q.refresh(t.Context()); err != nil || q.Status().Restart != "" || q.Status().Brokers != "a: a:1,a:2" {
		t.Errorf("status = %+v after %v, want the new addresses", q.Status(), err)
	}
	tube := kafkaQueue("5", nil, "t=t:1")
	tube.Type = "TUBEMQ"
	o.set(func(o *oracle) { o.says = tube })
	if _, err := q.refresh(t.Context()); err == nil || !strings.Contains(q.Status().Restart, "TUBEMQ") {
		t.Errorf("status = %+v after %v, want the type that cannot be read", q.Status(), err)
	}
	// A Manager that does not answer changes nothing.
	o.set(func(o *oracle) { o.err = errors.New("away") })
	if _, err := q.refresh(t.Context()); err == nil || q.Status().Restart != "" || q.Status().LastError != "away" {
		t.Errorf("status = %+v, want nothing to restart for", q.Status())
	}
	// Pulsar in place of Kafka: neither is its cluster read, nor are those of Kafka given up.
	o.set(func(o *oracle) {
		o.err, o.says = nil, manager.QueueConfig{MD5: "6", Type: "PULSAR", Clusters: pulsarPlaces}
	})
	q.join = func(context.Context, Place, time.Time) error {
		t.Error("a cluster of another kind was joined")
		return nil
	}
	if _, err := q.refresh(t.Context()); err != nil || q.followClusters(t.Context(), nil) || !strings.Contains(q.Status().Restart, "PULSAR") {
		t.Errorf("status = %+v after %v, want another kind of queue", q.Status(), err)
	}
}

func TestUnknownStreamAsksTheManagerAgainButNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{says: kafkaQueue("1", map[string]string{"g.s": "ns.s", "whole": "w"}, "a=a:1")}
		q := sourceOf(o, "")
		if _, _, err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for stream, want := range map[streamID]string{{"g", "s"}: "ns.s", {"whole", "any"}: "w"} {
			if topic, err := q.TopicOf(t.Context(), stream.group, stream.stream); topic != want || err != nil {
				t.Errorf("topic of %v = %q, %v; want %q", stream, topic, err, want)
			}
		}
		for range 20 {
			if _, err := q.TopicOf(t.Context(), "g", "new"); err == nil || !strings.Contains(err.Error(), "hint") {
				t.Fatalf("TopicOf = %v, want an error with a hint", err)
			}
			time.Sleep(time.Second)
		}
		if n := len(o.asked); n < 4 || n > 6 {
			t.Errorf("the Manager was asked %d times in 20 s, want every %v", n, askAgainAfter)
		}
		o.set(func(o *oracle) { o.says = kafkaQueue("2", map[string]string{"g.new": "t"}, "a=a:1") })
		time.Sleep(askAgainAfter)
		if topic, err := q.TopicOf(t.Context(), "g", "new"); topic != "t" || err != nil {
			t.Errorf("topic of a stream created meanwhile = %q, %v; want t", topic, err)
		}
	})
}

// watcher is a reader that notes what it is told to watch.
type watcher struct {
	confirm.Reader
	q *Source

	mu    sync.Mutex
	err   error
	named []string
}

func (w *watcher) Watch(ctx context.Context, group, stream string) error {
	topic, err := w.q.TopicOf(ctx, group, stream)
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
	if _, _, err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &watcher{q: q}
	r := q.Reader(w, nil)
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
		if _, _, err := q.Start(t.Context()); err != nil {
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
		go func() { defer close(done); q.Follow(ctx, time.Minute, w) }()
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
	if _, _, err := sourceOf(o, file).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "hidden") {
		t.Errorf("the file is %s, %v; want no credentials in it", data, err)
	}

	away, began := &oracle{err: errors.New("away")}, time.Now()
	q := sourceOf(away, file)
	_, places, err := q.Start(t.Context())
	if err != nil || len(places) != 1 || places[0].Brokers[0] != "a:1" {
		t.Fatalf("start without the Manager = %v, %v; want the cluster of the file", places, err)
	}
	if topic, err := q.TopicOf(t.Context(), "g", "s"); topic != "ns.s" || err != nil {
		t.Errorf("topic = %q, %v; want that of the file", topic, err)
	}
	away.set(func(o *oracle) { o.err, o.says = nil, kafkaQueue("1", nil, "a=a:1", "b=b:1") })
	if _, err := q.refresh(t.Context()); err != nil || away.asked[1] != "" || fmt.Sprint(q.Status().Joining) != "[b]" {
		t.Errorf("status = %+v, %v after questions %q; want everything asked for, and the new cluster named", q.Status(), err, away.asked)
	}
	if at := q.came["b"]; at.Before(began) || at.After(time.Now()) { // nothing of ours is older than this process
		t.Errorf("b came after %v, want the time of the start", at)
	}

	for name, tt := range map[string]struct {
		q   *Source
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
		if _, _, err := tt.q.Start(t.Context()); !errors.Is(err, tt.err) {
			t.Errorf("%s: start = %v, want %v", name, err, tt.err)
		}
	}
}

func TestTenantOfAStreamReachesTheTopicThatIsWatched(t *testing.T) {
	said := manager.QueueConfig{MD5: "1", Type: "PULSAR", Topics: map[string]string{"g.s": "acme/ns/s", "g.t": "ns/t"},
		Clusters: []manager.QueueCluster{{Name: "p", Params: map[string]string{"serviceUrl": "pulsar://p:6650", "tenant": "public"}}}}
	q := sourceOf(&oracle{says: said}, "")
	if _, _, err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]string{"s": "acme/ns/s", "t": "ns/t"} {
		if topic, err := q.TopicOf(t.Context(), "g", stream); err != nil || topic != want {
			t.Errorf("topic of %s = %q, %v, want %q", stream, topic, err, want)
		}
	}
}

func TestStreamOfAnotherWrapTypeIsNamedAtOnce(t *testing.T) {
	var log locked
	says := kafkaQueue("1", map[string]string{"g.raw": "t", "g.v0": "t", "g.idle": "t"}, "a=a:1")
	says.Wraps = map[string]string{"g.raw": "RAW", "g.idle": "RAW"}
	o := &oracle{says: says}
	q := sourceOf(o, "")
	q.log = slog.New(slog.NewTextHandler(&log, nil))
	if _, _, err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"raw", "v0", "raw"} {
		if _, err := q.TopicOf(t.Context(), "g", stream); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "stream is unreadable in the queue"); n != 1 || !strings.Contains(log.String(), "wrap_type=RAW") {
		t.Errorf("%d lines name the stream, want one:\n%s", n, log.String())
	}
	source := q.Status()
	if want := []UnreadableStream{{Group: "g", Stream: "raw", WrapType: "RAW"}}; fmt.Sprint(source.Unreadable) != fmt.Sprint(want) {
		t.Errorf("unreadable = %v, want %v", source.Unreadable, want)
	}
	// Another answer makes another stream unreadable.
	o.set(func(o *oracle) {
		o.says.MD5, o.says.Wraps = "2", map[string]string{"g.v0": "INLONG_MSG_V1"}
	})
	if _, err := q.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "wrap_type=INLONG_MSG_V1") || len(q.Status().Unreadable) != 1 {
		t.Errorf("unreadable = %v, want the other stream, and a line for it:\n%s", q.Status().Unreadable, log.String())
	}
}

// locked is a buffer that a logger and a test share.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
