package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSecretIsReadAgainWhenItsFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	put := func(text string, mtime time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	s := SecretFromFile(path)
	want := func(value string) {
		t.Helper()
		if got, err := s.Value(); got != value || err != nil {
			t.Fatalf("Value = %q, %v, want %q", got, err, value)
		}
	}
	old := time.Now().Add(-time.Hour)
	put("one\r\n", old)
	want("one")
	copied := s
	put("longer \n\n", old)
	want("longer ") // by its size
	put("shorty!", old.Add(time.Second))
	want("shorty!") // by its time
	s = copied
	want("shorty!")

	// Two writes of the same length within one tick of the clock, long after the first read.
	now := time.Now()
	put("aaaa", now)
	want("aaaa")
	put("bbbb", now)
	want("bbbb")

	// A rotation by rename, as Kubernetes does, that keeps length and time.
	next := path + ".next"
	if err := os.WriteFile(next, []byte("cccc"), 0o644); err != nil {
		t.Fatal(err)
	}
	put("bbbb", old)
	want("bbbb")
	if err := os.Chtimes(next, old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	want("cccc")
}

func TestUnchangedSecretIsNotReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	s := SecretFromFile(path)
	if _, err := s.Value(); err != nil {
		t.Fatal(err)
	}
	s.file.value = "what was read"
	if got, err := s.Value(); got != "what was read" || err != nil {
		t.Errorf("Value = %q, %v: the file was read again", got, err)
	}
}

func TestSecretFilesThatCannotServeAreErrors(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, secretMax+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "gone"), dir, empty, large} {
		if v, err := SecretFromFile(path).Value(); err == nil || v != "" || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q, %v, want an error that names the file", path, v, err)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s := SASL{Mechanism: "plain", Username: "u", Password: NewSecret("hunter2")}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "sasl", s, "password", s.Password)
	for _, out := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v", s, &s, s), fmt.Sprintf("%s %q %x %v", s.Password, s.Password, s.Password, []any{s.Password}), string(encoded), log.String(),
	} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(out, mask) {
			t.Errorf("printed: %s", out)
		}
	}
}

func TestSecretIsSafeForConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := SecretFromFile(path)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if v, err := s.Value(); v != "one" {
					t.Errorf("Value = %q, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
}
