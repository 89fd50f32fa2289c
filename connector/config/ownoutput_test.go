package config

import (
	"strings"
	"testing"
)

func ownConfig(t *testing.T, routes, queueBrokers string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(`kafka: {brokers: [k1:9092], group: g}
inlong: {proxies: [dp1:46801]}
routes:
`+routes+`
queue: {kafka: [{brokers: [`+queueBrokers+`]}]}
`), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A rule that names the queue's topic is a mistake (testdata/config/invalid/ownoutput.yaml); one that may match it
// is worth a note.
func TestRulesThatMatchTheQueueAreNoted(t *testing.T) {
	const logs = `  - {topics: 'logs\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}`
	for _, tt := range []struct{ name, routes, brokers, example string }{
		{"the README's own shape", logs, "k1:9092", "logs.a"},
		{"everything", `  - {topics: ['.*'], group: g, stream: s}`, "k1:9092", "g.s"},
		{"another Kafka", logs, "mq1:9092", ""},
		{"the queue excluded", `  - {topics: ['.*'], exclude: ['g\..*'], group: g, stream: s}`, "k1:9092", ""},
		{"plain names", `  - {topics: [orders], group: g, stream: s}`, "k1:9092", ""},
		{"a name that a header may make", `  - {topics: [g.s], group: g, stream: '{header:h}'}`, "k1:9092", "g.s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			notes := strings.Join(ownConfig(t, tt.routes, tt.brokers).Notes(), "\n")
			if got := strings.Contains(notes, "matches topics that the bridge writes"); got != (tt.example != "") || !strings.Contains(notes, tt.example) {
				t.Errorf("notes = %q, want the example %q", notes, tt.example)
			}
		})
	}
}

func TestOwnOutputIsFoundInTheConfiguration(t *testing.T) {
	const routes = `  - {topics: 'logs\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}
  - {topics: ['.*'], group: x, stream: '{topic}'}`
	for topic, want := range map[string]bool{"logs.web": true, "x.orders": true, "orders": false, "y.orders": false} {
		if why := ownConfig(t, routes, "k1:9092").OwnOutput(topic); (why != "") != want {
			t.Errorf("OwnOutput(%q) = %q, want a reason: %v", topic, why, want)
		}
		if why := ownConfig(t, routes, "mq1:9092").OwnOutput(topic); why != "" {
			t.Errorf("OwnOutput(%q) = %q with another Kafka as the queue, want none", topic, why)
		}
	}
}
