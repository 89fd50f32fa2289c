package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/mapping/queuetopic"
	"inlong-bridge/sdk/dptest"
)

const (
	devQueueTopic    = "{group}.{stream}"
	devQueuePatience = 10 * time.Second // for the queue's brokers at the start
)

// devQueue is one cluster of --queue.
type devQueue struct {
	kind              string // in the Manager's words
	hosts             []string
	tenant, namespace string // of Pulsar
	topic             string // template over {group} and {stream}, as namespace
}

// parseDevQueues reads the clusters of --queue, which are of one kind.
func parseDevQueues(urls []string) (queues []devQueue, err error) {
	for _, u := range urls {
		q, err := parseDevQueue(u)
		if err != nil {
			return nil, err
		}
		if len(queues) > 0 && queues[0].kind != q.kind {
			return nil, usagef("--queue %q: a DataProxy writes to clusters of one kind", u)
		}
		queues = append(queues, q)
	}
	return queues, nil
}

// parseDevQueue reads kafka://host:port[,host:port][/topic] or pulsar://host:port[,host:port][/tenant/namespace[/topic]].
func parseDevQueue(url string) (q devQueue, err error) {
	scheme, rest, ok := strings.Cut(url, "://")
	hosts, path, _ := strings.Cut(rest, "/")
	bad := func() (devQueue, error) {
		return q, usagef("--queue %q: want kafka://host:port[,host:port][/topic] or pulsar://host:port[,host:port][/tenant/namespace[/topic]]", url)
	}
	if !ok || hosts == "" {
		return bad()
	}
	q.topic = devQueueTopic
	switch scheme {
	case "kafka":
		if q.kind = "KAFKA"; path != "" {
			q.topic = path
		}
	case "pulsar":
		if !config.HasPulsar {
			return q, usagef("--queue %q: %w; hint: use the standard build", url, config.ErrNoPulsar)
		}
		q.kind, q.tenant, q.namespace = "PULSAR", "public", "default"
		parts := strings.Split(path, "/")
		switch {
		case path == "":
		case len(parts) == 2 || len(parts) == 3:
			if q.tenant, q.namespace = parts[0], parts[1]; len(parts) == 3 {
				q.topic = parts[2]
			}
		default:
			return bad()
		}
		plain := queuetopic.Template(q.namespace+"/"+q.topic).Fill("g", "s")
		if q.tenant == "" || strings.HasPrefix(plain, "/") || strings.HasSuffix(plain, "/") || strings.ContainsAny(q.tenant+plain, "{}") {
			return bad()
		}
	default:
		return bad()
	}
	q.hosts = strings.Split(hosts, ",")
	for _, h := range q.hosts {
		if _, _, err := net.SplitHostPort(h); err != nil {
			return q, usagef("--queue %q: %q is not host:port", url, h)
		}
	}
	return q, nil
}

// pulsarPlace is a Pulsar cluster that packs are written to.
type pulsarPlace struct {
	serviceURL               string
	tenant, namespace, topic string // namespace and topic are templates
	token                    func() (string, error)
}

// topicOf returns the whole name of a stream's topic.
func (p *pulsarPlace) topicOf(group, stream string) string {
	return "persistent://" + p.tenant + "/" + queuetopic.Template(p.namespace+"/"+p.topic).Fill(group, stream)
}

// pulsarQueue is a queue of Pulsar clusters.
type pulsarQueue interface {
	dptest.Queue
	// Ping asks each cluster for a topic, which need not exist.
	Ping(ctx context.Context, group, stream string) error
	Close()
}

func (q *devQueue) pulsar() pulsarPlace {
	return pulsarPlace{serviceURL: "pulsar://" + strings.Join(q.hosts, ","), tenant: q.tenant, namespace: q.namespace, topic: q.topic}
}

// params are what the Manager tells about the cluster.
func (q *devQueue) params() map[string]string {
	if q.kind == "PULSAR" {
		return map[string]string{"serviceUrl": "pulsar://" + strings.Join(q.hosts, ","), "tenant": q.tenant}
	}
	return map[string]string{"bootstrap.servers": strings.Join(q.hosts, ",")}
}

// streamConfig is what the Manager tells about a stream.
func (q *devQueue) streamConfig(group, stream string) dptest.StreamConfig {
	c := dptest.StreamConfig{Group: group, Stream: stream, Topic: queuetopic.Template(q.topic).Fill(group, stream)}
	if q.kind == "PULSAR" {
		c.Namespace = queuetopic.Template(q.namespace).Fill(group, stream)
	}
	return c
}

// openDevQueue connects to each cluster of --queue and makes sure that it answers.
func openDevQueue(ctx context.Context, urls []string, tokenFile string) (dptest.Queue, func(), error) {
	queues, err := parseDevQueues(urls)
	if err != nil {
		return nil, nil, err
	}
	if queues[0].kind == "PULSAR" {
		return openPulsar(ctx, queues, tokenFile)
	}
	var clusters []kafkahandler.Cluster
	for _, q := range queues {
		opts, err := kafkaclient.Options(q.hosts, "inlong-bridge-devproxy", config.TLS{}, config.SASL{}, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("opening --queue: %w", err)
		}
		if err := pingDevQueue(ctx, q.hosts, opts); err != nil {
			return nil, nil, err
		}
		clusters = append(clusters, kafkahandler.Cluster{Opts: opts, Topic: q.topic, Create: true})
	}
	q, err := kafkahandler.New(clusters...)
	if err != nil {
		return nil, nil, usagef("--queue %q: %w", strings.Join(urls, " "), err)
	}
	return q, q.Close, nil
}

func openPulsar(ctx context.Context, queues []devQueue, tokenFile string) (dptest.Queue, func(), error) {
	var places []pulsarPlace
	for i := range queues {
		p := queues[i].pulsar()
		if tokenFile != "" {
			p.token = config.SecretFromFile(tokenFile).Value
		}
		places = append(places, p)
	}
	q, err := openPulsarQueue(places...)
	if err != nil {
		return nil, nil, fmt.Errorf("opening --queue: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, devQueuePatience)
	defer cancel()
	if err := q.Ping(ctx, "inlong", "bridge"); err != nil {
		q.Close()
		return nil, nil, err
	}
	return q, q.Close, nil
}

func pingDevQueue(ctx context.Context, brokers []string, opts []kgo.Opt) error {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("opening --queue: %w", err)
	}
	defer client.Close()
	pingCtx, cancel := context.WithTimeout(ctx, devQueuePatience)
	defer cancel()
	if err := client.Ping(pingCtx); err != nil {
		return kafkaclient.Explain(err, "connecting to the queue at "+strings.Join(brokers, ","))
	}
	return nil
}

const (
	sayAgainAfter  = 10 * time.Second // devproxy says as often that its queue still refuses a stream's packs
	maxRefusedSaid = 1000             // streams of which it says so
)

// saidQueue says when the queue refuses packs of a stream, and when it takes them again. The proxies only try again, as the
// real ones do.
type saidQueue struct {
	next dptest.Queue
	say  func(format string, args ...any)

	mu      sync.Mutex
	refused map[string]*refusedStream // by group.stream
}

type refusedStream struct {
	times int // since a pack of the stream was taken last
	said  time.Time
}

// saying is next with a word about what it refuses.
func saying(next dptest.Queue, say func(string, ...any)) dptest.Queue {
	q := &saidQueue{next: next, say: say, refused: make(map[string]*refusedStream)}
	if clusters, ok := next.(dptest.ClusterQueue); ok {
		return &saidClusters{q, clusters}
	}
	return q
}

func (q *saidQueue) Put(ctx context.Context, m []dptest.QueueMessage) error {
	return q.told(ctx, m, q.next.Put(ctx, m))
}

// told says what became of a Put, and returns err.
func (q *saidQueue) told(ctx context.Context, m []dptest.QueueMessage, err error) error {
	if ctx.Err() != nil {
		return err // the proxy ends
	}
	partly, _ := errors.AsType[*dptest.PutError](err)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil && len(q.refused) == 0 {
		return nil
	}
	for i := range m {
		stream := m[i].Group + "." + m[i].Stream
		r := q.refused[stream]
		stored := err == nil || (partly != nil && i < len(partly.Stored) && partly.Stored[i])
		switch {
		case stored && r != nil:
			delete(q.refused, stream)
			q.say("queue    takes packs of %s again, after it refused %d", stream, r.times)
		case stored:
		case r == nil && len(q.refused) >= maxRefusedSaid:
		default:
			if r == nil {
				r = new(refusedStream)
				q.refused[stream] = r
			}
			r.times++
			if now := time.Now(); now.Sub(r.said) >= sayAgainAfter {
				r.said = now
				q.say("queue    refuses packs of %s (%d so far; they are tried again): %v", stream, r.times, err)
			}
		}
	}
	return err
}

// saidClusters is a saidQueue over a queue whose clusters the proxies choose.
type saidClusters struct {
	*saidQueue
	clusters dptest.ClusterQueue
}

func (q *saidClusters) Clusters() int { return q.clusters.Clusters() }

func (q *saidClusters) PutTo(ctx context.Context, cluster int, m []dptest.QueueMessage) error {
	return q.told(ctx, m, q.clusters.PutTo(ctx, cluster, m))
}
