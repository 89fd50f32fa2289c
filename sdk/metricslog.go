package sdk

import (
	"context"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// WithMetricsLog writes to the logger, every interval and at the end, one line for each stream with
// what happened since the line before (none if nothing did), and one that tells where the sender runs.
// 0, the default, writes none.
func WithMetricsLog(interval time.Duration) Option {
	return optionFunc(func(o *options) { o.metricsLog = interval })
}

// metricsLoop writes the lines of WithMetricsLog. It ends with ctx.
func (s *Sender) metricsLoop() {
	ticker := time.NewTicker(s.o.metricsLog)
	defer ticker.Stop()
	var before metricsLines
	for last := false; !last; {
		select {
		case <-s.ctx.Done():
			last = true
		case <-ticker.C:
		}
		status := s.Status()
		before = s.logMetrics(&status, before)
	}
}

// metricsLines is what the lines spoke of last.
type metricsLines map[streamKey]*StreamStatus

func (s *Sender) logMetrics(status *Status, before metricsLines) metricsLines {
	s.o.logger.Info("sender", "instance", status.Instance, "version", moduleVersion(), "go", runtime.Version(), "pid", os.Getpid(),
		"address", s.localAddress(), "confirm", status.Confirm, "proxies", len(status.EndpointSeries()), "streams", len(status.Streams),
		"used_bytes", status.UsedBytes, "budget_bytes", status.BudgetBytes)
	failures := make(map[string]uint64)
	for _, g := range status.Discovery.Groups {
		failures[g.Group] = g.Failures
	}
	now := make(metricsLines)
	for _, st := range status.StreamSeries() {
		key := streamKey{st.Group, st.Stream}
		now[key] = &st
		d := st
		if b := before[key]; b != nil && b.opening == st.opening {
			d.since(b)
		}
		if d.counted() {
			s.o.logger.LogAttrs(context.Background(), slog.LevelInfo, "sender metrics", d.line(failures[st.Group])...)
		}
	}
	return now
}

// counted reports whether anything was.
func (s *StreamStatus) counted() bool {
	for _, n := range s.counters() {
		if *n > 0 {
			return true
		}
	}
	return false
}

// line is the counts of an interval. The number of failures to ask the Manager is that since the start.
func (s *StreamStatus) line(failures uint64) []slog.Attr {
	t := &s.TotalTime
	return []slog.Attr{
		slog.String("group", s.Group), slog.String("stream", s.Stream),
		slog.Uint64("records", s.Records), slog.Uint64("record_bytes", s.RecordBytes), slog.Uint64("wire_bytes", s.WireBytes),
		slog.Uint64("packs_final", s.PacksFinal), slog.Uint64("records_final", s.RecordsFinal),
		slog.Uint64("packs_failed", s.PacksLost+s.PacksRefused), slog.Uint64("records_failed", s.RecordsLost+s.RecordsRefused),
		slog.Uint64("packs_resent", s.PacksResent),
		slog.Uint64("buffer_full", s.BufferFull), slog.Uint64("too_large", s.TooLarge), slog.Uint64("metadata_failures_total", failures),
		slog.Duration("mean_time", t.Mean()),
		slog.Uint64("to_32ms", t.upTo(0, 32*time.Millisecond)), slog.Uint64("to_128ms", t.upTo(32*time.Millisecond, 128*time.Millisecond)),
		slog.Uint64("to_1024ms", t.upTo(128*time.Millisecond, 1024*time.Millisecond)), slog.Uint64("above_1024ms", t.upTo(1024*time.Millisecond, 0)),
	}
}

// localAddress is ours on one of the connections, empty without any.
func (s *Sender) localAddress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ep := range s.proxies.endpointList {
		for _, c := range ep.life.Conns() {
			if host, _, err := net.SplitHostPort(s.conns.at(c.Ref).nc.LocalAddr().String()); err == nil {
				return host
			}
		}
	}
	return ""
}

// moduleVersion is the version of the program, as its build says.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
