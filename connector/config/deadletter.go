package config

import (
	"fmt"
	"slices"

	"inlong-bridge/mapping"
)

func (c *Config) deadLetterSchema() []entry {
	l := &c.DeadLetter
	return []entry{
		{key: "topic", required: true, example: "bridge-dead-letters", dst: &l.Topic, valid: func() string { return topicNameProblem(l.Topic) }, doc: "Topic of the dead letters, in the source's Kafka. It must exist, and take records as large as those of the source and 4KiB more; the bridge never creates it, and never reads it by a pattern. Compaction keeps one letter for each record."},
		{key: "limit", def: "100", dst: &l.Limit, min: 0, max: 1_000_000_000, doc: "A partition stops when more than this many of its records become dead letters in a minute, and they are also more than 1 % of its records in that minute: a fault of a stream or a proxy must not drain a topic. 0 means no limit."},
	}
}

func topicNameProblem(name string) string {
	if why := mapping.BadTopicName(name); why != "" {
		return fmt.Sprintf("%q: %s; write the name of one topic", name, why)
	}
	return ""
}

// checkDeadLetter looks at the dead-letter topic together with the rules and the queue.
func (d *decoder) checkDeadLetter(c *Config) {
	if d.dead["dead_letter"] || d.dead["dead_letter.topic"] || d.dead["dead_letter.limit"] {
		return
	}
	topic := c.DeadLetter.Topic
	if topic == "" {
		if rule := d.rules.DeadLetterRule; rule > 0 {
			d.wrong(d.rules.DeadLetterLine, "routes", fmt.Sprintf("rule %d sends records to a dead-letter topic, and there is none; add dead_letter: {topic: bridge-dead-letters}, or write another word than dead_letter in on_error and tombstone", rule))
		}
		return
	}
	if c.Routes == nil {
		return // rules that cannot be read yet may have the topic first
	}
	if names, _ := c.Routes.Topics(); slices.Contains(names, topic) && c.Routes.Names(topic) {
		d.combined(fmt.Sprintf("routes take topic %q by its name, and letters would be sent round for ever; give the dead letters a topic of their own", topic), "dead_letter.topic")
	}
	for _, i := range c.ownQueues() {
		for _, t := range c.Routes.Targets() {
			if c.Queue.Kafka[i].TopicOf(t) == topic {
				d.combined(fmt.Sprintf("%q is the topic of stream %s in the queue, and the queue is the same Kafka (queue.kafka[%d]); give the dead letters a topic of their own", topic, t, i), "dead_letter.topic")
				return
			}
		}
	}
}

func (c *Config) deadLetterNotes() (notes []string) {
	if c.Routes == nil || c.DeadLetter.Topic == "" {
		return nil
	}
	if !c.Routes.DeadLetters() {
		notes = append(notes, "dead_letter is given, and no rule says on_error: dead_letter, so nothing goes to topic "+c.DeadLetter.Topic)
	}
	if c.Routes.Wants(c.DeadLetter.Topic) {
		notes = append(notes, fmt.Sprintf("routes match the dead-letter topic %s, which the bridge does not consume", c.DeadLetter.Topic))
	}
	return notes
}
