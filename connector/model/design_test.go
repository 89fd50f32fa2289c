package model

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDesignNamesRealTests: the pages that say which test guards what name only tests that exist.
func TestDesignNamesRealTests(t *testing.T) {
	const root = "../.."
	least := map[string]int{"DESIGN.md": 5, "docs/data-loss.md": 60, "docs/mutations.md": 100}
	exists := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(src, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`")
	for file, want := range least {
		page, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		names := named.FindAllSubmatch(page, -1)
		if len(names) < want {
			t.Errorf("%s names %d tests, want at least %d; did its tables move?", file, len(names), want)
		}
		for _, m := range names {
			if !exists[string(m[1])] {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
	}
}

// TestDesignNamesRealFiles: the map of DESIGN.md leads to files and packages that exist.
func TestDesignNamesRealFiles(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile("`((?:cmd|connector|deploy|docs|mapping|sdk|testdata)/[\\w./-]+)`").FindAllSubmatch(page, -1)
	if len(paths) < 60 {
		t.Errorf("DESIGN.md names %d files, want at least 60; has the map moved?", len(paths))
	}
	for _, m := range paths {
		name := string(m[1])
		if strings.HasSuffix(name, "/...") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("DESIGN.md leads to %s, which does not exist", name)
		}
	}
}
