package sdk_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"inlong-bridge/sdk"
)

// logbook keeps the lines of a logger, without their times.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// take returns the lines about the sender, and those about streams, since the last call.
func (l *logbook) take() (sender, streams []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		switch line = strings.TrimSpace(line); {
		case strings.Contains(line, "msg=sender "):
			sender = append(sender, line)
		case strings.Contains(line, `msg="sender metrics" `):
			streams = append(streams, line)
		}
	}
	l.buf.Reset()
	return sender, streams
}

func TestMetricsAreLoggedSinceTheLastLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log logbook
		e := setup(t, 1, sdk.WithMetricsLog(time.Minute), sdk.WithMetricStreams(1), sdk.WithLogger(log.logger()))
		e.proxies[0].AckDelay(50 * time.Millisecond)
		settle(time.Second)
		e.batch(e.stream("s"), 10)
		e.batch(e.stream("t"), 3)
		e.batch(e.stream("u"), 4)
		settle(30 * time.Second)
		if early, _ := log.take(); len(early) > 0 {
			t.Errorf("logged before the interval was over: %q", early)
		}
		settle(30 * time.Second)
		env, got := log.take()
		if len(env) != 1 || !strings.Contains(env[0], "instance="+e.sender.Instance()) ||
			!strings.Contains(env[0], "proxies=1 streams=3 ") || !strings.Contains(env[0], " pid=") || strings.Contains(env[0], `address=""`) {
			t.Errorf("lines about the sender: %q", env)
		}
		if len(got) != 2 {
			t.Fatalf("lines %q, want one for s and one for the others", got)
		}
		for i, want := range []string{"group=g stream=s records=10 ", "group=other stream=other records=7 "} {
			if !strings.Contains(got[i], want) {
				t.Errorf("line %q, want it to have %q", got[i], want)
			}
		}
		for _, want := range []string{"packs_final=1 records_final=10 packs_failed=0 ", " to_32ms=0 to_128ms=10 to_1024ms=0 above_1024ms=0"} {
			if !strings.Contains(got[0], want) {
				t.Errorf("line %q, want it to have %q", got[0], want)
			}
		}
		e.proxies[0].AckDelay(2 * time.Second)
		e.batch(e.stream("s"), 5)
		settle(time.Minute)
		if _, got := log.take(); len(got) != 1 || !strings.Contains(got[0], "stream=s records=5 ") ||
			!strings.Contains(got[0], " to_128ms=0 to_1024ms=0 above_1024ms=5") {
			t.Errorf("lines %q, want what came since the first", got)
		}
		settle(time.Minute)
		if _, got := log.take(); len(got) != 0 {
			t.Errorf("lines %q, though nothing happened", got)
		}
		e.batch(e.stream("s"), 2)
		e.close(10 * time.Second)
		if _, got := log.take(); len(got) != 1 || !strings.Contains(got[0], "records_final=2 ") {
			t.Errorf("lines %q, want the last records told at the end", got)
		}
	})
}

func TestOptionsOfMetricsAreChecked(t *testing.T) {
	for _, opts := range [][]sdk.Option{
		{sdk.WithMetricsLog(time.Minute)}, // no logger
		{sdk.WithMetricsLog(-1), sdk.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil)))},
		{sdk.WithMetricStreams(0)},
	} {
		if s, err := sdk.New(t.Context(), append(opts, sdk.WithProxies("dp:1"))...); err == nil {
			_ = s.Close(context.Background())
			t.Errorf("New with %d options took them", len(opts))
		} else if !strings.Contains(err.Error(), "WithMetric") {
			t.Errorf("New: %v, want it to name the option", err)
		}
	}
}
