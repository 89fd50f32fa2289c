package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"inlong-bridge/mapping"
)

func newExplain(e *env) *cobra.Command {
	var path, key string
	var headers []string
	cmd := &cobra.Command{
		Use:   "explain -c FILE TOPIC",
		Short: "show where the records of a topic go, and why",
		Long: `explain follows a record of TOPIC through the routes of a configuration. It shows which
rule matches, why the rules before it do not, and the group and stream of the record. Give
--key and --header if the rule uses them. It makes no connection.`,
		Example: `  inlong-bridge explain -c bridge.yaml logs.web
  inlong-bridge explain -c bridge.yaml events --header type=created --key 4711`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, topics []string) error {
			var list []mapping.Header
			for _, h := range headers {
				name, value, ok := strings.Cut(h, "=")
				if !ok || name == "" {
					return usagef("--header %q: want name=value", h)
				}
				list = append(list, mapping.Header{Key: name, Value: []byte(value)})
			}
			var keyBytes []byte // nil: a record without key
			if cmd.Flags().Changed("key") {
				keyBytes = append([]byte{}, key...)
			}
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			text := cfg.Routes.Explain(topics[0], keyBytes, list).String()
			if why := cfg.OwnOutput(topics[0]); why != "" && cfg.Routes.Wants(topics[0]) {
				text += "but     not consumed, because the bridge writes this topic: " + why + "\n"
			}
			_, err = fmt.Fprint(e.stdout, text)
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&key, "key", "", "the record's `key`; without this flag the record has none")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "a header of the record, as `name=value`; may be repeated")
	return cmd
}
