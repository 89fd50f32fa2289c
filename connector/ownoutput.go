package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// A bridge whose source and queue lie in the same Kafka may find its own output among the topics that its routes
// match, and would send it round for ever. Such topics are left out of expressions, refused where a rule names
// them, and stopped when they turn out to be output later. Records that get past this because their topic is only a copy
// are found by themselves: see ownpacks.go. Internal topics, which expressions do not mean, are left out here too,
// so that one list tells all that is not consumed.

// askQueueID bounds the question to which Kafka cluster the queue belongs: a queue that is away does not keep the
// bridge from starting.
const askQueueID = 3 * time.Second

// ownOutput is what is known of the topics that this bridge writes. Only left and stopped are read outside of the
// goroutine that builds the bridge and then watches the topics.
type ownOutput struct {
	source  string                // cluster id of the source, "" where the brokers do not tell
	sides   map[string]*queueSide // by name: the Kafka clusters of the queue that the configuration or the Manager names
	targets map[mapping.Target]bool
	judged  map[string]bool // topics whose targets are in targets
	routes  int             // that were in use at the last look

	mu      sync.Mutex         // a leaf; taken after Bridge.mu
	left    map[string]leftOut // guarded by mu; by topic
	stopped map[string]string  // guarded by mu; topics that were consumed when they turned out to be output, and why
}

type leftOut struct {
	reason string
	output bool // this bridge writes it
}

// openStream is how routes get their streams. A stream that comes into use makes its topic one that is written.
func (b *Bridge) openStream(group, stream string) (*sdk.Stream, error) {
	b.lookSoon()
	return b.sender.Stream(group, stream)
}

// queueSide is a Kafka cluster of the queue.
type queueSide struct {
	brokers []string
	opts    func() ([]kgo.Opt, error)
	topic   func(t mapping.Target) (string, bool)
	may     *mapping.Outputs // nil where the Manager names the topics
	id      string           // of the cluster, "" while it is not known
	same    bool             // it is the source's cluster
	failed  bool             // the log has why its id is not known
}

// outputs is what a topic is compared with.
type outputs struct {
	ids   map[[16]byte]string // what the topic is
	names map[string]string   // of the source's cluster
	may   []*mapping.Outputs  // what may come out of templates in the source's cluster
}

// findOutput asks the source for its cluster id, which the packs' origin needs, and the queue clusters for theirs.
func (b *Bridge) findOutput(ctx context.Context) error {
	var m kadm.Metadata
	err := b.awaitStart(ctx, "kafka", outlookOf, func(ctx context.Context) (err error) {
		m, err = b.admin.BrokerMetadata(ctx)
		return kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for its cluster id", b.cfg.Kafka.Brokers))
	})
	if err != nil {
		return err
	}
	o := &b.own
	o.source, o.sides, o.targets, o.judged = m.Cluster, make(map[string]*queueSide), make(map[mapping.Target]bool), make(map[string]bool)
	o.left, o.stopped = make(map[string]leftOut), make(map[string]string)
	b.origin = route.OriginOf(m.Cluster, b.cfg.Kafka.Group)
	if err := b.sender.SetOrigin(b.origin); err != nil {
		return err
	}
	for _, t := range b.cfg.Routes.Targets() {
		o.targets[t] = true
	}
	for i := range b.cfg.Queue.Kafka {
		k := &b.cfg.Queue.Kafka[i]
		o.sides[k.Name] = &queueSide{
			brokers: k.Brokers, may: b.cfg.Routes.Outputs(k.Topic),
			opts:  func() ([]kgo.Opt, error) { return b.queue().KafkaOpts(k.Brokers, k.TLS, k.SASL) },
			topic: func(t mapping.Target) (string, bool) { return k.TopicOf(t), true },
		}
	}
	b.askSides(ctx)
	return nil
}

// askSides takes in the clusters that the Manager names, and finds out which clusters are the source's.
func (b *Bridge) askSides(ctx context.Context) {
	o := &b.own
	if b.source != nil {
		for _, p := range b.source.KafkaPlaces() {
			if s := o.sides[p.Name]; s == nil || !slices.Equal(s.brokers, p.Brokers) {
				o.sides[p.Name] = &queueSide{
					brokers: p.Brokers, topic: func(t mapping.Target) (string, bool) { return b.source.TopicNow(t.Group, t.Stream) },
					opts: func() ([]kgo.Opt, error) { return b.queue().KafkaOpts(p.Brokers, b.cfg.Queue.TLS, b.cfg.Queue.SASL) },
				}
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askQueueID)
	defer cancel()
	var wg sync.WaitGroup
	for name, s := range o.sides {
		if s.same || s.id != "" {
			continue
		}
		if s.same = config.ShareBroker(b.cfg.Kafka.Brokers, s.brokers); s.same {
			s.id = o.source
			continue
		}
		if s.failed && b.reader != nil {
			continue // the reader will tell
		}
		wg.Go(func() {
			id, err := askClusterID(ctx, s.opts)
			if err != nil && !s.failed {
				b.log.Warn("cannot tell yet whether a queue cluster is the Kafka of the source; until it answers, topics that the bridge writes are known by what lies in them only",
					"cluster", name, "err", err)
			}
			s.failed = err != nil
			s.tell(id, o.source)
		})
	}
	wg.Wait()
}

func (s *queueSide) tell(id, source string) {
	s.id, s.same = id, s.same || id != "" && id == source
}

func askClusterID(ctx context.Context, opts func() ([]kgo.Opt, error)) (string, error) {
	o, err := opts()
	if err != nil {
		return "", err
	}
	cl, err := kgo.NewClient(o...)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	m, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	return m.Cluster, err
}

// output lists the topics that this bridge writes, or has others write. The queue is the first of them; whatever
// else the bridge comes to write belongs here, and is then left out, refused and stopped like the queue.
func (b *Bridge) output() outputs {
	o := &b.own
	out := outputs{ids: make(map[[16]byte]string), names: make(map[string]string)}
	if b.reader != nil {
		for _, q := range b.reader.Outputs() {
			what := fmt.Sprintf("a topic of queue cluster %s that this bridge's packs go to", q.Cluster)
			if q.ID != ([16]byte{}) {
				out.ids[q.ID] = what
			}
			if q.ClusterID != "" && q.ClusterID == o.source {
				out.names[q.Topic] = what
			}
			if s := o.sides[q.Cluster]; s != nil && q.ClusterID != "" {
				s.tell(q.ClusterID, o.source)
			}
		}
	}
	routes := b.routes.All()
	o.routes = len(routes)
	for _, r := range routes {
		o.targets[r.Target] = true
	}
	for _, name := range slices.Sorted(maps.Keys(o.sides)) {
		s := o.sides[name]
		if !s.same {
			continue
		}
		for t := range o.targets {
			if topic, ok := s.topic(t); ok {
				out.names[topic] = fmt.Sprintf("the topic of stream %s in queue cluster %s", t, name)
			}
		}
		if s.may != nil {
			out.may = append(out.may, s.may)
		}
	}
	return out
}

// is says what a topic of the source is, "" when this bridge does not write it. named is set for a topic that a
// rule names: it is not judged by what a template may produce.
func (out *outputs) is(topic string, id [16]byte, named bool) string {
	if what := out.ids[id]; what != "" && id != ([16]byte{}) {
		return what
	}
	if what := out.names[topic]; what != "" {
		return what
	}
	for _, may := range out.may {
		// Nearly any name may come out of a key or a header. Where topics have ids, the topic of such a stream is
		// known as soon as the stream is.
		if !named && may.May(topic, id == ([16]byte{})) {
			return "a name that the queue's template and the routes make"
		}
	}
	return ""
}

// admitting takes in a listing of topics and returns what decides which of them are consumed.
func (b *Bridge) admitting(details kadm.TopicDetails) (admits func(d kadm.TopicDetail) bool) {
	o := &b.own
	for name, d := range details {
		if o.judged[name] || d.Err != nil || !b.cfg.Routes.Wants(name) {
			continue
		}
		o.judged[name] = true
		if t := b.cfg.Routes.ForTopic(name).Fixed; t != nil {
			o.targets[*t] = true
		}
	}
	o.mu.Lock()
	maps.DeleteFunc(o.left, func(topic string, _ leftOut) bool {
		d, ok := details[topic]
		return !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition)
	})
	o.mu.Unlock()
	out := b.output()
	return func(d kadm.TopicDetail) bool { return b.admit(&out, d) }
}

// admit reports whether a topic is to be consumed. One that a rule matches and that is left out is noted, and told
// once.
func (b *Bridge) admit(out *outputs, d kadm.TopicDetail) bool {
	why := leftOut{reason: b.cfg.Routes.LeftOut(d.Topic)}
	wants := b.cfg.Routes.Wants(d.Topic)
	if wants {
		named := b.cfg.Routes.Names(d.Topic)
		if what := out.is(d.Topic, [16]byte(d.ID), named); what != "" {
			why = leftOut{reason: "this bridge writes it: it is " + what, output: true}
		} else if d.IsInternal {
			why.reason = "the brokers call it internal"
		}
	}
	o := &b.own
	o.mu.Lock()
	_, known := o.left[d.Topic]
	if why.reason != "" {
		o.left[d.Topic] = why
	} else {
		delete(o.left, d.Topic)
	}
	o.mu.Unlock()
	switch {
	case why.reason == "" || known:
	case why.output:
		b.log.Warn("leaving out a topic that routes match and that this bridge writes", "topic", d.Topic, "reason", why.reason,
			"hint", "exclude it in routes, or give the topics of the queue another name")
	default:
		b.log.Info("leaving out an internal topic", "topic", d.Topic, "reason", why.reason, "hint", "name it exactly in routes to consume it")
	}
	return wants && why.reason == ""
}

// refuseOutput returns an error when the bridge would start with a rule that names its own output, or with nothing
// else to consume.
func (b *Bridge) refuseOutput() error {
	o, consumed := &b.own, b.consumed()
	o.mu.Lock()
	defer o.mu.Unlock()
	var own []string
	for _, topic := range slices.Sorted(maps.Keys(o.left)) {
		if why := o.left[topic]; why.output {
			own = append(own, topic)
			if b.cfg.Routes.Names(topic) {
				return fmt.Errorf("routes name topic %s, and %s; hint: take it out of routes, or give the topics of the queue another name", topic, why.reason)
			}
		}
	}
	if len(own) > 0 && len(consumed) == 0 {
		return fmt.Errorf("every topic in kafka at %v that routes match is one that this bridge writes, %s for one: %s; hint: give the topics of the queue another name",
			b.cfg.Kafka.Brokers, own[0], o.left[own[0]].reason)
	}
	return nil
}

// lookAtOutput looks at the topics that are consumed once streams have come into use since the last look.
func (b *Bridge) lookAtOutput() {
	if n := b.routes.Count(); n != b.own.routes {
		b.stopOutput()
	}
}

// stopOutput stops the topics that turn out to be output while they are consumed.
func (b *Bridge) stopOutput() {
	out, o := b.output(), &b.own
	b.mu.RLock()
	found := make(map[string]string)
	for name, t := range b.topics {
		if what := out.is(name, t.ID, b.cfg.Routes.Names(name)); what != "" {
			found[name] = "this bridge writes it: it is " + what
		}
	}
	b.mu.RUnlock()
	o.mu.Lock()
	maps.DeleteFunc(found, func(topic, _ string) bool { return o.stopped[topic] != "" })
	maps.Copy(o.stopped, found)
	o.mu.Unlock()
	for _, topic := range slices.Sorted(maps.Keys(found)) {
		b.log.Warn("stopping a topic that is consumed and that this bridge writes", "topic", topic, "reason", found[topic])
	}
	if len(found) == 0 {
		return
	}
	for _, p := range b.assigned() {
		if r := b.outputStop(p.ID()); r != nil {
			p.Stop(r)
		}
	}
}

// outputStop is why a partition of a topic that this bridge writes does not go on, nil for every other one.
func (b *Bridge) outputStop(id part.ID) *reason.Reason {
	b.own.mu.Lock()
	defer b.own.mu.Unlock()
	why := b.own.stopped[id.Topic]
	if why == "" {
		return nil
	}
	return part.Stop(id, reason.Loop, -1, fmt.Sprintf("topic %s would be sent round for ever: %s; "+
		"hint: exclude it in routes, or give the topics of the queue another name, and restart the bridge", id.Topic, why))
}

// leftOutTopics lists what is not consumed although a rule matches it.
func (b *Bridge) leftOutTopics() (out []LeftOutTopic) {
	b.own.mu.Lock()
	defer b.own.mu.Unlock()
	for topic, why := range b.own.left {
		out = append(out, LeftOutTopic{Topic: topic, Reason: why.reason})
	}
	for topic, why := range b.own.stopped {
		out = append(out, LeftOutTopic{Topic: topic, Reason: "stopped: " + why})
	}
	slices.SortFunc(out, func(x, y LeftOutTopic) int {
		return cmp.Or(strings.Compare(x.Topic, y.Topic), strings.Compare(x.Reason, y.Reason))
	})
	return out
}
