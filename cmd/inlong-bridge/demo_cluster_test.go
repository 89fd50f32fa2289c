package main

import (
	"testing"
	"time"

	"inlong-bridge/mapping"
)

func TestDemoConfigurationIsRightInEveryMode(t *testing.T) {
	c, err := startDemoCluster(t.Context(), &demoFlags{seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, confirm := range []string{"ack", "settle", "queue"} {
		for _, settle := range []time.Duration{time.Second, 10 * time.Second, 10 * time.Minute} {
			cfg, err := c.config(&demoFlags{confirm: confirm, settle: settle})
			if err != nil {
				t.Fatalf("confirm %s, settle %v: %v", confirm, settle, err)
			}
			if cfg.Delivery.Confirm != confirm || cfg.HasQueue() != (confirm == "queue") {
				t.Errorf("confirm is %s, with a queue: %v, want %s", cfg.Delivery.Confirm, cfg.HasQueue(), confirm)
			}
			for i, topic := range demoTopics {
				if !cfg.Routes.Wants(topic.name) {
					t.Errorf("topic %s is not routed", topic.name)
				}
				for _, s := range streamsOf(i) {
					e := cfg.Routes.Explain(topic.name, nil, []mapping.Header{{Key: "service", Value: []byte(s)}})
					if e.Target.Group != topic.group || e.Target.Stream != s {
						t.Errorf("topic %s goes to %v, want %s.%s", topic.name, e.Target, topic.group, s)
					}
				}
			}
		}
	}
}

// On a busy machine the demo looks before the bridge has joined its group: nothing is committed then.
func TestNothingIsCommittedBeforeTheGroupExists(t *testing.T) {
	c, err := startDemoCluster(t.Context(), &demoFlags{seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	n, err := c.committed(t.Context())
	if err != nil || n != [topicCount]int64{} {
		t.Errorf("committed = %v, %v, want nothing and no error", n, err)
	}
}

func TestProducerStoresTheWholeCorpusAndKeepsBooks(t *testing.T) {
	c, err := startDemoCluster(t.Context(), &demoFlags{seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	f := &demoFlags{records: 5000, seed: 3}
	books := []*books{newBooks(), newBooks(), newBooks()}
	p := newProducer(c.client, f, books)
	p.least = 100 * time.Millisecond
	close(p.goOn)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends, err := c.admin.ListEndOffsets(t.Context(), "orders", "logs", "blobs")
	if err != nil {
		t.Fatal(err)
	}
	byTopic := make(map[string]int64)
	for _, o := range ends.Offsets().Sorted() {
		byTopic[o.Topic] += o.At
	}
	for i, topic := range demoTopics {
		n := books[i].close(topic.name).Produced
		if int64(n) != byTopic[topic.name] || int64(n) != p.byTopic[i].Load() || n == 0 {
			t.Errorf("%s: %d in the books, %d counted, %d in Kafka", topic.name, n, p.byTopic[i].Load(), byTopic[topic.name])
		}
	}
	if p.stored.Load() != 5000 {
		t.Errorf("%d stored, want 5000", p.stored.Load())
	}
}
