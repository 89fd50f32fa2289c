package config

import (
	"fmt"
	"slices"
	"strings"

	"inlong-bridge/mapping"
	"inlong-bridge/mapping/queuetopic"
)

// TopicOf is the topic of a stream in a queue cluster.
func (k *QueueCluster) TopicOf(t mapping.Target) string {
	return queuetopic.Template(k.Topic).Fill(t.Group, t.Stream)
}

// ShareBroker reports whether two lists of brokers have an address in common, which makes them one cluster.
func ShareBroker(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool {
		return slices.ContainsFunc(b, func(y string) bool { return strings.EqualFold(x, y) })
	})
}

// ownQueues returns the indexes of the queue clusters that are the source's Kafka, as far as the addresses tell.
func (c *Config) ownQueues() (own []int) {
	for i := range c.Queue.Kafka {
		if ShareBroker(c.Kafka.Brokers, c.Queue.Kafka[i].Brokers) {
			own = append(own, i)
		}
	}
	return own
}

// OwnOutput says why the bridge would read its own output if it consumed topic. It returns "" if the configuration does
// not show that it would.
func (c *Config) OwnOutput(topic string) (why string) {
	if topic != "" && topic == c.DeadLetter.Topic {
		return "it is the topic of the dead letters (dead_letter.topic)"
	}
	targets := c.Routes.Targets()
	if t := c.Routes.ForTopic(topic).Fixed; t != nil {
		targets = append(targets, *t)
	}
	for _, i := range c.ownQueues() {
		k := &c.Queue.Kafka[i]
		for _, t := range targets {
			if k.TopicOf(t) == topic {
				return queueTopicOf(t, i)
			}
		}
		if !c.Routes.Names(topic) && c.Routes.Outputs(k.Topic).May(topic, false) {
			return fmt.Sprintf("the routes and the queue's topic %q can make this name, and the queue is the same Kafka (queue.kafka[%d])", k.Topic, i)
		}
	}
	return ""
}

func queueTopicOf(t mapping.Target, queue int) string {
	return fmt.Sprintf("it is the topic of stream %s in the queue, and the queue is the same Kafka (queue.kafka[%d])", t, queue)
}

// checkOwnOutput looks for rules that name a topic which the bridge writes.
func (d *decoder) checkOwnOutput(c *Config) {
	if c.Routes == nil || d.dead["kafka.brokers"] || d.dead["queue.kafka"] {
		return
	}
	own := c.ownQueues()
	if len(own) == 0 {
		return
	}
	names, _ := c.Routes.Topics()
	reported := make(map[string]bool)
	for _, t := range c.Routes.Targets() {
		for _, i := range own {
			name := c.Queue.Kafka[i].TopicOf(t)
			if reported[name] || !slices.Contains(names, name) || !c.Routes.Names(name) {
				continue
			}
			reported[name] = true
			steps := c.Routes.Explain(name, nil, nil).Steps
			rule := steps[len(steps)-1]
			d.wrong(rule.Line, "routes", fmt.Sprintf("rule %d names topic %q, which the bridge writes: %s; remove it from the rule, or name the topics of the queue differently",
				rule.Rule, name, queueTopicOf(t, i)))
		}
	}
}

// overlaps returns notes about rules that may match topics that the bridge writes.
func (c *Config) overlaps() (notes []string) {
	for _, i := range c.ownQueues() {
		k := &c.Queue.Kafka[i]
		o, ok := c.Routes.Outputs(k.Topic).Overlap()
		if !ok {
			continue
		}
		notes = append(notes, fmt.Sprintf("routes rule %d (line %d) matches topics that the bridge writes, such as %s: queue.kafka[%d] is the Kafka of the source, and its topic is %q. "+
			"The bridge ignores or stops such topics once they exist; exclude them, or give the topics of the queue names that no rule matches", o.Rule, o.Line, o.Example, i, k.Topic))
	}
	return notes
}
