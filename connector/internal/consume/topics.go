package consume

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/resume"
)

// checkTopics asks for the cluster's topics: new ones that a rule wants are consumed, ones that were
// deleted or created again stop their partitions.
func (w *watcher) checkTopics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	names, all := w.deps.Sources.Topics()
	known := w.table.Consumed()
	var ask []string // nil asks for all
	if !all {
		ask = append(ask, names...)
		for _, t := range known {
			if !slices.Contains(ask, t) {
				ask = append(ask, t)
			}
		}
		if len(ask) == 0 {
			return
		}
	}
	details, err := w.deps.Kafka.ListTopics(ctx, ask)
	if err != nil {
		if ctx.Err() == nil && w.sourceFault("topics", kafkaclient.Explain(err, "listing topics")) {
			w.log.Warn("listing topics fails, trying again", "err", kafkaclient.Explain(err, "listing topics"))
		}
		return
	}
	for _, f := range w.faults.End() {
		w.deps.Board.Clear(sourceKey(f.Class))
		w.log.Info("kafka answers again", "what", f.Class, "after", f.Lasted, "times", f.Times)
	}
	w.deps.Own.AskClusters(ctx)
	added := w.Wanted(details, known)
	w.stopOutput()
	if len(added) > 0 && !w.member.stopping() {
		w.log.Info("consuming more topics", "topics", added)
		w.Group.AddConsumeTopics(added...)
	}
	for _, p := range w.table.Assigned() {
		d, ok := details[p.ID().Topic]
		switch {
		case !ok && all:
			w.miss(p, byList, kerr.UnknownTopicOrPartition)
		case ok && source.IsAbsent(d.Err):
			w.miss(p, byList, d.Err)
		case ok && d.Err == nil && p.TopicID() != ([16]byte{}) && [16]byte(d.ID) != ([16]byte{}) && [16]byte(d.ID) != p.TopicID():
			p.StopRecreated()
		}
	}
}

// Wanted returns the topics of details that a rule wants and that are not among known, and notes them with
// their ids; known is nil when the bridge starts.
func (c *Consumer) Wanted(details kadm.TopicDetails, known []string) (added []string) {
	c.NotePatterns(details)
	admits := c.deps.Own.Admitting(details)
	for _, d := range details.Sorted() {
		if d.Err != nil || slices.Contains(known, d.Topic) || !admits(d) {
			continue
		}
		c.table.note(d.Topic, [16]byte(d.ID), known != nil, c.deps.Sources.ForTopic(d.Topic))
		added = append(added, d.Topic)
	}
	return added
}

// NotePatterns remembers the patterns of routes that match none of the cluster's topics, and warns when that list
// changes. Such a pattern is allowed, because its topics may still be created, but most often somebody wrote a file
// pattern: logs-* where logs-.* was meant. Routes with patterns list all topics of the cluster, so details is complete.
func (c *Consumer) NotePatterns(details kadm.TopicDetails) {
	unmatched := c.deps.Sources.Unmatched(details.Names())
	changed := c.table.setUnmatched(unmatched)
	switch {
	case changed && len(unmatched) > 0:
		c.log.Warn("patterns of routes match no topic", "patterns", unmatched,
			"hint", "a pattern is a regular expression that matches whole names: write logs-.*, not logs-*; topics that are created later are picked up")
	case changed:
		c.log.Info("every pattern of routes matches a topic now")
	}
}

// stopOutput stops the topics that turn out to be written by this bridge while they are consumed.
func (w *watcher) stopOutput() {
	if !w.deps.Own.Look(w.table.topicIDs()) {
		return
	}
	for _, p := range w.table.Assigned() {
		if r := w.deps.Own.Stop(p.ID()); r != nil {
			p.Stop(r)
		}
	}
}

// joinTopicsAgain leaves topics that are to be joined again, and joins them under the ids that they have now.
func (w *watcher) joinTopicsAgain(ctx context.Context) {
	if w.member.stopping() {
		return
	}
	leave, join := w.table.dueAgain(time.Now(), w.Sessions(), w.log)
	if len(leave) > 0 {
		w.Group.PurgeTopicsFromConsuming(leave...)
		w.deps.Direct.PurgeTopicsFromConsuming(slices.Clone(leave)...)
	}
	if len(join) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := w.deps.Kafka.Identify(ctx, join)
	if err != nil {
		return // asked again at the next look
	}
	join = slices.DeleteFunc(join, func(name string) bool { return found.Topics[name].Err != nil }) // not there yet
	if len(join) > 0 {
		w.table.joined(join, func(name string) resume.TopicID { return found.Topics[name].ID })
		w.Group.AddConsumeTopics(join...)
	}
}
