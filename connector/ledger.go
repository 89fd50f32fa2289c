package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/resume"
)

// ErrNoBooks is returned by Ledger when the group has no commits: exit code 3.
var ErrNoBooks = errors.New("no books")

// Ledger returns the books of the group as they stand in its commits: those of a bridge that runs, that has ended or that has
// crashed, and of all its replicas. It changes nothing.
//
// A partition is closed when every offset from where its books begin up to the committed one is accounted for. What was
// committed since the last question, and what lies behind the committed offset, is not in it.
func Ledger(ctx context.Context, cfg *config.Config, deps Deps) (Report, error) {
	src, done, err := asking(cfg, deps, cfg.Kafka.Group)
	if err != nil {
		return Report{}, err
	}
	defer done()
	rows, _, err := ledgerRows(ctx, cfg, src)
	if err != nil {
		return Report{}, err
	}
	return newReport(cfg.Delivery.Confirm, rows), nil
}

// ledgerRows asks for the group's commits and returns a row for each partition, with the answers that they come from.
func ledgerRows(ctx context.Context, cfg *config.Config, src *source.Source) ([]PartitionReport, *source.Survey, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	k := &cfg.Kafka
	parts, err := committedTopics(ctx, src)
	if err != nil {
		return nil, nil, kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for the commits of group %s", k.Brokers, k.Group))
	}
	if len(parts) == 0 {
		return nil, nil, fmt.Errorf("%w: group %s has no commit in kafka at %v; hint: is kafka.group the group of the bridge? Brokers delete the commits "+
			"of a group that had no member for offsets.retention.minutes", ErrNoBooks, k.Group, k.Brokers)
	}
	s, err := src.Survey(ctx, parts)
	if err != nil {
		return nil, nil, kafkaclient.Explain(err, "asking for the offsets of topics")
	}
	var ids []part.ID
	for topic, nums := range parts {
		for _, num := range nums {
			ids = append(ids, part.ID{Topic: topic, Num: num})
		}
	}
	slices.SortFunc(ids, part.ID.Compare)
	rows := make([]PartitionReport, len(ids))
	for i, id := range ids {
		rows[i] = ledgerRow(id, s)
	}
	return rows, s, nil
}

// committedTopics returns the partitions of each topic of which the group has a commit: those that exist, and those that
// were committed.
func committedTopics(ctx context.Context, src *source.Source) (map[string][]int32, error) {
	commits, err := src.FetchCommits(ctx)
	if err != nil || len(commits) == 0 {
		return nil, err
	}
	parts := make(map[string][]int32)
	for id := range commits {
		parts[id.Topic] = append(parts[id.Topic], id.Num)
	}
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	described, err := src.Identify(ctx, names)
	if err != nil {
		return nil, err
	}
	for name, t := range described.Topics {
		all := append(parts[name], t.Partitions...)
		slices.Sort(all)
		parts[name] = slices.Compact(all)
	}
	return parts, nil
}

// ledgerRow says what the commit of a partition accounts for, and whether it can be believed.
func ledgerRow(id part.ID, s *source.Survey) PartitionReport {
	t, log := s.Topics[id.Topic].ID, s.Logs[id]
	c, had := s.Commits[id]
	row := PartitionReport{Topic: id.Topic, Partition: id.Num, End: log.End, Committed: -1}
	if t != (resume.TopicID{}) {
		row.TopicID = t.String()
	}
	if !had {
		row.Start, row.Reason = log.Start, "the group has no commit of it"
		return row
	}
	row.Committed = c.Offset
	books := resume.Books{From: c.Offset, Unproven: max(0, c.Offset-log.Start)}
	told := c.Ours && c.Line.Books.Close(c.Offset)
	switch trust := c.Judge(s.Cluster, t); {
	case log.Err != nil: // only the line tells which topic it was
		row.End = c.Offset
		row.Reason = fmt.Sprintf("it is not in Kafka any more, or may not be read: %v", log.Err)
		if told {
			books, row.TopicID = c.Line.Books, c.Line.Topic.String()
		}
	case trust == resume.Refused:
		row.Reason = source.DeletedTopic(id, &source.RefusedOffset{Offset: c.Offset, Topic: c.Line.Topic}, t).Text()
		books = resume.Books{From: log.Start}
	case trust == resume.Known && told:
		books, row.Closed = c.Line.Books, true
	case trust == resume.Known:
		row.Reason = fmt.Sprintf("its line does not add up to its offset %d: the books begin at %d and account for %d offsets", c.Offset, c.Line.Books.From, c.Line.Books.Sum())
	default: // books begin there
		row.Closed = true
	}
	row.enter(books)
	if stop := source.BeginAt(id, c.Offset, log.Start, log.End, false).Stop; row.Closed && stop != nil {
		row.Closed, row.Reason = false, stop.Text()
	}
	return row
}
