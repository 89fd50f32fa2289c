package main

import (
	"errors"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
)

func newLedger(e *env) *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ledger -c FILE",
		Short: "print the books of a consumer group",
		Long: `ledger prints what became of every offset that the consumer group of the configuration has
committed, a row per partition and a line with the sums. The books are in the commits, so
they cover all restarts and replicas, and ledger works beside a running bridge and after
one that has ended or crashed:
start + final + skipped + gap + lost + dead-lettered + skipped by hand = committed.

It reads and changes nothing else. It lists the topics that the group has commits of. What
lies between the committed offset and the end of the log is not in the books yet, and has no
part in the result.

Exit codes: 0 PASS; 1 Kafka cannot be asked; 2 bad usage or configuration; 3 UNFINISHED: the
group has no commit, or a partition has none that can be believed, and its reason says why;
4 FAIL: records are lost; 5 UNPROVEN: offsets were committed before the books began or
passed over by kafka.start (latest, file), or the mode is ack. If several apply, the first
of 1, 4, 3 and 5 counts.`,
		Example: `  inlong-bridge ledger -c bridge.yaml
  inlong-bridge ledger -c bridge.yaml --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			report, err := connector.Ledger(cmd.Context(), cfg, connector.Deps{Log: e.startLog(cfg.Log)})
			if err != nil {
				if cmd.Context().Err() != nil {
					return errors.New("stopped before Kafka answered")
				}
				return err
			}
			if err := printReport(e.stdout, report, asJSON); err != nil {
				return err
			}
			return migrateError(report, nil)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as one JSON object on stdout")
	return cmd
}
