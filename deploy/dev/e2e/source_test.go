package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster is a Kafka, embedded or real.
type cluster struct {
	b       *bench
	brokers []string
	opts    []kgo.Opt      // how the test itself connects
	config  map[string]any // tls and sasl in the bridge's configuration
	admin   *kadm.Client
	client  *kgo.Client
}

// connect fills in the clients of c.
func (b *bench) connect(c *cluster) *cluster {
	b.Helper()
	c.b = b
	c.opts = append([]kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		kgo.ClientID("e2e"),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RetryTimeout(30 * time.Second),
	}, c.opts...)
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerLinger(5 * time.Millisecond),
	}, c.opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	c.client, c.admin = client, kadm.NewClient(client)
	return c
}

// embedded starts a Kafka in the process of the test.
func (b *bench) embedded(brokers int) *cluster {
	b.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(brokers))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(k.Close)
	return b.connect(&cluster{brokers: k.ListenAddrs()})
}

// createTopics makes topics, with configs as key, value, key, value. It returns when every broker knows of them.
func (c *cluster) createTopics(partitions int32, replicas int16, topics []string, configs ...string) {
	c.b.Helper()
	settings := make(map[string]*string)
	for i := 0; i+1 < len(configs); i += 2 {
		settings[configs[i]] = &configs[i+1]
	}
	made, err := c.admin.CreateTopics(c.b.Context(), partitions, replicas, settings, topics...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		c.b.Fatalf("creating topics %v: %v", topics, err)
	}
	c.b.eventually(drainLimit, func() error { return c.tellOf(topics, int(partitions)) })
}

// tellOf says which broker does not know of topics, or which leader does not have its partitions: they hear of topics from the controller, later.
func (c *cluster) tellOf(topics []string, partitions int) error {
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = new(topic)
		req.Topics = append(req.Topics, t)
	}
	for _, broker := range c.client.DiscoveredBrokers() {
		answer, err := broker.RetriableRequest(c.b.Context(), req)
		if err != nil {
			return err
		}
		for _, t := range answer.(*kmsg.MetadataResponse).Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
				return err
			}
			if n := len(t.Partitions); n < partitions {
				return fmt.Errorf("a broker knows of %d partitions of topic %s, want %d", n, *t.Topic, partitions)
			}
		}
	}
	ends, err := c.admin.ListEndOffsets(c.b.Context(), topics...)
	if err == nil {
		err = ends.Error()
	}
	return err
}

// committed is what the group has committed, by topic and partition.
func (c *cluster) committed(group string) map[string]map[int32]int64 {
	c.b.Helper()
	offsets, err := c.fetchOffsets(c.b.Context(), group)
	if err != nil {
		c.b.Fatalf("reading the offsets of group %s: %v", group, err)
	}
	all := make(map[string]map[int32]int64)
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Err != nil {
			return
		}
		if all[o.Topic] == nil {
			all[o.Topic] = make(map[int32]int64)
		}
		all[o.Topic][o.Partition] = o.At
	})
	return all
}

// fetchOffsets finds nothing of a group that nobody has joined yet, and waits for a coordinator that moves or
// is gone.
func (c *cluster) fetchOffsets(ctx context.Context, group string) (kadm.OffsetResponses, error) {
	for deadline := time.Now().Add(drainLimit); ; {
		offsets, err := c.admin.FetchOffsets(ctx, group)
		if err == nil {
			err = offsets.Error()
		}
		switch {
		case errors.Is(err, kerr.GroupIDNotFound):
			return nil, nil
		case err == nil || time.Now().After(deadline):
			return offsets, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// behind says how far the group is from the ends of the topics; nil is not at all. It must never be beyond.
func (c *cluster) behind(ctx context.Context, group string, topics []string) error {
	ends, err := c.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	offsets, err := c.fetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	var late []string
	ends.Each(func(e kadm.ListedOffset) {
		at := int64(0)
		if o, ok := offsets.Lookup(e.Topic, e.Partition); ok && o.At > 0 {
			at = o.At
		}
		if at != e.Offset {
			late = append(late, fmt.Sprintf("%s/%d at %d of %d", e.Topic, e.Partition, at, e.Offset))
		}
	})
	if len(late) > 0 {
		return fmt.Errorf("group %s has not committed everything: %s", group, strings.Join(late, ", "))
	}
	return nil
}

// caughtUp waits until the group has committed up to the ends of the topics.
func (c *cluster) caughtUp(group string, topics []string, limit time.Duration, working ...*process) {
	c.b.Helper()
	c.b.eventually(limit, func() error {
		err := c.behind(c.b.Context(), group, topics)
		for _, p := range working {
			if p.ended() {
				c.b.Fatalf("%s ended with %d; its log ends with\n%s", p.name, p.code, p.tail())
			}
			if err != nil {
				err = fmt.Errorf("%w\n%s ends with\n%s", err, p.name, p.tail())
			}
		}
		return err
	})
}

// place is where a record lies in the source.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// ledger knows what was produced. It is safe for concurrent use.
type ledger struct {
	prefix string // of all its identities, so that several may share a queue

	mu       sync.Mutex
	next     int
	produced map[string]place // by identity
}

func newLedger() *ledger {
	return &ledger{prefix: strings.ToLower(rand.Text()[:8]) + "-", produced: make(map[string]place)}
}

func (l *ledger) add(id string, at place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.produced[id] = at
}

func (l *ledger) all() map[string]place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.produced)
}

// id returns a new identity.
func (l *ledger) id() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.prefix + strconv.Itoa(l.next)
}

// valueOf is the value of the record id: the identity and some text that follows from it, so that a value
// that changed on its way is noticed.
func valueOf(id string) []byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // it never fails
	word := strconv.FormatUint(h.Sum64(), 36)
	return []byte(id + "|" + strings.Repeat(word, int(h.Sum64()%16)))
}

// produce writes n records to topics in turn and waits until the brokers have them.
func (l *ledger) produce(c *cluster, n int, topics ...string) {
	c.b.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		l.send(c, topics[i%len(topics)], func(err error) {
			defer wg.Done()
			if err != nil && c.b.Context().Err() == nil {
				c.b.Errorf("producing: %v", err)
			}
		})
	}
	wg.Wait()
}

func (l *ledger) send(c *cluster, topic string, done func(error)) {
	id := l.id()
	c.client.Produce(c.b.Context(), &kgo.Record{Topic: topic, Value: valueOf(id)}, func(r *kgo.Record, err error) {
		if err == nil {
			l.add(id, place{r.Topic, r.Partition, r.Offset})
		}
		done(err)
	})
}

// load produces in the background.
type load struct {
	stop func()
}

// startLoad produces rate records a second until stop, or until the test ends. A record that Kafka did not
// take is a mistake of the test.
func (l *ledger) startLoad(c *cluster, rate int, topics ...string) *load {
	const step = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(c.b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		defer wg.Wait()
		var failed sync.Once // one that says why is enough
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for range int(float64(rate) * step.Seconds()) {
				wg.Add(1)
				l.send(c, topics[n%len(topics)], func(err error) {
					defer wg.Done()
					if err != nil && c.b.Context().Err() == nil {
						failed.Do(func() { c.b.Errorf("producing: %v", err) })
					}
				})
				n++
			}
		}
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(drainLimit):
			c.b.Errorf("the brokers have not answered for all records after %v", drainLimit)
		}
	})
	c.b.Cleanup(stop)
	return &load{stop: stop}
}

func TestValuesTellTheirIdentity(t *testing.T) {
	for _, id := range []string{"id-1", "id-2", "id-99999"} {
		if got, ok := identity(valueOf(id)); !ok || got != id {
			t.Errorf("identity(valueOf(%q)) = %q, %v", id, got, ok)
		}
		if _, ok := identity(append(valueOf(id), 'x')); ok {
			t.Errorf("a changed value of %q passes", id)
		}
	}
}
