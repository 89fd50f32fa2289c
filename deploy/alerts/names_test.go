// Package alerts has only tests: that dashboard and alerts speak of metrics and labels which the code has.
package alerts

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const (
	rulesFile     = "inlong-bridge.rules.yaml"
	dashboardFile = "../grafana/inlong-bridge.json"
)

// exposed returns the labels of each metric, read where the code names them: in calls of a function whose first
// argument is the name, the second the help, the others the labels.
func exposed(t *testing.T) map[string][]string {
	t.Helper()
	labels, _ := described(t)
	return labels
}

// described returns labels and help of each metric.
func described(t *testing.T) (metrics map[string][]string, help map[string]string) {
	t.Helper()
	metrics, help = make(map[string][]string), make(map[string]string)
	for _, source := range []struct {
		files, prefix string
		calls         []string
	}{
		{"../../connector/*.go", "inlong_bridge_", []string{"desc"}},
		{"../../connector/internal/*/*.go", "inlong_bridge_", []string{"desc"}},
		{"../../sdk/sdkprom/*.go", "inlong_bridge_sender_", []string{"gauge", "counter", "histogram"}},
	} {
		files, err := filepath.Glob(source.files)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			describedIn(t, name, source.prefix, source.calls, metrics, help)
		}
	}
	for _, prefix := range []string{"inlong_bridge_partition_", "inlong_bridge_sender_"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(metrics)), func(name string) bool { return strings.HasPrefix(name, prefix) }) {
			t.Fatalf("the code names no metric %s...; has it moved?", prefix)
		}
	}
	return metrics, help
}

// describedIn adds the metrics that one file names in calls of some functions.
func describedIn(t *testing.T, name, prefix string, calls []string, metrics map[string][]string, help map[string]string) {
	t.Helper()
	if strings.HasSuffix(name, "_test.go") {
		return
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || !slices.Contains(calls, f.Name) {
			return true
		}
		var words []string
		for _, arg := range call.Args {
			if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				word, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				words = append(words, word)
			}
		}
		if len(words) == len(call.Args) {
			metrics[prefix+words[0]], help[prefix+words[0]] = words[2:], words[1]
		}
		return true
	})
}

var (
	metricRE   = regexp.MustCompile(`(inlong_bridge_\w+)(?:\{([^}]*)\})?`)
	matcherRE  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	groupingRE = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
	wordRE     = regexp.MustCompile(`\w+`)
)

// labelsOf checks that an expression uses metrics and labels that exist, and returns the labels its result may have.
func labelsOf(t *testing.T, metrics map[string][]string, what, expr string) []string {
	t.Helper()
	// What Prometheus adds to every series.
	all := []string{"namespace", "job", "instance"}
	found := metricRE.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s: %q names no metric of the bridge", what, expr)
	}
	for _, m := range found {
		labels, ok := metrics[m[1]]
		if times, isBucket := strings.CutSuffix(m[1], "_seconds_bucket"); !ok && isBucket {
			labels, ok = metrics[times+"_seconds"]
			labels = append(slices.Clip(labels), "le")
		}
		if !ok {
			t.Errorf("%s: there is no metric %s", what, m[1])
			continue
		}
		all = append(all, labels...)
		for _, matcher := range matcherRE.FindAllStringSubmatch(m[2], -1) {
			if label := matcher[1]; label != "instance" && label != "job" && label != "namespace" && !slices.Contains(labels, label) {
				t.Errorf("%s: %s has no label %s, only %v", what, m[1], label, labels)
			}
		}
	}
	for _, grouping := range groupingRE.FindAllStringSubmatch(expr, -1) {
		for _, label := range wordRE.FindAllString(grouping[1], -1) {
			if !slices.Contains(all, label) {
				t.Errorf("%s: grouped by %s, which none of its metrics has", what, label)
			}
		}
	}
	return all
}

// rule is one alert of the rules file.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) (all []rule) {
	t.Helper()
	data, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no alert found")
	}
	return all
}

func TestAlertsNameMetricsAndLabelsThatExist(t *testing.T) {
	metrics := exposed(t)
	seen := make(map[string]bool)
	labelRE := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, rule := range readRules(t) {
		if seen[rule.Alert] {
			t.Errorf("%s: there are two of that name", rule.Alert)
		}
		seen[rule.Alert] = true
		if s := rule.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity %q is neither page nor ticket", rule.Alert, s)
		}
		labels := labelsOf(t, metrics, rule.Alert, rule.Expr)
		for _, key := range []string{"summary", "action"} {
			text := rule.Annotations[key]
			if text == "" {
				t.Errorf("%s: no %s", rule.Alert, key)
			}
			for _, used := range labelRE.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(labels, used[1]) {
					t.Errorf("%s: %s speaks of the label %s, which the expression does not have", rule.Alert, key, used[1])
				}
			}
		}
	}
}

func TestDashboardNamesMetricsAndLabelsThatExist(t *testing.T) {
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Type, Title, Description string
			Targets                  []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(data, &dashboard); err != nil {
		t.Fatal(err)
	}
	metrics := exposed(t)
	legendRE := regexp.MustCompile(`\{\{(\w+)\}\}`)
	shown := 0
	for _, panel := range dashboard.Panels {
		if panel.Type == "row" {
			continue
		}
		shown++
		if panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("%s: no description or nothing to show", panel.Title)
		}
		for _, target := range panel.Targets {
			labels := labelsOf(t, metrics, panel.Title, target.Expr)
			for _, used := range legendRE.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, used[1]) {
					t.Errorf("%s: the legend speaks of the label %s, which the expression does not have", panel.Title, used[1])
				}
			}
		}
	}
	if shown == 0 {
		t.Error("no panel found")
	}
}
