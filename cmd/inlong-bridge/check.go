package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newCheck(e *env) *cobra.Command {
	var path string
	var printAll bool
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "check a configuration without connecting anywhere",
		Long: `check reads a configuration and reports all mistakes at once, each with its file, line
and its remedy. It makes no connection. The exit code is 2 if there are mistakes.

--print shows the configuration in force with all defaults and with secrets as ***, the
mode of confirmation, and the limits that follow.`,
		Example: `  inlong-bridge check -c bridge.yaml
  inlong-bridge check -c bridge.yaml --print`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			if printAll {
				return cfg.Print(e.stdout)
			}
			lines := []string{fmt.Sprintf("%s: ok, confirm: %s", path, cfg.ConfirmReason())}
			for _, note := range cfg.Notes() {
				lines = append(lines, "note: "+note)
			}
			_, err = fmt.Fprintln(e.stdout, strings.Join(lines, "\n"))
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&printAll, "print", false, "show the configuration in force, with defaults")
	return cmd
}
