package mapping_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
)

// caseFile is one file of testdata/mapping: rules, and either the problems or the look-ups they give.
type caseFile struct {
	Routes   yaml.Node `yaml:"routes"`
	Problems []string  `yaml:"problems"`
	Lookups  []struct {
		Topic   string              `yaml:"topic"`
		Key     *string             `yaml:"key"`
		Headers []map[string]string `yaml:"headers"`
		Want    string              `yaml:"want"` // group.stream, skip or fail
		Why     string              `yaml:"why"`
		Fixed   bool                `yaml:"fixed"`
	} `yaml:"lookups"`
	Names   []string `yaml:"names"`
	Regex   bool     `yaml:"regex"`
	Targets []string `yaml:"targets"`
}

func TestCaseFiles(t *testing.T) {
	files, err := filepath.Glob("../testdata/mapping/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d case files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c caseFile
			d := yaml.NewDecoder(strings.NewReader(string(text)))
			d.KnownFields(true)
			if err := d.Decode(&c); err != nil {
				t.Fatal(err)
			}
			runCase(t, &c)
		})
	}
}

func runCase(t *testing.T, c *caseFile) {
	table, problems := mapping.Parse(&c.Routes)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d: %s", p.Line, p.Message))
	}
	if !slices.Equal(got, c.Problems) {
		t.Fatalf("problems:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.Problems, "\n"))
	}
	if len(problems) > 0 {
		if table != nil {
			t.Error("Parse gave a table beside its problems")
		}
		return
	}
	for _, l := range c.Lookups {
		var key []byte
		if l.Key != nil {
			key = []byte(*l.Key)
		}
		var headers []mapping.Header
		for _, h := range l.Headers {
			for k, v := range h {
				headers = append(headers, mapping.Header{Key: k, Value: []byte(v)})
			}
		}
		topic := table.ForTopic(l.Topic)
		if fixed := topic.Fixed != nil; fixed != l.Fixed {
			t.Errorf("ForTopic(%q) is fixed: %v, want %v", l.Topic, fixed, l.Fixed)
		}
		target, result, err := topic.Route(key, func() []mapping.Header { return headers })
		got, why := outcome(target, result), ""
		if err != nil {
			why = err.Error()
		}
		if got != l.Want || !strings.Contains(why, l.Why) || (err != nil) != (result == mapping.Fail) {
			t.Errorf("Route(%q, %q, %v) = %s, %q, want %s, %q", l.Topic, key, l.Headers, got, why, l.Want, l.Why)
		}
		if wants := table.Wants(l.Topic); wants == strings.Contains(why, "no rule matches") {
			t.Errorf("Wants(%q) = %v, although Route says %q", l.Topic, wants, why)
		}
		if e := table.Explain(l.Topic, key, headers); outcome(e.Target, e.Result) != l.Want || !strings.Contains(e.String(), l.Why) {
			t.Errorf("Explain(%q) says %s, want %s, %q", l.Topic, e, l.Want, l.Why)
		}
	}
	names, regex := table.Topics()
	if !slices.Equal(names, c.Names) || regex != c.Regex {
		t.Errorf("Topics() = %q, %v, want %q, %v", names, regex, c.Names, c.Regex)
	}
	var targets []string
	for _, target := range table.Targets() {
		targets = append(targets, target.String())
	}
	if !slices.Equal(targets, c.Targets) {
		t.Errorf("Targets() = %q, want %q", targets, c.Targets)
	}
}

func outcome(target mapping.Target, result mapping.Result) string {
	if result == mapping.Routed {
		return target.String()
	}
	return result.String()
}

// parse returns the table of rules that are known to be right.
func parse(t testing.TB, rules string) *mapping.Table {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(rules), &node); err != nil {
		t.Fatal(err)
	}
	table, problems := mapping.Parse(&node)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return table
}

func TestMissingRoutesAreAProblem(t *testing.T) {
	for name, node := range map[string]*yaml.Node{"nil": nil, "zero": {}} {
		if _, problems := mapping.Parse(node); len(problems) != 1 || !strings.Contains(problems[0].Message, "missing") {
			t.Errorf("Parse(%s) = %v, want one problem that says missing", name, problems)
		}
	}
}

func TestZeroTableMatchesNothing(t *testing.T) {
	var table mapping.Table
	if table.Wants("orders") {
		t.Error("the zero table wants a topic")
	}
	if _, result, err := table.ForTopic("orders").Route(nil, nil); result != mapping.Fail || err == nil {
		t.Errorf("Route = %v, %v, want fail", result, err)
	}
}

func TestPlainNamesNeedNoRegex(t *testing.T) {
	names, regex := parse(t, `[{topics: [b, a], group: g, stream: s}, {topics: c.d, group: g, stream: s}]`).Topics()
	if want := []string{"b", "a", "c.d"}; !slices.Equal(names, want) || regex {
		t.Errorf("Topics() = %q, %v, want %q, false", names, regex, want)
	}
}

func TestRouteOfKnownTargetAllocatesNothing(t *testing.T) {
	table := parse(t, `
- {topics: fixed, group: g, stream: '{topic}'}
- {topics: dynamic, group: '{key}', stream: '{header:type}'}
- {topics: skipping, group: g, stream: '{key}', unmatched: skip}`)
	list := []mapping.Header{{Key: "type", Value: []byte("created")}}
	headers := func() []mapping.Header { return list }
	key, bad := []byte("shop"), []byte("a b")
	for _, tc := range []struct {
		topic string
		key   []byte
		want  string
	}{{"fixed", key, "g.fixed"}, {"dynamic", key, "shop.created"}, {"skipping", nil, "skip"}} {
		topic := table.ForTopic(tc.topic)
		var got string
		target, result, _ := topic.Route(tc.key, headers)
		got = outcome(target, result)
		allocs := testing.AllocsPerRun(100, func() { target, result, _ = topic.Route(tc.key, headers) })
		if got != tc.want || outcome(target, result) != tc.want {
			t.Errorf("%s: Route = %s, want %s", tc.topic, got, tc.want)
		}
		if allocs > 0 {
			t.Errorf("%s: Route allocates %v times a record, want 0", tc.topic, allocs)
		}
	}
	if _, result, _ := table.ForTopic("skipping").Route(bad, headers); result != mapping.Skip {
		t.Errorf("result %v, want skip", result)
	}
}

func TestHeadersAreFetchedOnceAndOnlyWhenUsed(t *testing.T) {
	table := parse(t, `
- {topics: two, group: '{header:a}', stream: '{header:b}'}
- {topics: none, group: g, stream: '{key}'}`)
	calls := 0
	headers := func() []mapping.Header {
		calls++
		return []mapping.Header{{Key: "a", Value: []byte("x")}, {Key: "b", Value: []byte("y")}}
	}
	if target, _, err := table.ForTopic("two").Route(nil, headers); err != nil || target.String() != "x.y" || calls != 1 {
		t.Errorf("Route = %v, %v after %d calls, want x.y after 1", target, err, calls)
	}
	if target, _, err := table.ForTopic("none").Route([]byte("k"), headers); err != nil || target.String() != "g.k" || calls != 1 {
		t.Errorf("Route = %v, %v after %d calls, want g.k and no further call", target, err, calls)
	}
}

// Two ids are found by group, 0, stream. A key that holds a 0 may not find the target of another.
func TestZeroByteInKeyDoesNotFindAnotherTarget(t *testing.T) {
	table := parse(t, `[{topics: t, group: 'a{key}', stream: '{header:h}'}]`)
	topic := table.ForTopic("t")
	route := func(key, header string) string {
		target, result, _ := topic.Route([]byte(key), func() []mapping.Header {
			return []mapping.Header{{Key: "h", Value: []byte(header)}}
		})
		return outcome(target, result)
	}
	if got := route("b", "c"); got != "ab.c" {
		t.Fatalf("route = %s, want ab.c", got)
	}
	for _, tc := range [][2]string{{"b\x00c", ""}, {"", "b\x00c"}, {"b\x00", "c"}, {"b", "\x00c"}} {
		if got := route(tc[0], tc[1]); got != "fail" {
			t.Errorf("route(%q, %q) = %s, want fail", tc[0], tc[1], got)
		}
	}
}

func TestIDsHaveABound(t *testing.T) {
	table := parse(t, `[{topics: t, group: g, stream: 'x{key}{key}'}]`)
	topic := table.ForTopic("t")
	for _, tc := range []struct {
		key  int
		want mapping.Result
	}{{127, mapping.Routed}, {128, mapping.Fail}, {255, mapping.Fail}, {1 << 20, mapping.Fail}} {
		_, result, err := topic.Route([]byte(strings.Repeat("k", tc.key)), nil)
		if result != tc.want {
			t.Errorf("key of %d bytes: %v (%v), want %v", tc.key, result, err, tc.want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("key of %d bytes: the message has %d bytes", tc.key, len(err.Error()))
		}
	}
	if err := mapping.CheckID(strings.Repeat("x", mapping.MaxID)); err != nil {
		t.Errorf("CheckID of %d characters: %v", mapping.MaxID, err)
	}
	if err := mapping.CheckID(strings.Repeat("x", mapping.MaxID+1)); err == nil {
		t.Errorf("CheckID of %d characters: no error", mapping.MaxID+1)
	}
}

// A key with more values than are kept still routes, and memory stays bounded.
func TestMoreTargetsThanAreKeptStillRoute(t *testing.T) {
	topic := parse(t, `[{topics: t, group: g, stream: 's{key}'}]`).ForTopic("t")
	var wg sync.WaitGroup
	for part := range 2 {
		wg.Go(func() {
			for i := part; i < 70_000; i += 2 {
				key := fmt.Append(nil, i)
				if target, result, err := topic.Route(key, nil); result != mapping.Routed || target.Stream != "s"+string(key) {
					t.Errorf("Route(%s) = %v, %v, %v", key, target, result, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestExplainSaysWhyEachRuleDoesNotMatch(t *testing.T) {
	table := parse(t, `
- {topics: [orders], group: shop, stream: orders}
- {topics: 'logs\.(?P<app>[a-z]+)-(\d)', exclude: ['.*\.test-.'], group: logs, stream: '{app}'}
- {topics: 'logs\..*', group: events, stream: '{header:type}', unmatched: {group: rest, stream: all}}`)
	for _, tc := range []struct {
		name, topic, want string
		headers           []mapping.Header
	}{
		{name: "captures", topic: "logs.web-1", want: `topic   logs.web-1
rule 1  no   line 2: topics "orders" do not match
rule 2  yes  line 3: expression "logs\\.(?P<app>[a-z]+)-(\\d)" matches, {app} is "web", {2} is "1"
result  group logs, stream web
`},
		{name: "default", topic: "logs.test-1", want: `topic   logs.test-1
rule 1  no   line 2: topics "orders" do not match
rule 2  no   line 3: excluded by ".*\\.test-."
rule 3  yes  line 4: expression "logs\\..*" matches
uses    header type
result  group rest, stream all (default route: stream: the record has no header "type")
`},
		{name: "none", topic: "metrics", want: `topic   metrics
rule 1  no   line 2: topics "orders" do not match
rule 2  no   line 3: topics "logs\\.(?P<app>[a-z]+)-(\\d)" do not match
rule 3  no   line 4: topics "logs\\..*" do not match
result  not consumed: no rule matches
`},
	} {
		if got := table.Explain(tc.topic, nil, tc.headers).String(); got != tc.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tc.name, got, tc.want)
		}
	}
}

func TestRulesDescribeTheFile(t *testing.T) {
	got := parse(t, `
- {topics: 'a.*', exclude: ab, group: g, stream: '{key}-{header:x}', unmatched: {group: r, stream: s}}
- {topics: [b, c], group: g, stream: s, unmatched: skip}`).Rules()
	want := []mapping.Rule{
		{Number: 1, Line: 2, Topics: []string{"a.*"}, Exclude: []string{"ab"}, Group: "g", Stream: "{key}-{header:x}", Unmatched: "r.s"},
		{Number: 2, Line: 3, Topics: []string{"b", "c"}, Group: "g", Stream: "s", Unmatched: "skip"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Rules() = %+v, want %+v", got, want)
	}
}
