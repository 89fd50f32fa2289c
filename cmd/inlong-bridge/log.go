package main

import (
	"io"
	"log/slog"
	"sync/atomic"

	"inlong-bridge/connector/config"
)

// lastWords reports why the process ends: as plain text on standard error for a person, or as a line of the log if the
// configuration asks for JSON, because a log collector would drop a line in another format.
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

// startLog makes the log of a command that moves records. From then on the lines of libraries without a logger, and the
// last words of the process, go there too.
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
		level = slog.LevelInfo // the configuration was checked, so the caller has none
	}
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: plainAttr}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// plainAttr gives attributes one form, whichever library logs them and whichever handler writes them: a duration is a
// string with its unit, which JSON would write as a number of nanoseconds, and an error has the key err.
func plainAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	if a.Key == "error" {
		a.Key = "err"
	}
	return a
}
