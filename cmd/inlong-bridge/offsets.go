package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
)

func newOffsets(e *env) *cobra.Command {
	var path, group string
	cmd := &cobra.Command{
		Use:   "offsets -c FILE",
		Short: "print a group's committed offsets for kafka.start_file",
		Long: `offsets prints where a consumer group stands in the topics that the routes of a
configuration consume: one line topic:topic-id/partition@offset per partition, as
kafka.start_file wants it. A partition without a usable offset gets a comment that says
why, and no line. It reads only, and commits nothing.

--group names another group than kafka.group: its offsets let a new group begin where the
old one stands. Stop the old group's members first; they move on otherwise.`,
		Example: `  inlong-bridge offsets -c bridge.yaml
  inlong-bridge offsets -c bridge.yaml --group old-connector > start.offsets`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			return connector.Offsets(cmd.Context(), cfg, connector.Deps{Log: e.startLog(cfg.Log)}, cmp.Or(group, cfg.Kafka.Group), e.stdout)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&group, "group", "", "the `name` of the group; without this flag it is kafka.group")
	return cmd
}
