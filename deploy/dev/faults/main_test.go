package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The sender of a run is this program in a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "send" {
		if err := send(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func build(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "bridge")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../../cmd/inlong-bridge").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// A sender that sends nothing loses everything, or the table could not be believed; package sdk loses nothing.
func TestRunCountsWhatASenderLoses(t *testing.T) {
	binary := build(t)
	for _, c := range []struct {
		name, sender, said string
		arrived            int
	}{
		{"package sdk", "", "final 1000, refused 0, lost 0, left 0", 1000},
		{"nothing", "wc -l", "1000", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := settings{devproxy: []string{binary}, sender: c.sender, records: 1000, rate: 1000, limit: time.Minute}
			r, err := s.run(&fault{begin: killed(100 * time.Millisecond)})
			if err != nil {
				t.Fatal(err)
			}
			if r.handed != 1000 || r.arrived != c.arrived || r.said != c.said {
				t.Errorf("%+v, want %d of 1000 and %q", r, c.arrived, c.said)
			}
		})
	}
	t.Run("a sender that ends early", func(t *testing.T) {
		s := settings{devproxy: []string{binary}, sender: "true", records: 100_000, rate: 100_000, limit: time.Minute}
		if r, err := s.run(&fault{begin: killed(0)}); err == nil {
			t.Errorf("%+v of a sender that reads nothing", r)
		}
	})
}
