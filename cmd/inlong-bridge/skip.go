package main

import (
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/startfile"
)

// skipFlags are the flags by which a person skips single records.
type skipFlags struct {
	records  []string
	who, why string
}

func (f *skipFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.records, "skip", nil, "skip the `record` topic:topic-id/partition@offset if its partition stops there")
	cmd.Flags().StringVar(&f.why, "skip-why", "", "`text` that says why, for the log; needed with --skip")
	cmd.Flags().StringVar(&f.who, "skip-who", "", "`name` of who says so, for the log (default the user's name)")
}

// requests returns what is to be skipped. An error is one of usage.
func (f *skipFlags) requests() (skips []connector.HandSkip, err error) {
	if len(f.records) == 0 {
		if f.why != "" || f.who != "" {
			return nil, usagef("--skip-why and --skip-who belong to --skip, which is not given")
		}
		return nil, nil
	}
	who, why := strings.TrimSpace(f.who), strings.TrimSpace(f.why)
	if why == "" {
		return nil, usagef("--skip needs --skip-why: the log keeps who skipped a record and why")
	}
	if who == "" {
		u, err := user.Current()
		if err != nil {
			return nil, usagef("--skip needs --skip-who: the user's name is not known (%v)", err)
		}
		who = u.Username
	}
	for _, text := range f.records {
		e, err := startfile.ParseEntry(text)
		if err != nil {
			return nil, usagef("--skip: %v; the line that stops the partition has it ready to copy", err)
		}
		skips = append(skips, connector.HandSkip{Entry: e, Who: who, Why: why})
	}
	return skips, nil
}
