package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra/doc"
)

// The generator of man pages lives in a test, so that its libraries are not linked into the program.
var (
	manDir  = flag.String("man", "", "write the man pages into this directory")
	manDate = flag.String("man-date", "2026-01-01T00:00:00Z", "the date in the man pages")
)

func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	}
	date, err := time.Parse(time.RFC3339, *manDate)
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(&env{})
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd() // it would come with Execute only
	header := &doc.GenManHeader{Section: "1", Date: &date, Source: "inlong-bridge", Manual: "inlong-bridge"}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	for _, command := range root.Commands() {
		if command.Name() == "help" {
			continue // cobra writes no page about help itself
		}
		page, err := os.ReadFile(filepath.Join(dir, "inlong-bridge-"+command.Name()+".1"))
		if err != nil || !strings.Contains(string(page), ".SH SYNOPSIS") {
			t.Errorf("man page of %s: %d bytes, %v", command.Name(), len(page), err)
		}
	}
}

// TestCompletionIsOffered: a command that --help hides is not found.
func TestCompletionIsOffered(t *testing.T) {
	if _, stdout, _ := invoke(t, "--help"); !strings.Contains(stdout, "completion") {
		t.Errorf("--help does not show completion:\n%s", stdout)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, stdout, _ := invoke(t, "completion", shell)
		if code != exitClean || !strings.Contains(stdout, "inlong-bridge") {
			t.Errorf("completion %s: exit %d, %d bytes", shell, code, len(stdout))
		}
	}
}
