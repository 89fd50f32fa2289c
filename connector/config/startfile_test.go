package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parseWithStarts parses a configuration whose start file is at path.
func parseWithStarts(path string) (*Config, error) {
	return Parse("f.yaml", []byte("kafka:\n  brokers: [k1:9092]\n  group: g\n  start: file\n  start_file: "+path+
		"\ninlong: {proxies: [dp1:46801]}\nroutes:\n  - {topics: [orders, 'logs.*'], group: shop, stream: orders}\n"), env())
}

func startsIn(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "start.offsets")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const startID = "vPf8kzHgQ9q2cOZ1TGWf1A"

func TestStartFileIsReadAndWhatDoesNothingIsSaid(t *testing.T) {
	path := startsIn(t, "orders:"+startID+"/0@5\nlogs.web:"+startID+"/0@7\n\npayments:"+startID+"/0@1\npayments:"+startID+"/1@1\n")
	c, err := parseWithStarts(path)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := c.Kafka.StartOffsets.Lookup("logs.web", 0); !ok || e.Offset != 7 {
		t.Errorf("logs.web/0 = %+v, %v", e, ok)
	}
	want := "kafka.start_file (line 5): " + path + ":4: routes do not consume topic payments, so its lines do nothing"
	if notes := c.Notes(); !slices.Contains(notes, want) || strings.Count(strings.Join(notes, "\n"), "do not consume") != 1 {
		t.Errorf("notes %q, want one that says %q", notes, want)
	}
}

func TestMistakesOfTheStartFileNameItsLines(t *testing.T) {
	path := startsIn(t, "# mine\norders:"+startID+"/0@5\norders/1@5\norders:"+startID+"/0@6\n")
	_, err := parseWithStarts(path)
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.HasPrefix(err.Error(), path+":3: ") || !strings.Contains(err.Error(), "\n"+path+":4: orders/0 is given twice") {
		t.Errorf("mistakes:\n%v\nwant two, of lines 3 and 4 of %s", err, path)
	}
}

func TestStartFileThatCannotBeReadIsAMistake(t *testing.T) {
	for _, tt := range []struct{ name, path, says string }{
		{"none", filepath.Join(t.TempDir(), "none"), "no file "},
		{"a directory", t.TempDir(), "not a file"},
		{"empty", startsIn(t, ""), "names no partition"},
		{"UTF-16", startsIn(t, "\xff\xfeo\x00"), "UTF-16"},
		{"not UTF-8", startsIn(t, "# \xff\n"), "not UTF-8"},
		{"too large", startsIn(t, strings.Repeat("#\n", startFileMax/2+1)), "8MiB"},
	} {
		if _, err := parseWithStarts(tt.path); err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one mistake that says %q", tt.name, err, tt.says)
		}
	}
}
