package connector

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/startfile"
)

// askTime bounds all questions of Offsets or Ledger.
const askTime = 30 * time.Second

// asking makes a source that asks about a group beside its bridge. done ends it.
func asking(cfg *config.Config, deps Deps, group string) (src *source.Source, done func(), err error) {
	k := &cfg.Kafka
	opts, err := kafkaclient.Options(k.Brokers, k.ClientID, k.TLS, k.SASL, deps.Log)
	if err != nil {
		return nil, nil, err
	}
	client, err := kgo.NewClient(append(opts, deps.KafkaOpts...)...)
	if err != nil {
		return nil, nil, fmt.Errorf("creating kafka client: %w", err)
	}
	src = source.New(source.Config{
		Client: client, Group: group, Start: source.Start{Committed: true}, ReadCommitted: k.Isolation == "read_committed", FoundRunning: func(string) bool { return false },
	})
	return src, client.Close, nil
}

// Offsets writes where a group stands in the topics that the routes consume, as lines for kafka.start_file. A partition
// without a usable offset gets a comment that says why, and no line.
func Offsets(ctx context.Context, cfg *config.Config, deps Deps, group string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	src, done, err := asking(cfg, deps, group)
	if err != nil {
		return err
	}
	defer done()
	k := &cfg.Kafka
	names, all := cfg.Routes.Topics()
	if all {
		names = nil
	}
	details, err := src.ListTopics(ctx, names)
	if err != nil {
		return kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for its topics", k.Brokers))
	}
	parts := make(map[string][]int32)
	for name, d := range details {
		if d.Err == nil && cfg.Routes.Wants(name) && cfg.OwnOutput(name) == "" {
			parts[name] = d.Partitions.Numbers()
		}
	}
	if len(parts) == 0 {
		return fmt.Errorf("no topic in kafka at %v matches routes; hint: inlong-bridge explain TOPIC shows why a topic does not match", k.Brokers)
	}
	s, err := src.Survey(ctx, parts)
	if err != nil {
		return kafkaclient.Explain(err, "reading the offsets of group "+group)
	}
	if len(s.Commits) == 0 {
		return fmt.Errorf("group %s has no committed offset in kafka at %v; hint: name another group with --group", group, k.Brokers)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# Committed offsets of group %s in cluster %s, %s.\n# topic:topic-id/partition@offset\n", group, s.Cluster, time.Now().UTC().Format(time.RFC3339))
	for _, id := range slices.SortedFunc(maps.Keys(s.Logs), part.ID.Compare) {
		out.WriteString(offsetLine(s, id))
	}
	_, err = io.WriteString(w, out.String())
	return err
}

// offsetLine is the line of one partition, or a comment that says why it has none.
func offsetLine(s *source.Survey, id part.ID) string {
	bg := s.Begin(id, false)
	line := startfile.Entry{Topic: id.Topic, ID: s.Topics[id.Topic].ID, Partition: id.Num, Offset: bg.Offset}.String()
	switch {
	case bg.Absent != nil:
		return fmt.Sprintf("# %s: not found: %v\n", id, bg.Absent)
	case bg.Refused != nil:
		return fmt.Sprintf("# %s: the committed offset %d is of the topic with id %s, which was deleted; the new one begins at %d\n%s\n", id, bg.Refused.Offset, bg.Refused.Topic, bg.Offset, line)
	case bg.Stop != nil && bg.Stop.Code == reason.NoStart:
		return fmt.Sprintf("# %s: no committed offset; its log holds offsets %d to %d\n", id, s.Logs[id].Start, s.Logs[id].End)
	case bg.Stop != nil:
		return fmt.Sprintf("# %s: %s\n%s\n", id, bg.Stop.Sentence, line)
	case bg.CommitFirst:
		return fmt.Sprintf("# %s: no committed offset; it begins %s\n%s\n", id, bg.Why, line)
	}
	return line + "\n"
}
