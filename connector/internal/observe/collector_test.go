package observe

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Names and labels are API: whoever changes one changes dashboards and alerts.
func TestMetricNamesAreKept(t *testing.T) {
	var lines []string
	for _, d := range allDescs() {
		s := d.String()
		name := between(s, `fqName: "`, `"`)
		lines = append(lines, name+" {"+between(s, "variableLabels: {", "}")+"}")
		if help := between(s, `help: "`, `", `); !strings.HasSuffix(help, ".") || len(help) < 20 {
			t.Errorf("%s: help %q does not say what to do", name, help)
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	file := filepath.Join("testdata", "metrics.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("metrics are\n%swant\n%s(go test -update accepts them)", got, want)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

var _ prometheus.Collector = Collector{}
