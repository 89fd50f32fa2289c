package kafkaclient

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWarningsAreLimitedByKind(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
	now := time.Now()
	l.now = func() time.Time { return now }
	lines := func() []string {
		defer out.Reset()
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}

	for range 100 {
		l.Log(kgo.LogLevelWarn, "unable to open connection", "addr", "kafka-1:9092")
	}
	l.Log(kgo.LogLevelError, "another kind")
	l.Log(kgo.LogLevelInfo, "not wanted at level info")
	got := lines()
	if len(got) != 2 || !strings.Contains(got[0], "addr=kafka-1:9092") || strings.Contains(got[0], "left_out") || !strings.Contains(got[1], "another kind") {
		t.Fatalf("got %q, want one line of each kind", got)
	}

	now = now.Add(logPause.Min)
	l.Log(kgo.LogLevelWarn, "unable to open connection", "addr", "kafka-2:9092")
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "left_out=99") {
		t.Errorf("got %q, want one line with left_out=99", got)
	}
}

// A broker that is away for hours is an event every few milliseconds to the client, and one line in ten
// minutes to whoever reads the log; its next failure after a good time is news again.
func TestWarningThatGoesOnIsWrittenEverMoreSeldom(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(slog.New(slog.NewTextHandler(&out, nil)))
	now := time.Now()
	l.now = func() time.Time { return now }
	written := func(d, every time.Duration) int {
		out.Reset()
		for end := now.Add(d); now.Before(end); now = now.Add(every) {
			l.Log(kgo.LogLevelWarn, "unable to open connection")
		}
		return strings.Count(out.String(), "\n")
	}
	if n := written(time.Hour, 10*time.Second); n > 12 {
		t.Errorf("%d lines in the first hour, want at most 12", n)
	}
	if n := written(time.Hour, 10*time.Second); n < 5 || n > 7 {
		t.Errorf("%d lines in the second hour, want one in ten minutes", n)
	}
	now = now.Add(logPause.Max)
	if n := written(15*time.Second, time.Second); n != 2 {
		t.Errorf("%d lines in 15 s after a quiet time, want 2", n)
	}
}

func TestClientIsVerboseOnlyAtDebug(t *testing.T) {
	for level, want := range map[slog.Level]kgo.LogLevel{slog.LevelInfo: kgo.LogLevelWarn, slog.LevelDebug: kgo.LogLevelInfo} {
		l := newLogger(slog.New(slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: level})))
		if got := l.Level(); got != want {
			t.Errorf("at %v the client logs %v, want %v", level, got, want)
		}
	}
}
