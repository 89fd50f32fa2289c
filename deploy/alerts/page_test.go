package alerts

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

const metricsPage = "../../docs/metrics.md"

func TestMetricsPageIsWhatTheCodeExposes(t *testing.T) {
	labels, help := described(t)
	var page strings.Builder
	page.WriteString(`# Metrics

On ` + "`/metrics` of `admin.listen`" + `. Names and labels are API: they change with an entry in the changelog only. The
text behind each says what to do when it moves. Go's and the process's own metrics are there too.

This page is made from the code; ` + "`go test ./deploy/alerts -update`" + ` writes it.

| metric | labels | meaning |
|---|---|---|
`)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", name, strings.Join(labels[name], ", "), help[name])
	}
	if *update {
		if err := os.WriteFile(metricsPage, []byte(page.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page.String() {
		t.Errorf("%s is not what the code exposes; run go test ./deploy/alerts -update", metricsPage)
	}
}
