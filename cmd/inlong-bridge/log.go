package main

import (
	"io"
	"log/slog"
	"sync/atomic"

	"inlong-bridge/connector/config"
)

// lastWords tells why the process ends. A person reads it on standard error; where a configuration asks for a log in
// JSON, whoever collects that reads it there, and a line in another form would be lost.
type lastWords struct {
	stderr io.Writer
	log    atomic.Pointer[slog.Logger] // nil for text
}

func (w *lastWords) say(code int, text string) {
	if log := w.log.Load(); log != nil {
		log.Error("process ends with an error", "err", text, "exit_code", code)
		return
	}
	printf(w.stderr, "inlong-bridge: %s\n", text)
}

// startLog makes the log of a command that moves records. From then on lines of libraries that know no logger, and
// the last words of the process, go there too.
func (e *env) startLog(cfg config.Log) *slog.Logger {
	log := newLogger(cfg, e.stderr)
	slog.SetDefault(log)
	if cfg.Format == "json" {
		e.last.log.Store(log)
	}
	return log
}

func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // the configuration was checked, so this is a caller without one
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: plainAttr}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// plainAttr gives attributes one form, whichever library they come from and whichever handler writes them: a duration
// is a text with its unit, which JSON would have as a number of nanoseconds, and an error has the key err.
func plainAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	if a.Key == "error" {
		a.Key = "err"
	}
	return a
}
