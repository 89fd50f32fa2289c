package alerts

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/reason"
)

// promtool returns the command promtool: that of the environment, the one that deploy/dev/ci/prometheus.sh unpacked, or the
// system's.
func promtool(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("PROMTOOL"), "../../bin/prometheus/promtool", "promtool"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("promtool is not there; make alerts gets it from Debian's package prometheus, where there is one")
	return ""
}

// play has promtool play a file of tests. dir is where it lies, with the rules.
func play(t *testing.T, file string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), promtool(t), "test", "rules", file).CombinedOutput()
	if err != nil {
		t.Errorf("promtool test rules %s: %v\n%s", file, err, out)
	}
}

func TestAlertsFireAsPlayedByPromtool(t *testing.T) {
	promtool(t)
	files, err := filepath.Glob("*.test.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no file of tests: %v", err)
	}
	var played strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		played.Write(data)
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			play(t, file)
		})
	}
	for _, rule := range readRules(t) {
		if rule.Labels["code"] == "" && !strings.Contains(played.String(), fmt.Sprintf("alertname=%q", rule.Alert)) {
			t.Errorf("no test plays the alert %s", rule.Alert)
		}
	}
}

// suite writes files of tests for promtool.
type suite struct{ strings.Builder }

func newSuite(rules string) *suite {
	s := new(suite)
	_, _ = fmt.Fprintf(s, "rule_files: [%s]\nevaluation_interval: 1m\ntests:\n", rules)
	return s
}

// test begins a test of one bridge with two replicas.
func (s *suite) test(name string) {
	_, _ = fmt.Fprintf(s, "  - name: %q\n    interval: 1m\n    input_series:\n", name)
	for _, instance := range []string{"a", "b"} {
		s.series(instance, "inlong_bridge_info", `group="orders",version="1",confirm="queue"`, "1x30")
	}
}

func (s *suite) series(instance, name, labels, values string) {
	_, _ = fmt.Fprintf(s, "      - {series: '%s{namespace=\"data\",job=\"bridge\",instance=\"%s\",%s}', values: '%s'}\n", name, instance, labels, values)
}

func (s *suite) reason(instance string, k *reason.Kind, n int) {
	s.series(instance, "inlong_bridge_reasons", fmt.Sprintf("code=%q,scope=%q", k.Code, k.Scopes[0]), fmt.Sprintf("%dx30", n))
}

// fires lists all alerts that fire after 17 minutes, with their severities.
func (s *suite) fires(alerts ...string) {
	s.WriteString("    promql_expr_test:\n      - expr: sum by (alertname, severity, code) (ALERTS{alertstate=\"firing\"})\n        eval_time: 17m\n        exp_samples:\n")
	for _, a := range alerts {
		_, _ = fmt.Fprintf(s, "          - {labels: '%s', value: 1}\n", a)
	}
	if len(alerts) == 0 {
		s.WriteString("          []\n")
	}
}

func fired(k *reason.Kind) string {
	return fmt.Sprintf("{alertname=%q, severity=%q, code=%q}", alertOf(k.Code), k.Severity, k.Code)
}

func (s *suite) play(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "made.test.yaml")
	if err := os.WriteFile(file, []byte(s.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	play(t, file)
}

// rulesPath is the rules file for a file of tests that lies elsewhere.
func rulesPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Each code alone fires its alert and no other, and a consequence is silent beside each of its causes.
func TestEachReasonCodeFiresItsAlertAlone(t *testing.T) {
	t.Parallel()
	promtool(t)
	s := newSuite(rulesPath(t))
	for _, k := range reason.Kinds() {
		s.test(string(k.Code))
		s.reason("a", &k, 1)
		s.reason("b", &k, 3)
		if k.Severity == reason.Info {
			s.fires()
		} else {
			s.fires(fired(&k))
		}
		if len(follows[k.Code]) == 0 {
			continue
		}
		s.test(string(k.Code) + " beside its causes")
		s.reason("a", &k, 1)
		var want []string
		for _, c := range follows[k.Code] {
			cause := reason.KindOf(c)
			s.reason("b", cause, 1)
			if !slices.ContainsFunc(follows[c], func(up reason.Code) bool { return slices.Contains(follows[k.Code], up) }) {
				want = append(want, fired(cause))
			}
		}
		slices.SortFunc(want, cmp.Compare)
		s.fires(want...)
	}
	s.play(t)
}

// 1. A queue cluster stops to answer  2. 200 partitions of two replicas are stuck, their records are overdue, their
// streams stall, all bounds are full  3. somebody is woken once.
func TestOneCauseAt200PartitionsIsOnePage(t *testing.T) {
	t.Parallel()
	promtool(t)
	s := newSuite(rulesPath(t))
	for _, code := range []reason.Code{reason.Queue, reason.NoProxy, reason.Gap} {
		cause := reason.KindOf(code)
		s.test("200 partitions: " + string(code))
		for i := range 200 {
			instance, of := []string{"a", "b"}[i%2], fmt.Sprintf(`topic="orders",partition="%d"`, i)
			if cause.Stops {
				s.series(instance, "inlong_bridge_partition_stalled", of+fmt.Sprintf(`,code="%s"`, code), "1x30")
			} else {
				s.series(instance, "inlong_bridge_partition_stuck", of+fmt.Sprintf(`,reason="%s"`, cause.Stuck), "1x30")
			}
			s.series(instance, "inlong_bridge_partition_oldest_unfinal_seconds", of, "0+60x30")
			s.series(instance, "inlong_bridge_partition_final_offset", of, "100x30")
			s.series(instance, "inlong_bridge_partition_committed_offset", of, "100x30")
			s.series(instance, "inlong_bridge_partition_lag_records", of, "0+1000x30")
			s.series(instance, "inlong_bridge_partition_lag_seconds", of, "0+60x30")
			s.series(instance, "inlong_bridge_partition_retention_seconds_left", of, "86400-60x30")
		}
		for _, instance := range []string{"a", "b"} {
			s.series(instance, "inlong_bridge_ready", `x=""`, "1x30")
			n := 1
			if cause.Stops {
				n = 100
			}
			s.reason(instance, cause, n)
			s.series(instance, "inlong_bridge_reason_partitions", fmt.Sprintf("code=%q", code), "100x30")
			for _, k := range reason.Kinds() { // what follows
				if slices.Contains(follows[k.Code], code) {
					s.reason(instance, &k, 100)
				}
			}
		}
		s.fires(fired(cause))
	}
	s.play(t)
}

// A suite that passes whatever the rules say is worth nothing: a rule is broken in turn, and a test must fail.
func TestSuitesCatchRulesThatAreBroken(t *testing.T) {
	t.Parallel()
	promtool(t)
	for _, broken := range []struct {
		name     string
		alerts   []string // the rules that are played, of which the first is broken
		test     string
		old, new string
	}{
		{"absence looks at all bridges together", []string{"InlongBridgeGone"}, "one of two bridges of a job is gone", "group by (namespace, job, group) (present", "group (present"},
		{"a migration that has ended pages", []string{"InlongBridgeGone"}, "a migration that has ended is not gone", "unless on (namespace, job, instance)", "and on (namespace, job, instance)"},
		{"a counter born at 1 is no increase", []string{"InlongBridgeOffsetsLost"}, "offsets are lost: a counter that is born at 1", "total > 0 unless", "total > 9 unless"},
		{"a proxy's counter born at 1 is no increase", []string{"InlongBridgePacksLost"}, "a proxy loses packs: a counter that is born at 1", "total > 0 unless", "total > 9 unless"},
		{"old losses come back", []string{"InlongBridgeOffsetsLost"}, "an old loss is not new because Prometheus was away", "last_over_time(inlong_bridge_offsets_lost_total[6h] offset 1h)", "inlong_bridge_offsets_lost_total offset 1h"},
		{"one page per partition", []string{"InlongBridgeRetentionRace"}, "the race against retention is being lost, on two partitions", "min by (namespace, job, group) (", "min by (namespace, job, group, partition) ("},
		{"a race that is lost ends", []string{"InlongBridgeRetentionRace"}, "it stays lost once nothing is left", "<= 0", "< 0"},
		{"a restart of each pod is a crash loop", []string{"InlongBridgeCrashLoop"}, "a rolling update is no crash loop", "> 3", "> 0"},
		{"consequences page too", []string{"InlongBridgeOverdue", "InlongBridgeQueue"}, "the queue is down, with what follows from it", "unless on", "and on"},
		{"readiness pages beside its cause", []string{"InlongBridgeNotReady", "InlongBridgeSource"}, "a replica does not get ready because of a cause that pages", "|source|", "|"},
	} {
		t.Run(broken.name, func(t *testing.T) {
			t.Parallel()
			test, every := testNamed(t, broken.test)
			var rules []map[string]any
			for _, r := range readRules(t) {
				if slices.Contains(broken.alerts, r.Alert) {
					rules = append(rules, map[string]any{"alert": r.Alert, "expr": r.Expr, "for": cmp.Or(r.For, "0s"), "labels": r.Labels})
				}
			}
			if err := playOne(t, rules, test, every); err != nil {
				t.Fatalf("the test fails before anything is broken: %v", err)
			}
			for _, r := range rules {
				if r["alert"] == broken.alerts[0] {
					changed := strings.Replace(r["expr"].(string), broken.old, broken.new, 1)
					if changed == r["expr"] {
						t.Fatalf("the rule has no %s", broken.old)
					}
					r["expr"] = changed
				}
			}
			if playOne(t, rules, test, every) == nil {
				t.Error("the test passes all the same")
			}
		})
	}
}

// testNamed returns a test of the files of tests, and how often it evaluates the rules.
func testNamed(t *testing.T, name string) (test any, every string) {
	t.Helper()
	files, err := filepath.Glob("*.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suite struct {
			Every string `yaml:"evaluation_interval"`
			Tests []map[string]any
		}
		if err := yaml.Unmarshal(data, &suite); err != nil {
			t.Fatal(err)
		}
		for _, test := range suite.Tests {
			if test["name"] == name {
				return test, suite.Every
			}
		}
	}
	t.Fatalf("no test has the name %q", name)
	return nil, ""
}

// playOne plays one test with some rules.
func playOne(t *testing.T, rules []map[string]any, test any, every string) error {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]any{
		"rules.yaml": map[string]any{"groups": []any{map[string]any{"name": "g", "rules": rules}}},
		"test.yaml":  map[string]any{"rule_files": []string{"rules.yaml"}, "evaluation_interval": every, "tests": []any{test}},
	} {
		data, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), promtool(t), "test", "rules", filepath.Join(dir, "test.yaml")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
