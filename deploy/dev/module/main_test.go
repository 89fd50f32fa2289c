package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is a module with everything that names its path, and much that looks like it.
var small = map[string]string{
	"go.mod":           "module bridge\n\ngo 1.26.0\n",
	"tools/x/go.mod":   "module bridge/tools/x\n\ngo 1.26.0\n",
	"other/go.mod":     "module bridgehead\n",
	"sdk/sdk.go":       "package sdk\n\n// bridge/sdk stands in a comment.\nconst Product, File = \"bridge\", \"bridge/1\"\n",
	"cmd/main.go":      "package main\n\nimport (\n\t\"fmt\"\n\n\t_ \"bridge/sdk\"\n\tx `bridge/sdk`\n)\n\nvar build = []string{\"build\", \"bridge/cmd\", \"bridge/none\", x.File}\n",
	"cmd/copied.go":    "package main\n\nimport \"bridgehead/sdk\"\n",
	"docs/page.md":     "The `bridge/sdk` of \"bridge/sdk\", bin/bridge/sdk and bridge/none.\n",
	"bin/built.go":     "not Go, and not the module's: \"bridge/sdk\"\n",
	".golangci.yml":    "deny:\n  - pkg: bridge\n  - pkg: bridge/sdk$\n  - pkg: bridge/sdk/manager\n  - pkg: bridgehead\n  desc: bridge\nlocal-prefixes: [bridge]\n",
	"cmd/testdata/x.y": "\"bridge/sdk\"",
}

// want are the files of small that are rewritten for example.org/you/b.
var want = map[string]string{
	"go.mod":         "module example.org/you/b\n\ngo 1.26.0\n",
	"tools/x/go.mod": "module example.org/you/b/tools/x\n\ngo 1.26.0\n",
	"cmd/main.go":    "package main\n\nimport (\n\t\"fmt\"\n\n\t_ \"example.org/you/b/sdk\"\n\tx \"example.org/you/b/sdk\"\n)\n\nvar build = []string{\"build\", \"example.org/you/b/cmd\", \"bridge/none\", x.File}\n",
	"docs/page.md":   "The `example.org/you/b/sdk` of \"example.org/you/b/sdk\", bin/bridge/sdk and bridge/none.\n",
	".golangci.yml":  "deny:\n  - pkg: example.org/you/b\n  - pkg: example.org/you/b/sdk$\n  - pkg: example.org/you/b/sdk/manager\n  - pkg: bridgehead\n  desc: bridge\nlocal-prefixes: [example.org/you/b]\n",
}

func writeTree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := readTree(t, dir)
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d: %v", len(got), len(want), got)
	}
}

func TestRenameRewritesEveryFileThatNamesThePath(t *testing.T) {
	dir := writeTree(t, small)
	if err := rename(dir, "example.org/you/b"); err != nil {
		t.Fatal(err)
	}
	renamed := make(map[string]string)
	for name, text := range small {
		renamed[name] = text
		if next, ok := want[name]; ok {
			renamed[name] = next
		}
	}
	wantTree(t, dir, renamed)

	if err := rename(dir, "example.org/you/b/v2"); err != nil { // and again
		t.Fatal(err)
	}
	if got := readTree(t, dir)["docs/page.md"]; !strings.Contains(got, "`example.org/you/b/v2/sdk`") {
		t.Errorf("after the second time: %s", got)
	}
}

func TestPathThatCannotBeFetchedChangesNothing(t *testing.T) {
	for _, to := range []string{
		"", "inlong-bridge", "you/inlong-bridge", "example.org/You bridge", "https://example.org/bridge", "example.org/", "example.org/b/v1",
		"-example.org/b", "example.org/../b", "example.org/b$(touch x)", "EXAMPLE.org/b",
	} {
		dir := writeTree(t, small)
		err := rename(dir, to)
		if err == nil || !strings.Contains(err.Error(), "nothing was changed; hint: make module MODULE=") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want one sentence with a hint", to, err)
		}
		wantTree(t, dir, small)
	}
}

func TestFileThatCannotBeReadChangesNothing(t *testing.T) {
	for name, text := range map[string]string{"sdk/broken.go": "package sdk\n\nvar x = \"bridge/sdk\n", "zzz/go.mod": "no module\n"} {
		files := map[string]string{name: text}
		maps.Copy(files, small)
		dir := writeTree(t, files)
		if err := rename(dir, "example.org/you/b"); err == nil || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), name) {
			t.Errorf("with %s: %v", name, err)
		}
		wantTree(t, dir, files)
	}
}

func TestVersionIsLaidOutAsAProxyServesIt(t *testing.T) {
	files := map[string]string{"go.mod": "module example.org/You/b\n", "sdk/sdk.go": "package sdk\n", "tools/go.mod": "module example.org/You/b/tools\n", "LICENSE": "free\n"}
	dir, proxy := writeTree(t, files), t.TempDir()
	if err := writeVersion(dir, proxy, "v0.1.0"); err != nil {
		t.Fatal(err)
	}
	got := readTree(t, proxy)
	for _, name := range []string{"list", "v0.1.0.info", "v0.1.0.mod", "v0.1.0.zip"} {
		if got["example.org/!you/b/@v/"+name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if err := writeVersion(dir, proxy, "1.0"); err == nil {
		t.Error("1.0 was taken for a version")
	}
}
