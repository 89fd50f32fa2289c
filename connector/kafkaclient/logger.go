package kafkaclient

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A kind of warning that goes on is written again after logEvery, and after twice as long each time, up to
// logSeldom. One that was quiet for as long as that, and for logQuiet, starts anew.
const (
	logEvery  = 10 * time.Second
	logSeldom = 10 * time.Minute
	logQuiet  = time.Minute
)

// logger hands the client's events to slog: what happened is the key event, a constant of the client.
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
	quiet := now.Sub(kind.seen)
	kind.seen = now
	switch {
	case quiet >= max(kind.pause, logQuiet): // also the first of its kind
		kind.pause = logEvery
	case now.Sub(kind.last) < kind.pause:
		kind.skipped++
		l.mu.Unlock()
		return
	default:
		kind.pause = min(2*kind.pause, logSeldom)
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
