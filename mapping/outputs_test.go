package mapping_test

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
)

func tableOf(t *testing.T, routes string) *mapping.Table {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(routes), &n); err != nil {
		t.Fatal(err)
	}
	table, problems := mapping.Parse(&n)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return table
}

func TestExpressionsLeaveOutInternalTopics(t *testing.T) {
	table := tableOf(t, `[{topics: [__named, '.*'], exclude: ['.*\.hidden\.internal'], group: g, stream: '{topic}'}]`)
	for _, test := range []struct {
		topic       string
		wants, left bool
	}{
		{"orders", true, false},
		{"_orders", true, false},
		{"internal", true, false},
		{"connect-offsets-2", true, false},
		{"__named", true, false},
		{"__consumer_offsets", false, true},
		{"__transaction_state", false, true},
		{"__anything", false, true},
		{"_schemas", false, true},
		{"connect-configs", false, true},
		{"connect-offsets", false, true},
		{"connect-status", false, true},
		{"mm2-offset-syncs.b.internal", false, true},
		{"a.hidden.internal", false, false}, // the exclude takes it out
	} {
		if got := table.Wants(test.topic); got != test.wants {
			t.Errorf("Wants(%q) = %v, want %v", test.topic, got, test.wants)
		}
		why := table.LeftOut(test.topic)
		if got := why != ""; got != test.left {
			t.Errorf("LeftOut(%q) = %q, want a reason: %v", test.topic, why, test.left)
		}
		if e := table.Explain(test.topic, nil, nil); test.left && !strings.Contains(e.String(), why) {
			t.Errorf("Explain(%q) = %s, want it to say %q", test.topic, e, why)
		}
	}
	if !table.Names("__named") || table.Names("orders") || table.Names("_schemas") {
		t.Error("Names is right for exact names only")
	}
}

func TestOutputsAreTheTopicsThatARuleMayProduce(t *testing.T) {
	for _, test := range []struct {
		name, routes, queue   string
		topic, perRecord, not string // lists
	}{
		{
			"capture", `[{topics: 'logs\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}]`, "{group}.{stream}",
			"logs.web", "", "logs.web1 logs. web logs-web",
		},
		{
			"topic", `[{topics: 'app\..*', group: app, stream: '{topic}'}]`, "q.{group}.{stream}",
			"q.app.app.web", "", "app.web q.app.web",
		},
		{
			"names and a default route", `[{topics: [a.b, c], group: g, stream: '{header:type}', unmatched: {group: d, stream: e}}]`, "{group}.{stream}",
			"d.e", "g.anything g.x.y", "a.b c g.",
		},
		{
			"the same twice", `[{topics: '(?P<a>x+)', group: '{a}', stream: '{a}'}]`, "{group}.{stream}",
			"x.x xx.x", "", "x y.x",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := tableOf(t, test.routes).Outputs(test.queue)
			for topic := range strings.FieldsSeq(test.topic) {
				if !o.May(topic, false) || !o.May(topic, true) {
					t.Errorf("May(%q) = false, want true", topic)
				}
			}
			for topic := range strings.FieldsSeq(test.perRecord) {
				if o.May(topic, false) || !o.May(topic, true) {
					t.Errorf("May(%q) = %v without records and %v with them, want only the latter", topic, o.May(topic, false), o.May(topic, true))
				}
			}
			for topic := range strings.FieldsSeq(test.not) {
				if o.May(topic, true) {
					t.Errorf("May(%q) = true, want false", topic)
				}
			}
		})
	}
}

func TestOverlapFindsTheShortestOutputThatARuleTakes(t *testing.T) {
	for _, test := range []struct{ name, routes, queue, want string }{
		{"the README's own shape", `[{topics: 'logs\.(?P<app>[a-z]+)', exclude: ['logs\.test'], group: logs, stream: '{app}'}]`, "{group}.{stream}", "logs.a"},
		{"everything", `[{topics: ['.*'], group: g, stream: s}]`, "{group}.{stream}", "g.s"},
		{"an exclude that takes all of them", `[{topics: ['.*'], exclude: ['g\..*'], group: g, stream: '{topic}'}]`, "{group}.{stream}", ""},
		{"an exclude that takes some of them", `[{topics: ['.*'], exclude: ['g\.[a-z]+'], group: g, stream: '{topic}'}]`, "{group}.{stream}", "g."},
		{"another prefix", `[{topics: 'in\.(.*)', group: g, stream: '{1}'}]`, "{group}.{stream}", ""},
		{"a topic that grows", `[{topics: 'app\..*', group: app, stream: '{topic}'}]`, "{group}.{stream}", "app.app."},
		{"a later rule", `[{topics: [orders], group: shop, stream: orders}, {topics: 'sh.*', group: x, stream: y}]`, "{group}.{stream}", "shop.orders"},
		{"a name that headers may make", `[{topics: [e.v], group: e, stream: '{header:type}'}]`, "{group}.{stream}", "e.v"},
		{"internal topics are not taken", `[{topics: ['.*'], group: __g, stream: s}]`, "{group}.{stream}", ""},
		{"anchors", `[{topics: ['^logs\.(x|y)$'], group: logs, stream: '{1}'}]`, "{group}.{stream}", "logs.x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := tableOf(t, test.routes).Outputs(test.queue).Overlap()
			if ok != (test.want != "") || got.Example != test.want {
				t.Errorf("Overlap = %+v, %v, want the example %q", got, ok, test.want)
			}
		})
	}
}

// A search that finds nothing within its bound says nothing; it must end.
func TestOverlapIsBounded(t *testing.T) {
	tableOf(t, `[{topics: ['(a|b)*a(a|b){40}c'], group: g, stream: '{topic}'}, {topics: ['(a|b)*b(a|b){41}d'], group: g2, stream: '{topic}'}]`).Outputs("{stream}").Overlap()
}
