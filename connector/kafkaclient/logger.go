package kafkaclient

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logEvery is how often one kind of warning is written.
const logEvery = 10 * time.Second

// logger hands the client's events to slog: what happened is the key event, a constant of the client.
type logger struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*logKind // by message; the client has some hundred
}

type logKind struct {
	last    time.Time
	skipped int
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log, now: time.Now, kinds: make(map[string]*logKind)}
}

// Level asks the client for its own info, which is our debug, only when debug is wanted.
func (l *logger) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log writes errors and warnings as warnings: whether one of them is an error for the bridge is known
// only where the failed call returns.
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
	if !kind.last.IsZero() && now.Sub(kind.last) < logEvery {
		kind.skipped++
		l.mu.Unlock()
		return
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
