package managed

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
	"inlong-bridge/connector/internal/faults"
	"inlong-bridge/sdk/manager"
	"inlong-bridge/sdk/signal"
)

// streamID names a stream.
type streamID struct{ group, stream string }

// Ask asks the Manager for the queue; md5 is that of the last answer, "" for none. See AllConfig of sdk/manager.
type Ask func(ctx context.Context, md5 string) (manager.QueueConfig, error)

// Source asks the Manager which clusters are the queue behind the proxies, and which topic each stream has. It follows both
// while the bridge runs. A cluster that was added is read from the time at which the Manager did not name it yet, since the
// proxies may have known of it sooner than the bridge. A cluster that was removed is still read for a while, since the
// proxies may learn of that later. Another kind of queue needs a restart, and the status says so. It is safe for concurrent
// use.
type Source struct {
	ask     Ask
	join    func(ctx context.Context, p Place, since time.Time) error // has the reader read one more cluster
	cluster string                                                    // of the proxies
	tag     string                                                    // of that cluster
	file    string                                                    // keeps the last answer, "" for none
	log     *slog.Logger

	asking sync.Mutex      // one question at a time; taken before mu
	news   signal.Poke     // a question between two ticks showed that a cluster was added or removed
	away   map[string]bool // used by Follow only; clusters that the reader expects and that have not joined

	mu      sync.Mutex
	now     answer               // guarded by mu; the last good answer
	told    time.Time            // guarded by mu; when the Manager was asked for that answer, or confirmed it last
	kind    string               // guarded by mu; kind of the queue that is read
	read    []Place              // guarded by mu; the clusters that are read
	came    map[string]time.Time // guarded by mu; the last time at which the Manager did not yet name a cluster
	left    map[string]time.Time // guarded by mu; the time since which it no longer names a cluster
	topics  map[streamID]string  // guarded by mu; the topics that are watched
	wraps   map[streamID]string  // guarded by mu; wrap types that were logged
	asked   time.Time            // guarded by mu; when the Manager was asked last
	updated time.Time            // guarded by mu; when it answered last
	lastErr error                // guarded by mu; nil when it answered
	asks    faults.Set           // questions that fail
	joins   faults.Set           // clusters that cannot be read yet
}

// answer holds what the bridge needs of an answer of the Manager, and keeps on disk. It holds no credentials.
type answer struct {
	Saved    time.Time         `json:"saved"`
	Cluster  string            `json:"cluster"` // of the proxies
	Tag      string            `json:"tag"`
	MD5      string            `json:"md5"`
	Type     string            `json:"type"`
	Clusters []Place           `json:"clusters"`
	Topics   map[string]string `json:"topics"`
	Wraps    map[string]string `json:"wraps,omitempty"` // see manager.QueueConfig
}

// Place is a cluster that the Manager names.
type Place struct {
	Name    string   `json:"name"`
	Brokers []string `json:"brokers"` // for Pulsar one entry, the service URL
	// For Pulsar: the tenant and namespace of topics that the Manager names without them.
	Tenant    string `json:"tenant,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// String returns the addresses of the cluster.
func (p *Place) String() string {
	at := strings.Join(p.Brokers, ",")
	if p.Tenant != "" {
		at += " " + p.Tenant + "/" + p.Namespace
	}
	return at
}

// Kinds of queues, in the Manager's words.
const (
	Kafka  = "KAFKA"
	Pulsar = "PULSAR"
)

const (
	queueFile     = "queue.json"
	askAgainAfter = 5 * time.Second // the Manager is not asked more often about streams it does not know
	// AskAtMost is the longest time between two questions: proxies ask as often, so the bridge learns of a change soon after them.
	AskAtMost = 10 * time.Second
	joinAgain = 5 * time.Second // a cluster that could not join is tried again after so long
	// leaveAfter is how long a cluster is read that the Manager no longer names. Proxies ask the Manager every ten seconds, and
	// hold packs for seconds.
	leaveAfter = time.Minute
	// clocksDiffer is the most by which the clocks of the proxies, the Manager and the bridge may differ.
	clocksDiffer = time.Minute
)

// New returns a source that asks for the queue behind a cluster of proxies. It keeps the last answer in cacheDir,
// unless that is "".
func New(ask Ask, cluster, tag, cacheDir string, log *slog.Logger) *Source {
	s := &Source{
		ask: ask, cluster: cluster, tag: tag, log: log, topics: make(map[streamID]string), wraps: make(map[streamID]string),
		came: make(map[string]time.Time), left: make(map[string]time.Time),
		news: signal.NewPoke(), away: make(map[string]bool),
	}
	if cacheDir != "" {
		s.file = filepath.Join(cacheDir, queueFile)
	}
	return s
}

// Start asks for the kind of the queue and its clusters. When the Manager does not answer, it returns those of the last good answer.
func (s *Source) Start(ctx context.Context) (kind string, places []Place, err error) {
	_, err = s.refresh(ctx)
	if err != nil && !errors.Is(err, manager.ErrRefused) && !errors.Is(err, manager.ErrNoQueue) && !errors.Is(err, ErrOtherQueue) {
		if kept, ok := s.load(); ok {
			s.log.Warn("Manager unreachable, using cached queue configuration", "saved", kept.Saved, "err", err)
			s.mu.Lock()
			s.now, s.told = kept, time.Now() // no pack of this process is older
			s.mu.Unlock()
			err = nil
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("asking the Manager for the queue (queue.manager): %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.kind = s.now.Clusters, s.now.Type
	clear(s.came)
	return s.kind, s.read, nil
}

// ErrOtherQueue says that the queue is of a kind that the bridge cannot read.
var ErrOtherQueue = errors.New("the bridge cannot read this kind of queue; hint: remove the queue section, and delivery.confirm: settle applies")

// refresh asks the Manager and returns the streams whose topic is no longer the topic that is watched. A failure
// changes nothing.
func (s *Source) refresh(ctx context.Context) (moved []streamID, err error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	md5, asked := s.now.MD5, time.Now()
	s.asked = asked
	s.mu.Unlock()
	said, err := s.ask(ctx, md5)
	var a answer
	same := err == nil && md5 != "" && said.MD5 == md5
	if err == nil && !same {
		a, err = answerOf(said, s.cluster)
	}
	if err == nil && !same {
		a.Cluster, a.Tag = s.cluster, s.tag
		s.save(a)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastErr = err; err != nil {
		return nil, err
	}
	s.updated = time.Now()
	if !same {
		s.compareLocked(a.Clusters, cmp.Or(s.told, asked))
		s.now = a
	}
	s.told = asked
	for of, topic := range s.topics {
		if now, ok := s.now.topic(of); ok && now != topic {
			moved = append(moved, of)
		}
	}
	s.tellWrapsLocked()
	slices.SortFunc(moved, func(x, y streamID) int {
		return cmp.Or(strings.Compare(x.group, y.group), strings.Compare(x.stream, y.stream))
	})
	return moved, nil
}

// answerOf checks an answer of the Manager and takes what the bridge needs from it.
func answerOf(said manager.QueueConfig, cluster string) (answer, error) {
	if said.Type != Kafka && said.Type != Pulsar {
		return answer{}, fmt.Errorf("the queue behind the DataProxy cluster %q is of type %s: %w", cluster, said.Type, ErrOtherQueue)
	}
	a := answer{Saved: time.Now().UTC(), MD5: said.MD5, Type: said.Type, Topics: said.Topics, Wraps: said.Wraps}
	for _, c := range said.Clusters {
		place := Place{Name: c.Name}
		if said.Type == Pulsar {
			if err := place.pulsar(c.Params); err != nil {
				return answer{}, err
			}
			a.Clusters = append(a.Clusters, place)
			continue
		}
		for b := range strings.SplitSeq(c.Params["bootstrap.servers"], ",") {
			if b = strings.TrimSpace(b); b == "" {
				continue
			}
			if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
				return answer{}, fmt.Errorf("queue cluster %s has the broker %q in the Manager, which is not host:port; hint: correct its bootstrap.servers there", c.Name, b)
			}
			place.Brokers = append(place.Brokers, b)
		}
		if len(place.Brokers) == 0 {
			return answer{}, fmt.Errorf("queue cluster %s has no bootstrap.servers in the Manager; hint: add them there, or list the clusters in queue.kafka", c.Name)
		}
		a.Clusters = append(a.Clusters, place)
	}
	if len(a.Clusters) == 0 {
		return answer{}, manager.ErrNoQueue
	}
	slices.SortFunc(a.Clusters, func(x, y Place) int { return strings.Compare(x.Name, y.Name) })
	return a, nil
}

// pulsar sets the place from the Manager's parameters of a Pulsar cluster.
func (p *Place) pulsar(params map[string]string) error {
	url := strings.TrimSpace(params["serviceUrl"])
	if !strings.HasPrefix(url, "pulsar://") && !strings.HasPrefix(url, "pulsar+ssl://") {
		return fmt.Errorf("queue cluster %s has the serviceUrl %q in the Manager, which is not pulsar://host:port; hint: correct it there, or list the clusters in queue.pulsar", p.Name, url)
	}
	p.Brokers, p.Tenant, p.Namespace = []string{url}, cmp.Or(params["tenant"], "public"), cmp.Or(params["namespace"], "{group}")
	return nil
}

// topic returns the topic of a stream, or of its whole group, as the proxies look it up.
func (a *answer) topic(of streamID) (string, bool) {
	return (&manager.QueueConfig{Topics: a.Topics}).Topic(of.group, of.stream)
}

// TopicOf is the TopicOf of [confirm.Config]. A stream that is not known may be new: the Manager is asked
// again, but not too often.
func (s *Source) TopicOf(ctx context.Context, group, stream string) (string, error) {
	of := streamID{group, stream}
	find := func() (topic string, ok, may bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		topic, ok = s.now.topic(of)
		return topic, ok, time.Since(s.asked) >= askAgainAfter
	}
	topic, ok, may := find()
	if !ok && may {
		if _, err := s.refresh(ctx); err != nil {
			return "", fmt.Errorf("asking the Manager for the topic of %s.%s: %w", group, stream, err)
		}
		topic, ok, _ = find()
	}
	if !ok {
		return "", fmt.Errorf("the Manager names no topic for %s.%s behind the DataProxy cluster %q; hint: is the stream created, and does its group have the tag of this cluster?", group, stream, s.cluster)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, watched := s.topics[of]; !watched {
		s.topics[of] = topic // followed from now on
		s.tellWrapsLocked()
	}
	return topic, nil
}

// forget stops following the topic of a stream that is no longer watched.
func (s *Source) forget(of streamID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.topics, of)
	delete(s.wraps, of)
}

// Follow asks the Manager every now and then, and has the reader follow its answers, until ctx ends. r is what Reader
// returned.
func (s *Source) Follow(ctx context.Context, every time.Duration, r confirm.Reader) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.news:
		}
		moved, err := s.refresh(ctx)
		select {
		case <-s.news: // it is applied below
		default:
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			for _, f := range s.asks.End() {
				s.log.Info("Manager answers about the queue again", "after", f.Lasted.String(), "times", f.Times)
			}
			s.expect(r)
			s.followTopics(ctx, r, moved)
		case s.asks.Begin("manager"):
			s.log.Warn("asking the Manager for the queue fails, keeping its last answer", "err", err)
		}
		if timer.Reset(every); s.followClusters(ctx, r) {
			timer.Reset(min(every, joinAgain))
		}
		if st := s.Status(); st.Restart+st.Brokers != told {
			if told = st.Restart + st.Brokers; st.Restart != "" {
				s.log.Error("the queue behind the proxies is of another kind now; restart the bridge to read it", "change", st.Restart)
			} else if st.Brokers != "" {
				s.log.Warn("queue clusters have other brokers now; the bridge uses them after a restart", "change", st.Brokers)
			}
		}
	}
}

// followTopics watches the new topics of streams. After a failure it is tried again with the next answer.
func (s *Source) followTopics(ctx context.Context, r confirm.Reader, moved []streamID) {
	for _, of := range moved {
		s.mu.Lock()
		topic, _ := s.now.topic(of)
		_, watched := s.topics[of]
		s.mu.Unlock()
		if !watched {
			continue // the stream was forgotten since the question
		}
		if err := r.Watch(ctx, of.group, of.stream); err != nil {
			if ctx.Err() == nil {
				s.log.Warn("watching the new topic of a stream fails, trying again", "group", of.group, "stream", of.stream, "topic", topic, "err", err)
			}
			continue
		}
		s.mu.Lock()
		s.topics[of] = topic
		s.mu.Unlock()
		s.log.Info("reading the new topic of a stream", "group", of.group, "stream", of.stream, "topic", topic)
	}
}

// Status compares the clusters that are read with the last answer.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Updated: s.updated, Streams: len(s.now.Topics), Unreadable: s.unreadableLocked()}
	if s.lastErr != nil {
		st.LastError = s.lastErr.Error()
	}
	places := func(ps []Place) map[string]string {
		m := make(map[string]string, len(ps))
		for _, p := range ps {
			m[p.Name] = p.String()
		}
		return m
	}
	read, now := places(s.read), places(s.now.Clusters)
	var changes, brokers []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, ok := read[name]; ok && was != now[name] {
			brokers = append(brokers, name+": "+now[name])
		}
	}
	joining, leaving := s.differLocked()
	for _, p := range joining {
		st.Joining = append(st.Joining, p.Name)
	}
	for _, p := range leaving {
		st.Leaving = append(st.Leaving, p.Name)
	}
	if s.now.Type != s.kind {
		changes = append(changes, fmt.Sprintf("the queue is of type %s now, and was of type %s", s.now.Type, s.kind))
	}
	if errors.Is(s.lastErr, ErrOtherQueue) {
		changes = append(changes, st.LastError)
	}
	st.Restart, st.Brokers = strings.Join(changes, "; "), strings.Join(brokers, "; ")
	return st
}

// save keeps an answer for a start while the Manager is unreachable. The caller holds asking.
func (s *Source) save(a answer) {
	if s.file == "" {
		return
	}
	data, err := json.MarshalIndent(a, "", " ")
	if err == nil {
		tmp := s.file + ".new"
		if err = os.MkdirAll(filepath.Dir(s.file), 0o700); err == nil {
			if err = os.WriteFile(tmp, data, 0o600); err == nil {
				err = os.Rename(tmp, s.file)
			}
		}
	}
	if err != nil {
		s.log.Warn("cannot save the Manager's answer about the queue; a start while the Manager is unreachable is not possible", "err", err)
	}
}

// load returns the answer that was kept.
func (s *Source) load() (a answer, ok bool) {
	if s.file == "" {
		return a, false
	}
	data, err := os.ReadFile(s.file)
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("cannot read the saved answer of the Manager about the queue", "file", s.file, "err", err)
		}
		return answer{}, false
	}
	a.MD5 = "" // ask for everything
	a.Type = cmp.Or(a.Type, Kafka)
	return a, len(a.Clusters) > 0 && a.Cluster == s.cluster && a.Tag == s.tag
}

// KafkaPlaces returns the Kafka clusters that the Manager names.
func (s *Source) KafkaPlaces() []Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Type != Kafka {
		return nil
	}
	return s.now.Clusters
}

// TopicNow returns the topic of a stream in the Manager's last answer.
func (s *Source) TopicNow(group, stream string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.topic(streamID{group, stream})
}

// TopicsNow returns the topics of the Manager's last answer, by group and stream with a dot between, or by group alone.
func (s *Source) TopicsNow() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.now.Topics)
}

// Reader returns r, whose clusters are those of Start. What Follow does goes to r, join has r read one more cluster, and
// a stream that is unwatched is no longer followed.
func (s *Source) Reader(r confirm.Reader, join func(ctx context.Context, p Place, since time.Time) error) confirm.Reader {
	s.join = join
	return reader{r, s}
}

type reader struct {
	confirm.Reader
	source *Source
}

// Unwatch implements [confirm.Reader].
func (r reader) Unwatch(group, stream string) {
	r.source.forget(streamID{group, stream}) // first, or the source might watch another topic of it in between
	r.Reader.Unwatch(group, stream)
}
