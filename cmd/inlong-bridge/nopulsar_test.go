//go:build nopulsar

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command that reads a configuration refuses one that needs Pulsar with one error: what, where and what to do.
func TestNoPulsarConfigurationIsRefusedByEveryCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	text := `kafka: {brokers: ['127.0.0.1:1'], group: bridge}
inlong: {proxies: ['127.0.0.1:2']}
routes: [{topics: [orders], group: g, stream: s}]
queue:
  pulsar: [{service_url: 'pulsar://127.0.0.1:3'}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "run", "migrate"} {
		code, stdout, stderr := invoke(t, command, "-c", path)
		if code != 2 || stdout != "" || strings.Count(stderr, "queue.pulsar") != 1 {
			t.Errorf("%s: exit %d, %q, %q; want 2 and one error about queue.pulsar", command, code, stdout, stderr)
		}
		for _, want := range []string{path + ":5", "queue.pulsar", "built without Pulsar", "nopulsar", "hint"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %q, want %q in it", command, stderr, want)
			}
		}
	}
}

func TestNoPulsarBehindDemoAndDevproxy(t *testing.T) {
	for _, args := range [][]string{{"demo", "--queue", "pulsar://127.0.0.1:1"}, {"devproxy", "--queue", "pulsar://127.0.0.1:1"}} {
		code, _, stderr := invoke(t, args...)
		if code != 2 || !strings.Contains(stderr, "--queue") || !strings.Contains(stderr, "built without Pulsar") || !strings.Contains(stderr, "hint") {
			t.Errorf("%v: exit %d, %q; want 2 and what to do", args, code, stderr)
		}
	}
}

func TestNoPulsarIsSaidByVersion(t *testing.T) {
	if code, stdout, _ := invoke(t, "version"); code != 0 || !strings.Contains(stdout, "without       Pulsar") {
		t.Errorf("exit %d, %q; want that Pulsar is left out", code, stdout)
	}
}

func TestNoPulsarCanBeDecoded(t *testing.T) {
	code, _, stderr := invoke(t, "decode", "--pulsar", "pulsar://127.0.0.1:1", "--topic", "t")
	if code != 2 || !strings.Contains(stderr, "--pulsar") || !strings.Contains(stderr, "built without Pulsar") || !strings.Contains(stderr, "hint") {
		t.Errorf("exit %d, %q; want 2 and what to do", code, stderr)
	}
}
