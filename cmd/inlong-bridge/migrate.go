package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
)

func newMigrate(e *env) *cobra.Command {
	var path string
	var skip skipFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate -c FILE",
		Short: "move everything up to now, and prove it",
		Long: `migrate takes the end offsets of all partitions at its start, moves everything up to them,
and ends. At its start it waits for Kafka as run does (kafka.start_timeout). It resumes from
the committed offsets of its consumer group. The commits of a partition carry its books, so
they cover all restarts and replicas:
start + final + skipped + gap + lost + dead-lettered + skipped by hand = committed.

The last line shows the result (PASS, UNFINISHED, FAIL or UNPROVEN), the mode of
confirmation and what it proves, and the sums.

Exit codes: 0 PASS; 1 failure while running; 2 bad usage or configuration; 3 UNFINISHED: a
partition is open or stopped, and its reason says whether another start helps; 4 FAIL:
records are lost or missing; 5 UNPROVEN: offsets were committed before the books began or
passed over by kafka.start (latest, file), or the mode is ack. If several apply, the first
of 1, 4, 3 and 5 counts.`,
		Example: `  inlong-bridge migrate -c migration.yaml
  inlong-bridge migrate -c migration.yaml --json | tail -n 1`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			skips, err := skip.requests()
			if err != nil {
				return err
			}
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			log := e.startLog(cfg.Log)
			bridge, err := newBridge(cfg, log, skips...)
			if err != nil {
				return err
			}
			progress := newMigrateProgress(e, log, cfg, asJSON)
			report, err := bridge.Migrate(cmd.Context(), e.hard, progress.show)
			progress.live.clear()
			if err != nil && len(report.Partitions) == 0 {
				return err
			}
			if err := printReport(e.stdout, report, asJSON); err != nil {
				return err
			}
			return migrateError(report, err)
		},
	}
	configFlag(cmd, &path)
	skip.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as one JSON object on stdout, the progress on stderr")
	return cmd
}

// migrateError turns a report into an exit code. A failure while running comes before everything else, and lost records
// come before unfinished work.
func migrateError(v connector.Report, err error) error {
	if err != nil && !errors.Is(err, connector.ErrUnfinished) {
		return err
	}
	switch v.Result {
	case connector.Fail:
		return &codedError{exitLost, errors.New("records are lost or missing; the table shows where")}
	case connector.Unfinished:
		if err != nil {
			return err
		}
		return &codedError{exitUnfinished, fmt.Errorf("%d of %d partitions are open; the table shows why, and whether another start helps",
			v.Sums.Partitions-v.Sums.Closed, v.Sums.Partitions)}
	case connector.Unproven:
		return &codedError{exitUnproven, errors.New("not everything was proven; the table shows what was not")}
	case connector.Pass:
	}
	return err
}

// migrateProgress turns sums into a line with a rate.
type migrateProgress struct {
	live  *live
	start time.Time

	log  *slog.Logger // used instead of live when both would write to one stream; otherwise nil
	last time.Time    // time of the last line
}

// newMigrateProgress shows progress on stdout, or on stderr beside a report that is JSON.
func newMigrateProgress(e *env, log *slog.Logger, cfg *config.Config, asJSON bool) *migrateProgress {
	out := e.stdout
	if asJSON {
		out = e.stderr
	}
	m := &migrateProgress{live: newLive(out), start: time.Now()}
	if asJSON && cfg.Log.Format == "json" {
		m.log = log
	}
	return m
}

func (m *migrateProgress) show(p connector.Progress) {
	now := time.Now()
	perSecond := int64(float64(p.Moved) / max(0.001, now.Sub(m.start).Seconds()))
	if m.log != nil {
		if now.Sub(m.last) >= liveEvery {
			m.last = now
			m.log.Info("migration progress", "offsets_safe", p.Moved, "offsets", p.Offsets, "partitions_done", p.Done, "partitions", p.Partitions,
				"offsets_per_second", perSecond, "waiting", p.Reason)
		}
		return
	}
	share := 1.0
	if p.Offsets > 0 {
		share = float64(p.Moved) / float64(p.Offsets)
	}
	line := fmt.Sprintf("%s of %s offsets safe, %d of %d partitions done, %s/s",
		thousands(p.Moved), thousands(p.Offsets), p.Done, p.Partitions,
		thousands(perSecond))
	if p.Reason != "" {
		line += ", waiting: " + p.Reason
	}
	m.live.update(now, share, line)
}

func printReport(w io.Writer, v connector.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	var failed error
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(t, format, args...)
		failed = errors.Join(failed, err)
	}
	line("TOPIC\tPARTITION\tSTART\tEND\tCOMMITTED\tFINAL\tSKIPPED\tGAP\tLOST\tDEAD\tBY HAND\tPASSED OVER\tNOT PROVEN\tRESULT\n")
	for i := range v.Partitions {
		p := &v.Partitions[i]
		result := "closed"
		if !p.Closed {
			result = string(p.Result)
		}
		if p.Reason != "" {
			result += ": " + p.Reason
		}
		line("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", p.Topic, p.Partition, p.Start, p.End, p.Committed,
			p.Final, p.Skipped, p.Gap, p.Lost, p.DeadLettered, p.SkippedByHand, p.PassedOver, p.NotProven, result)
	}
	if err := errors.Join(failed, t.Flush()); err != nil {
		return err
	}
	if v.Queue != nil {
		if err := printQueue(w, v); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s\n", v.String())
	return err
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
