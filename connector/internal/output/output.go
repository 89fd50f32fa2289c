// Package output knows the topics that this bridge writes itself.
//
// A bridge whose source and queue lie in the same Kafka may find its own output among the topics that its routes match, and would
// send it round for ever. Such topics are left out of expressions, refused where a rule names them, and stopped when they turn out
// to be output later. Records that get past this because their topic is only a copy are recognized one by one: see route.WhosePack.
// Internal topics, which expressions do not mean, are left out here too, so that one list tells all that is not consumed.
package output

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
)

// askTime bounds the question to which Kafka cluster the queue belongs: a queue that is away does not keep the bridge from starting.
const askTime = 3 * time.Second

// Cluster is a Kafka cluster of the queue, as the configuration or the Manager names it.
type Cluster struct {
	Name    string
	Brokers []string
	Opts    func() ([]kgo.Opt, error)
	Topic   func(t mapping.Target) (string, bool)
	May     *mapping.Outputs // what its template may make; nil where the Manager names the topics
}

// Config is what an Output needs.
type Config struct {
	Routes      *mapping.Table
	Brokers     []string         // of the source
	DeadLetters string           // topic in the source's cluster; "" for none
	Clusters    []Cluster        // that the configuration names
	Managed     func() []Cluster // that the Manager names now; nil without a Manager
	Reader      func() ([]confirm.Output, bool)
	InUse       *route.Table
	Log         *slog.Logger
}

// Output is what is known of the topics that this bridge writes. Stop and LeftOut may be called from anywhere; everything else belongs
// to the goroutine that builds the bridge and then watches the topics.
type Output struct {
	c       Config
	source  string                // cluster id of the source, "" where the brokers do not tell
	sides   map[string]*queueSide // by name
	targets map[mapping.Target]bool
	judged  map[string]bool // topics whose targets are in targets
	routes  int             // that were in use at the last look

	mu      sync.Mutex         // a leaf
	left    map[string]leftOut // guarded by mu; by topic
	stopped map[string]string  // guarded by mu; topics that were consumed when they turned out to be output, and why
}

type leftOut struct {
	reason string
	output bool // this bridge writes it
}

// queueSide is a Kafka cluster of the queue.
type queueSide struct {
	Cluster
	id     string // of the cluster, "" while it is not known
	same   bool   // it is the source's cluster
	failed bool   // the log has why its id is not known
}

// outputs is what a topic is compared with.
type outputs struct {
	ids   map[[16]byte]string // what the topic is
	names map[string]string   // of the source's cluster
	may   []*mapping.Outputs  // what may come out of templates in the source's cluster
}

// New makes an Output. source is the id of the source's cluster.
func New(c Config, source string) *Output {
	o := &Output{
		c: c, source: source, sides: make(map[string]*queueSide), targets: make(map[mapping.Target]bool), judged: make(map[string]bool),
		left: make(map[string]leftOut), stopped: make(map[string]string),
	}
	for _, t := range c.Routes.Targets() {
		o.targets[t] = true
	}
	for _, k := range c.Clusters {
		o.sides[k.Name] = &queueSide{Cluster: k}
	}
	return o
}

// AskClusters takes in the clusters that the Manager names, and finds out which clusters are the source's.
func (o *Output) AskClusters(ctx context.Context) {
	if o.c.Managed != nil {
		for _, k := range o.c.Managed() {
			if s := o.sides[k.Name]; s == nil || !slices.Equal(s.Brokers, k.Brokers) {
				o.sides[k.Name] = &queueSide{Cluster: k}
			}
		}
	}
	_, read := o.c.Reader()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var wg sync.WaitGroup
	for name, s := range o.sides {
		if s.same || s.id != "" {
			continue
		}
		if s.same = config.ShareBroker(o.c.Brokers, s.Brokers); s.same {
			s.id = o.source
			continue
		}
		if s.failed && read {
			continue // the reader will tell
		}
		wg.Go(func() {
			id, err := askClusterID(ctx, s.Opts)
			if err != nil && !s.failed {
				o.c.Log.Warn("cannot tell yet whether a queue cluster is the Kafka of the source; until it answers, topics that the bridge writes are known by what lies in them only",
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

// output lists the topics that this bridge writes, or has others write: the dead letters and the queue. Whatever
// else the bridge comes to write belongs here, and is then left out, refused and stopped like these.
func (o *Output) output() outputs {
	out := outputs{ids: make(map[[16]byte]string), names: make(map[string]string)}
	if o.c.DeadLetters != "" {
		out.names[o.c.DeadLetters] = "the topic of the dead letters"
	}
	if topics, ok := o.c.Reader(); ok {
		for _, q := range topics {
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
	routes := o.c.InUse.All()
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
			if topic, ok := s.Topic(t); ok {
				out.names[topic] = fmt.Sprintf("the topic of stream %s in queue cluster %s", t, name)
			}
		}
		if s.May != nil {
			out.may = append(out.may, s.May)
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

// Admitting takes in a listing of topics and returns what decides which of them are consumed.
func (o *Output) Admitting(details kadm.TopicDetails) (admits func(d kadm.TopicDetail) bool) {
	for name, d := range details {
		if o.judged[name] || d.Err != nil || !o.c.Routes.Wants(name) {
			continue
		}
		o.judged[name] = true
		if t := o.c.Routes.ForTopic(name).Fixed; t != nil {
			o.targets[*t] = true
		}
	}
	o.mu.Lock()
	maps.DeleteFunc(o.left, func(topic string, _ leftOut) bool {
		d, ok := details[topic]
		return !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition)
	})
	o.mu.Unlock()
	out := o.output()
	return func(d kadm.TopicDetail) bool { return o.admit(&out, d) }
}

// admit reports whether a topic is to be consumed. One that a rule matches and that is left out is noted, and told
// once.
func (o *Output) admit(out *outputs, d kadm.TopicDetail) bool {
	why := leftOut{reason: o.c.Routes.LeftOut(d.Topic)}
	wants := o.c.Routes.Wants(d.Topic)
	if wants {
		named := o.c.Routes.Names(d.Topic)
		if what := out.is(d.Topic, [16]byte(d.ID), named); what != "" {
			why = leftOut{reason: "this bridge writes it: it is " + what, output: true}
		} else if d.IsInternal {
			why.reason = "the brokers call it internal"
		}
	}
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
		o.c.Log.Warn("leaving out a topic that routes match and that this bridge writes", "topic", d.Topic, "reason", why.reason,
			"hint", "exclude it in routes, or give the topics of the queue another name")
	default:
		o.c.Log.Info("leaving out an internal topic", "topic", d.Topic, "reason", why.reason, "hint", "name it exactly in routes to consume it")
	}
	return wants && why.reason == ""
}

// Refuse returns an error when the bridge would start with a rule that names its own output, or with nothing
// else to consume.
func (o *Output) Refuse(consumed []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var own []string
	for _, topic := range slices.Sorted(maps.Keys(o.left)) {
		if why := o.left[topic]; why.output {
			own = append(own, topic)
			if o.c.Routes.Names(topic) {
				return fmt.Errorf("routes name topic %s, and %s; hint: take it out of routes, or give the topics of the queue another name", topic, why.reason)
			}
		}
	}
	if len(own) > 0 && len(consumed) == 0 {
		return fmt.Errorf("every topic in kafka at %v that routes match is one that this bridge writes, %s for one: %s; hint: give the topics of the queue another name",
			o.c.Brokers, own[0], o.left[own[0]].reason)
	}
	return nil
}

// Changed reports whether streams have come into use since the last look.
func (o *Output) Changed() bool { return o.c.InUse.Count() != o.routes }

// Look finds the topics that turn out to be output while they are consumed. topics are the ids of those that are consumed, by name. It
// reports whether Stop has a reason for any of them that it did not have before.
func (o *Output) Look(topics map[string][16]byte) bool {
	out := o.output()
	found := make(map[string]string)
	for name, id := range topics {
		if what := out.is(name, id, o.c.Routes.Names(name)); what != "" {
			found[name] = "this bridge writes it: it is " + what
		}
	}
	o.mu.Lock()
	maps.DeleteFunc(found, func(topic, _ string) bool { return o.stopped[topic] != "" })
	maps.Copy(o.stopped, found)
	o.mu.Unlock()
	for _, topic := range slices.Sorted(maps.Keys(found)) {
		o.c.Log.Warn("stopping a topic that is consumed and that this bridge writes", "topic", topic, "reason", found[topic])
	}
	return len(found) > 0
}

// Stop is why a partition of a topic that this bridge writes does not go on, nil for every other one.
func (o *Output) Stop(id part.ID) *reason.Reason {
	if o == nil { // nothing is known yet
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	why := o.stopped[id.Topic]
	if why == "" {
		return nil
	}
	return part.Stop(id, reason.Loop, -1, fmt.Sprintf("topic %s would be sent round for ever: %s; "+
		"hint: exclude it in routes, or give the topics of the queue another name, and restart the bridge", id.Topic, why))
}

// LeftOut lists what is not consumed although a rule matches it.
func (o *Output) LeftOut() (out []observe.LeftOutTopic) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, why := range o.left {
		out = append(out, observe.LeftOutTopic{Topic: topic, Reason: why.reason})
	}
	for topic, why := range o.stopped {
		out = append(out, observe.LeftOutTopic{Topic: topic, Reason: "stopped: " + why})
	}
	slices.SortFunc(out, func(x, y observe.LeftOutTopic) int {
		return cmp.Or(strings.Compare(x.Topic, y.Topic), strings.Compare(x.Reason, y.Reason))
	})
	return out
}
