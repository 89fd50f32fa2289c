package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
)

func newRun(e *env) *cobra.Command {
	var path string
	var skip skipFlags
	cmd := &cobra.Command{
		Use:   "run -c FILE",
		Short: "move records until told to stop",
		Long: `run moves records until it gets SIGTERM or SIGINT. Then it drains: it fetches nothing new,
waits at most delivery.drain until everything in hand is safe, commits, and leaves the
group. A second signal stops it at once. At its start it waits at most
kafka.start_timeout for Kafka, the Manager and the first topic; /readyz and the log show
what it waits for.

Exit codes: 0 everything was drained; 1 failure; 2 bad configuration; 3 work is left, which
the next start repeats, or a partition is stopped, and its reason says what to do.`,
		Example: "  inlong-bridge run -c bridge.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			skips, err := skip.requests()
			if err != nil {
				return err
			}
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			bridge, err := newBridge(cfg, e.startLog(cfg.Log), skips...)
			if err != nil {
				return err
			}
			return bridge.Run(cmd.Context(), e.hard)
		},
	}
	configFlag(cmd, &path)
	skip.register(cmd)
	return cmd
}

// newBridge builds the connector for run, migrate and demo.
func newBridge(cfg *config.Config, log *slog.Logger, skip ...connector.HandSkip) (*connector.Bridge, error) {
	return connector.New(cfg, bridgeDeps(log, skip))
}

// bridgeDeps are what a command gives the connector.
func bridgeDeps(log *slog.Logger, skip []connector.HandSkip) connector.Deps {
	v, _ := buildVersion()
	return connector.Deps{Log: log, Version: v, Skip: skip}
}
