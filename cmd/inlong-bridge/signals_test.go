package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// `timeout 60 inlong-bridge run` signals the process and then its group, which is the same process: that is
// one request to drain, not a second one to stop at once.
func TestSignalSentTwiceForOneRequestDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		drained, stopped := false, false
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			obey(signals, func() { drained = true }, func() { stopped = true })
		}()
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
		synctest.Wait()
		if !drained || stopped {
			t.Fatalf("after one request sent twice: drained %v, stopped %v", drained, stopped)
		}
		time.Sleep(oneRequest)
		signals <- syscall.SIGINT
		<-ended
		if !stopped {
			t.Fatal("a second request did not stop it")
		}
	})
}

// A pipe that nobody writes to, as a shell leaves it behind <(command) that hangs, must not make a command
// that no signal ends.
func TestSignalEndsTheWaitForAConfigurationThatNeverComes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	p := startProcess(t, "check", "-c", pipe)
	// Opened without waiting: it succeeds once the process reads.
	deadline := time.Now().Add(waitLimit)
	for {
		w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			defer func() { _ = w.Close() }()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process does not read its configuration: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	if text := p.stderr.String(); !strings.Contains(text, "hint: if it is a pipe") {
		t.Errorf("it says %q", text)
	}
}
