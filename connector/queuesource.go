package connector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/manager"
)

// queueSource knows from the Manager which clusters are the queue behind the proxies, and which topic each
// stream has (queue.manager: true). Both are followed while the bridge runs. A cluster that was added is read from
// when the Manager did not name it yet, for the proxies may have known of it sooner. One that was taken away is read
// for a while still, for they may learn of that later. Another kind of queue needs a restart, and is told.
type queueSource struct {
	ask     func(ctx context.Context, md5 string) (manager.QueueConfig, error)
	join    func(ctx context.Context, p queuePlace, since time.Time) error // has the reader read one more cluster
	cluster string                                                         // of the proxies
	tag     string                                                         // of that cluster
	file    string                                                         // keeps the last answer, "" for none
	log     *slog.Logger

	asking sync.Mutex      // one question at a time; taken before mu
	news   chan struct{}   // something came or left, as a question between two ticks showed; of size one
	away   map[string]bool // run's own: clusters that the reader expects and that have not joined

	mu      sync.Mutex
	now     queueAnswer            // guarded by mu; the last good answer
	told    time.Time              // guarded by mu; when the Manager was asked for it, or for the one that said it still holds
	kind    string                 // guarded by mu; of the queue that is read
	read    []queuePlace           // guarded by mu; its clusters, as run knows them
	came    map[string]time.Time   // guarded by mu; until when the Manager did not name a cluster that it names
	left    map[string]time.Time   // guarded by mu; since when it does not name one that it named
	topics  map[RouteStatus]string // guarded by mu; what is watched
	wraps   map[RouteStatus]string // guarded by mu; wrap types that were logged
	asked   time.Time              // guarded by mu; when the Manager was asked last
	updated time.Time              // guarded by mu; when it answered last
	lastErr error                  // guarded by mu; nil when it answered
	faults  faults
	joins   faults // of clusters that cannot be read yet
}

// queueAnswer is what is kept of an answer. It holds no credentials.
type queueAnswer struct {
	Saved    time.Time         `json:"saved"`
	Cluster  string            `json:"cluster"` // of the proxies
	Tag      string            `json:"tag"`
	MD5      string            `json:"md5"`
	Type     string            `json:"type"`
	Clusters []queuePlace      `json:"clusters"`
	Topics   map[string]string `json:"topics"`
	Wraps    map[string]string `json:"wraps,omitempty"` // see manager.QueueConfig
}

type queuePlace struct {
	Name    string   `json:"name"`
	Brokers []string `json:"brokers"` // of Pulsar one, the service URL
	// Of Pulsar: where topics are that the Manager names without it.
	Tenant    string `json:"tenant,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// String is where it is.
func (p *queuePlace) String() string {
	at := strings.Join(p.Brokers, ",")
	if p.Tenant != "" {
		at += " " + p.Tenant + "/" + p.Namespace
	}
	return at
}

// Kinds of queues, in the Manager's words.
const (
	queueKafka  = "KAFKA"
	queuePulsar = "PULSAR"
)

const (
	queueFile     = "queue.json"
	askAgainAfter = 5 * time.Second  // the Manager is not asked more often about streams it does not know
	askQueue      = 10 * time.Second // as often as the proxies ask, so that we do not know long after them
	joinAgain     = 5 * time.Second  // a cluster that could not join is tried again after so long
	// leaveAfter is how long a cluster is read that the Manager names no more. Proxies ask it every ten seconds, and
	// hold packs for seconds.
	leaveAfter = time.Minute
	// clocksDiffer is by how much the clocks of the proxies, of the Manager and ours may.
	clocksDiffer = time.Minute
)

func newQueueSource(c *manager.Client, cluster, tag, cacheDir string, log *slog.Logger) *queueSource {
	q := &queueSource{
		ask: func(ctx context.Context, md5 string) (manager.QueueConfig, error) {
			return c.AllConfig(ctx, cluster, tag, md5)
		},
		cluster: cluster, tag: tag, log: log, topics: make(map[RouteStatus]string), wraps: make(map[RouteStatus]string),
		came: make(map[string]time.Time), left: make(map[string]time.Time),
		news: make(chan struct{}, 1), away: make(map[string]bool),
	}
	if cacheDir != "" {
		q.file = filepath.Join(cacheDir, queueFile)
	}
	return q
}

// start asks for the clusters. When the Manager does not answer, those of the last good answer are taken.
func (q *queueSource) start(ctx context.Context) (kind string, places []queuePlace, err error) {
	_, err = q.refresh(ctx)
	if err != nil && !errors.Is(err, manager.ErrRefused) && !errors.Is(err, manager.ErrNoQueue) && !errors.Is(err, errOtherQueue) {
		if kept, ok := q.load(); ok {
			q.log.Warn("the Manager does not tell the queue; going on with its last answer", "saved", kept.Saved, "err", err)
			q.mu.Lock()
			q.now, q.told = kept, time.Now() // nothing of ours is older
			q.mu.Unlock()
			err = nil
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("asking the Manager for the queue (queue.manager): %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.read, q.kind = q.now.Clusters, q.now.Type
	clear(q.came)
	return q.kind, q.read, nil
}

var errOtherQueue = errors.New("this kind of queue cannot be read; hint: take the queue section out, and delivery.confirm: settle is in force")

// refresh asks the Manager and returns the streams whose topic is another one than the one watched. A failure
// changes nothing.
func (q *queueSource) refresh(ctx context.Context) (moved []RouteStatus, err error) {
	q.asking.Lock()
	defer q.asking.Unlock()
	q.mu.Lock()
	md5, asked := q.now.MD5, time.Now()
	q.asked = asked
	q.mu.Unlock()
	said, err := q.ask(ctx, md5)
	var a queueAnswer
	same := err == nil && md5 != "" && said.MD5 == md5
	if err == nil && !same {
		a, err = answerOf(said, q.cluster)
	}
	if err == nil && !same {
		a.Cluster, a.Tag = q.cluster, q.tag
		q.save(a)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lastErr = err; err != nil {
		return nil, err
	}
	q.updated = time.Now()
	if !same {
		q.compare(a.Clusters, cmp.Or(q.told, asked))
		q.now = a
	}
	q.told = asked
	for of, topic := range q.topics {
		if now, ok := q.now.topic(of); ok && now != topic {
			moved = append(moved, of)
		}
	}
	q.tellWrapsLocked()
	slices.SortFunc(moved, func(x, y RouteStatus) int {
		return cmp.Or(strings.Compare(x.Group, y.Group), strings.Compare(x.Stream, y.Stream))
	})
	return moved, nil
}

// answerOf takes what is needed from an answer of the Manager.
func answerOf(said manager.QueueConfig, cluster string) (queueAnswer, error) {
	if said.Type != queueKafka && said.Type != queuePulsar {
		return queueAnswer{}, fmt.Errorf("the queue behind the DataProxy cluster %q is of type %s: %w", cluster, said.Type, errOtherQueue)
	}
	a := queueAnswer{Saved: time.Now().UTC(), MD5: said.MD5, Type: said.Type, Topics: said.Topics, Wraps: said.Wraps}
	for _, c := range said.Clusters {
		place := queuePlace{Name: c.Name}
		if said.Type == queuePulsar {
			if err := place.pulsar(c.Params); err != nil {
				return queueAnswer{}, err
			}
			a.Clusters = append(a.Clusters, place)
			continue
		}
		for b := range strings.SplitSeq(c.Params["bootstrap.servers"], ",") {
			if b = strings.TrimSpace(b); b == "" {
				continue
			}
			if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
				return queueAnswer{}, fmt.Errorf("queue cluster %s has the broker %q in the Manager, which is not host:port; hint: correct its bootstrap.servers there", c.Name, b)
			}
			place.Brokers = append(place.Brokers, b)
		}
		if len(place.Brokers) == 0 {
			return queueAnswer{}, fmt.Errorf("queue cluster %s has no bootstrap.servers in the Manager; hint: add them there, or list the clusters in queue.kafka", c.Name)
		}
		a.Clusters = append(a.Clusters, place)
	}
	if len(a.Clusters) == 0 {
		return queueAnswer{}, manager.ErrNoQueue
	}
	slices.SortFunc(a.Clusters, func(x, y queuePlace) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

// pulsar takes in the Manager's parameters of a Pulsar cluster.
func (p *queuePlace) pulsar(params map[string]string) error {
	url := strings.TrimSpace(params["serviceUrl"])
	if !strings.HasPrefix(url, "pulsar://") && !strings.HasPrefix(url, "pulsar+ssl://") {
		return fmt.Errorf("queue cluster %s has the serviceUrl %q in the Manager, which is not pulsar://host:port; hint: correct it there, or list the clusters in queue.pulsar", p.Name, url)
	}
	p.Brokers, p.Tenant, p.Namespace = []string{url}, cmp.Or(params["tenant"], "public"), cmp.Or(params["namespace"], "{group}")
	return nil
}

// topic returns the topic of a stream, or of its whole group, as the proxies look it up.
func (a *queueAnswer) topic(of RouteStatus) (string, bool) {
	return (&manager.QueueConfig{Topics: a.Topics}).Topic(of.Group, of.Stream)
}

// topicOf implements TopicOf of confirm.KafkaConfig and confirm.PulsarConfig. A stream that is not known may be new: the Manager is asked
// again, but not too often.
func (q *queueSource) topicOf(ctx context.Context, group, stream string) (string, error) {
	of := RouteStatus{Group: group, Stream: stream}
	find := func() (topic string, ok, may bool) {
		q.mu.Lock()
		defer q.mu.Unlock()
		topic, ok = q.now.topic(of)
		return topic, ok, time.Since(q.asked) >= askAgainAfter
	}
	topic, ok, may := find()
	if !ok && may {
		if _, err := q.refresh(ctx); err != nil {
			return "", fmt.Errorf("asking the Manager for the topic of %s.%s: %w", group, stream, err)
		}
		topic, ok, _ = find()
	}
	if !ok {
		return "", fmt.Errorf("the Manager names no topic for %s.%s behind the DataProxy cluster %q; hint: is the stream created, and does its group have the tag of this cluster?", group, stream, q.cluster)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, watched := q.topics[of]; !watched {
		q.topics[of] = topic // what becomes another one later is followed
		q.tellWrapsLocked()
	}
	return topic, nil
}

// forget ends the following of a stream's topic: the stream is not watched any more.
func (q *queueSource) forget(of RouteStatus) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.topics, of)
	delete(q.wraps, of)
}

// run asks again every now and then until ctx ends.
func (q *queueSource) run(ctx context.Context, every time.Duration, r confirm.Reader) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-q.news:
		}
		moved, err := q.refresh(ctx)
		select {
		case <-q.news: // it is applied below
		default:
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			for _, f := range q.faults.end() {
				q.log.Info("the Manager tells the queue again", "after", f.lasted, "times", f.times)
			}
			q.expect(r)
			q.followTopics(ctx, r, moved)
		case q.faults.begin("manager"):
			q.log.Warn("asking the Manager for the queue fails, going on with its last answer", "err", err)
		}
		if timer.Reset(every); q.followClusters(ctx, r) {
			timer.Reset(min(every, joinAgain))
		}
		if s := q.status(); s.Restart+s.Brokers != told {
			if told = s.Restart + s.Brokers; s.Restart != "" {
				q.log.Error("the queue behind the proxies is of another kind now; restart the bridge to apply it", "change", s.Restart)
			} else if s.Brokers != "" {
				q.log.Warn("queue clusters have other brokers now; the bridge uses them after a restart", "change", s.Brokers)
			}
		}
	}
}

// followTopics watches the new topics of streams. One where that fails is tried again after the next question.
func (q *queueSource) followTopics(ctx context.Context, r confirm.Reader, moved []RouteStatus) {
	for _, of := range moved {
		q.mu.Lock()
		topic, _ := q.now.topic(of)
		_, watched := q.topics[of]
		q.mu.Unlock()
		if !watched {
			continue // it was forgotten since the question
		}
		if err := r.Watch(ctx, of.Group, of.Stream); err != nil {
			if ctx.Err() == nil {
				q.log.Warn("watching the new topic of a stream fails, trying again", "group", of.Group, "stream", of.Stream, "topic", topic, "err", err)
			}
			continue
		}
		q.mu.Lock()
		q.topics[of] = topic
		q.mu.Unlock()
		q.log.Info("a stream has another topic in the queue, which is read now too", "group", of.Group, "stream", of.Stream, "topic", topic)
	}
}

// status compares what is read with the last answer.
func (q *queueSource) status() QueueSourceStatus {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := QueueSourceStatus{Updated: q.updated, Streams: len(q.now.Topics), Unreadable: q.unreadableLocked()}
	if q.lastErr != nil {
		s.LastError = q.lastErr.Error()
	}
	places := func(ps []queuePlace) map[string]string {
		m := make(map[string]string, len(ps))
		for _, p := range ps {
			m[p.Name] = p.String()
		}
		return m
	}
	read, now := places(q.read), places(q.now.Clusters)
	var changes, brokers []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, ok := read[name]; ok && was != now[name] {
			brokers = append(brokers, name+": "+now[name])
		}
	}
	joining, leaving := q.differ()
	for _, p := range joining {
		s.Joining = append(s.Joining, p.Name)
	}
	for _, p := range leaving {
		s.Leaving = append(s.Leaving, p.Name)
	}
	if q.now.Type != q.kind {
		changes = append(changes, fmt.Sprintf("the queue is of type %s now, and was of type %s", q.now.Type, q.kind))
	}
	if errors.Is(q.lastErr, errOtherQueue) {
		changes = append(changes, s.LastError)
	}
	s.Restart, s.Brokers = strings.Join(changes, "; "), strings.Join(brokers, "; ")
	return s
}

// save keeps an answer for a start without the Manager; q.asking is held.
func (q *queueSource) save(a queueAnswer) {
	if q.file == "" {
		return
	}
	data, err := json.MarshalIndent(a, "", " ")
	if err == nil {
		tmp := q.file + ".new"
		if err = os.MkdirAll(filepath.Dir(q.file), 0o700); err == nil {
			if err = os.WriteFile(tmp, data, 0o600); err == nil {
				err = os.Rename(tmp, q.file)
			}
		}
	}
	if err != nil {
		q.log.Warn("keeping the Manager's answer about the queue fails; a start without the Manager is not possible", "err", err)
	}
}

// load returns the answer that was kept.
func (q *queueSource) load() (a queueAnswer, ok bool) {
	if q.file == "" {
		return a, false
	}
	data, err := os.ReadFile(q.file)
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			q.log.Warn("reading the Manager's last answer about the queue fails", "file", q.file, "err", err)
		}
		return queueAnswer{}, false
	}
	a.MD5 = "" // ask for everything
	a.Type = cmp.Or(a.Type, queueKafka)
	return a, len(a.Clusters) > 0 && a.Cluster == q.cluster && a.Tag == q.tag
}
