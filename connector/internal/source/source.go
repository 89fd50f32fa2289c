// Package source asks the brokers of the source cluster: for the ids of topics, the group's commits, where logs begin and end, and
// where leader epochs end. From the answers it says where a partition begins.
package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
)

// Config is what a source needs.
type Config struct {
	Client        *kgo.Client // belongs to no group
	Group         string
	Start         Start
	ReadCommitted bool
	FoundRunning  func(topic string) bool // reports whether a topic appeared while the bridge ran
}

// Source asks the brokers of the source cluster.
type Source struct {
	client        *kgo.Client
	admin         *kadm.Client
	group         string
	start         Start
	readCommitted bool
	foundRunning  func(topic string) bool
}

// New makes a source.
func New(c Config) *Source {
	return &Source{client: c.Client, admin: kadm.NewClient(c.Client), group: c.Group, start: c.Start, readCommitted: c.ReadCommitted, foundRunning: c.FoundRunning}
}

// ErrNoAnswer says that an answer leaves out what was asked for.
var ErrNoAnswer = errors.New("the broker's answer leaves the partition out")

// IsAbsent reports whether an error says that this user cannot see a topic or partition: it does not exist, or a right is missing.
func IsAbsent(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.TopicAuthorizationFailed)
}

// Metadata is a broker's fresh answer about topics.
type Metadata struct {
	cluster string
	Brokers []int32 // all brokers that it knows, sorted
	Topics  map[string]TopicMetadata
}

// TopicMetadata is the answer about one topic. Err says that the broker does not find the topic (UNKNOWN_TOPIC_OR_PARTITION), or that
// the right to describe it is missing (TOPIC_AUTHORIZATION_FAILED).
type TopicMetadata struct {
	ID         resume.TopicID
	Partitions []int32
	Err        error
}

// Identify asks any broker for the ids of topics; see identify.
func (src *Source) Identify(ctx context.Context, names []string) (*Metadata, error) {
	return identify(ctx, src.client, names)
}

// IdentifyAt asks one broker for the ids of topics and waits at most IdentifyTime for it.
func (src *Source) IdentifyAt(ctx context.Context, broker int32, names []string) (*Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, IdentifyTime)
	defer cancel()
	return identify(ctx, src.client.Broker(int(broker)), names)
}

// IdentifyTime bounds the wait for one broker: another one is asked next.
const IdentifyTime = 3 * time.Second

// identify asks a client (which picks any broker) or one broker for the ids of topics. It bypasses the client's cache, which may be
// a second old. A topic that is not found, or may not be described, has its error in the answer; any other error of a topic passes,
// so it fails the whole question.
func identify(ctx context.Context, whom kmsg.Requestor, names []string) (*Metadata, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, whom)
	if err != nil {
		return nil, err
	}
	out := &Metadata{Topics: make(map[string]TopicMetadata, len(resp.Topics))}
	for i := range resp.Brokers {
		out.Brokers = append(out.Brokers, resp.Brokers[i].NodeID)
	}
	slices.Sort(out.Brokers)
	if resp.ClusterID != nil {
		out.cluster = *resp.ClusterID
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil {
			continue
		}
		found := TopicMetadata{ID: t.TopicID, Err: kerr.ErrorForCode(t.ErrorCode)}
		for j := range t.Partitions {
			found.Partitions = append(found.Partitions, t.Partitions[j].Partition)
		}
		slices.Sort(found.Partitions)
		out.Topics[*t.Topic] = found
	}
	for _, name := range names {
		switch t, ok := out.Topics[name]; {
		case !ok:
			return nil, fmt.Errorf("asking for the id of topic %s: %w", name, ErrNoAnswer)
		case t.Err != nil && !IsAbsent(t.Err):
			return nil, fmt.Errorf("asking for the id of topic %s: %w", name, t.Err)
		}
	}
	return out, nil
}

// ListTopics lists topics by name, all of them when names is nil. A topic that may not be described has that as its error; kadm alone
// would then give no answer about the other topics.
func (src *Source) ListTopics(ctx context.Context, names []string) (kadm.TopicDetails, error) {
	details, err := src.admin.ListTopics(ctx, names...)
	if _, denied := errors.AsType[*kadm.AuthError](err); !denied || len(names) == 0 {
		return details, err
	}
	m, e := src.Identify(ctx, names)
	if e != nil {
		return nil, e
	}
	refused := make(kadm.TopicDetails)
	readable := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		if !errors.Is(m.Topics[name].Err, kerr.TopicAuthorizationFailed) {
			return false
		}
		refused[name] = kadm.TopicDetail{Topic: name, Err: m.Topics[name].Err}
		return true
	})
	switch {
	case len(refused) == 0: // the right is back since the first question
		return nil, err
	case len(readable) == 0:
		return refused, nil
	}
	if details, err = src.admin.ListTopics(ctx, readable...); err == nil {
		maps.Copy(details, refused)
	}
	return details, err
}

// FetchCommits returns the group's committed offsets of all topics.
func (src *Source) FetchCommits(ctx context.Context) (map[part.ID]resume.Commit, error) {
	commits := make(map[part.ID]resume.Commit)
	os, err := src.admin.FetchOffsets(kadm.RequireStable(ctx), src.group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return commits, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", src.group, err)
	}
	for _, parts := range os {
		for _, o := range parts {
			if o.Err != nil {
				return nil, fmt.Errorf("reading the offset of %s/%d of group %s: %w", o.Topic, o.Partition, src.group, o.Err)
			}
			if o.At < 0 {
				continue
			}
			line, ours := resume.Parse(o.Metadata)
			commits[part.ID{Topic: o.Topic, Num: o.Partition}] = resume.Commit{Offset: o.At, Epoch: o.LeaderEpoch, Line: line, Ours: ours}
		}
	}
	return commits, nil
}

// within looks up the start and end of a partition's log.
func within(starts, ends kadm.ListedOffsets, id part.ID) (start, end int64, err error) {
	s, okStart := starts.Lookup(id.Topic, id.Num)
	e, okEnd := ends.Lookup(id.Topic, id.Num)
	switch {
	case okStart && s.Err != nil:
		return 0, 0, s.Err
	case okEnd && e.Err != nil:
		return 0, 0, e.Err
	case !okStart || !okEnd:
		return 0, 0, kerr.UnknownTopicOrPartition
	}
	return s.Offset, max(e.Offset, s.Offset), nil
}

// Extent asks where the log of a partition begins and ends, and for the id of its topic.
func (src *Source) Extent(ctx context.Context, id part.ID) (x part.Extent, err error) {
	found, err := src.Identify(ctx, []string{id.Topic})
	if err != nil {
		return x, err
	}
	t := found.Topics[id.Topic]
	if t.Err != nil {
		return x, t.Err
	}
	starts, err := src.admin.ListStartOffsets(ctx, id.Topic)
	if err != nil {
		return x, err
	}
	ends, err := src.admin.ListEndOffsets(ctx, id.Topic)
	if err != nil {
		return x, err
	}
	x.Topic = t.ID
	x.Start, x.End, err = within(starts, ends, id)
	return x, err
}
