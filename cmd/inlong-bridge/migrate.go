package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
)

func newMigrate(e *env) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "migrate -c FILE",
		Short: "move everything up to now, and prove it",
		Long: `migrate takes the end offsets of all partitions at its start, moves everything up to them
and ends. The verdict closes the books of each partition: final + skipped + gap = end -
start, with nothing lost. It resumes from the committed offsets of its consumer group.

Exit code 0 only when every partition is closed, 3 when a signal stopped it before that.`,
		Example: `  inlong-bridge migrate -c migration.yaml
  inlong-bridge migrate -c migration.yaml --json | tail -n 1`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			bridge, err := newBridge(cfg, e.stderr)
			if err != nil {
				return err
			}
			out := e.stdout
			if asJSON {
				out = e.stderr
			}
			progress := &migrateProgress{live: newLive(out), start: time.Now()}
			verdict, err := bridge.Migrate(cmd.Context(), e.hard, progress.show)
			progress.live.clear()
			if err != nil && len(verdict.Partitions) == 0 {
				return err
			}
			if err := printVerdict(e.stdout, verdict, asJSON); err != nil {
				return err
			}
			return migrateError(verdict, err)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as one JSON object on stdout, the progress on stderr")
	return cmd
}

// migrateError is nil only for a verdict that is closed.
func migrateError(v connector.Verdict, err error) error {
	open := 0
	for _, p := range v.Partitions {
		if !p.Closed {
			open++
		}
	}
	switch {
	case err != nil:
		return err
	case open > 0 || !v.Closed:
		return fmt.Errorf("%d of %d partitions are not closed; hint: the table says why, start again to go on where this one stopped",
			open, len(v.Partitions))
	}
	return nil
}

// migrateProgress turns sums into a line with a rate.
type migrateProgress struct {
	live  *live
	start time.Time
}

func (m *migrateProgress) show(p connector.Progress) {
	now := time.Now()
	share := 1.0
	if p.Offsets > 0 {
		share = float64(p.Moved) / float64(p.Offsets)
	}
	line := fmt.Sprintf("%s of %s offsets safe, %d of %d partitions done, %s/s",
		thousands(p.Moved), thousands(p.Offsets), p.Done, p.Partitions,
		thousands(int64(float64(p.Moved)/max(0.001, now.Sub(m.start).Seconds()))))
	if p.Reason != "" {
		line += ", waiting: " + p.Reason
	}
	m.live.update(now, share, line)
}

func printVerdict(w io.Writer, v connector.Verdict, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	var failed error
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(t, format, args...)
		failed = errors.Join(failed, err)
	}
	line("TOPIC\tPARTITION\tSTART\tEND\tCOMMITTED\tFINAL\tSKIPPED\tGAP\tLOST\tVERDICT\n")
	for _, p := range v.Partitions {
		verdict := "closed"
		if !p.Closed {
			verdict = "OPEN"
		}
		if p.Reason != "" {
			verdict += ": " + p.Reason
		}
		line("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", p.Topic, p.Partition, p.Start, p.End, p.Committed,
			p.Final, p.Skipped, p.Gap, p.Lost, verdict)
	}
	return errors.Join(failed, t.Flush())
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
