package kafkaclient

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/sdk/backoff"
)

// logPause is how long a kind of warning that continues is left out after each line.
var logPause = backoff.Backoff{Min: 10 * time.Second, Max: 10 * time.Minute}

// A kind of warning that did not occur for logQuiet, and for its last pause, begins again with the shortest pause.
const logQuiet = time.Minute

// logger passes the client's messages to slog. The key event holds the message, a constant of the client.
type logger struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*logKind // by message; the client has some hundred
}

type logKind struct {
	last    time.Time     // when it was written
	seen    time.Time     // when it last happened
	pause   time.Duration // after last, in which it is not written again
	skipped int
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log, now: time.Now, kinds: make(map[string]*logKind)}
}

// Level asks the client for its info messages, which are debug messages here, only if debug is enabled.
func (l *logger) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log writes errors and warnings as warnings: only the caller of a failed call knows whether it is an error for the
// bridge.
func (l *logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if level != kgo.LogLevelError && level != kgo.LogLevelWarn {
		l.write(slog.LevelDebug, msg, keyvals)
		return
	}
	l.mu.Lock()
	kind, now := l.kinds[msg], l.now()
	if kind == nil {
		kind = &logKind{}
		l.kinds[msg] = kind
	}
	quiet := now.Sub(kind.seen)
	kind.seen = now
	switch {
	case quiet >= max(kind.pause, logQuiet): // this includes the first of its kind
		kind.pause = logPause.Min
	case now.Sub(kind.last) < kind.pause:
		kind.skipped++
		l.mu.Unlock()
		return
	default:
		kind.pause = logPause.Next(kind.pause)
	}
	skipped := kind.skipped
	kind.last, kind.skipped = now, 0
	l.mu.Unlock()
	if skipped > 0 {
		keyvals = append(slices.Clip(keyvals), "left_out", skipped)
	}
	l.write(slog.LevelWarn, msg, keyvals)
}

func (l *logger) write(level slog.Level, msg string, keyvals []any) {
	l.log.Log(context.Background(), level, "kafka client", append([]any{"event", msg}, keyvals...)...)
}
