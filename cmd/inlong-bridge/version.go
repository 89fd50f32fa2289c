package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"inlong-bridge/connector/config"
)

// Set by the linker; see the Makefile. The date is the commit's: two builds of one commit are the same bytes.
var version, commit, date string

func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print version, commit, its date and Go version",
		Example: "  inlong-bridge version",
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v, c := buildVersion()
			text := fmt.Sprintf("inlong-bridge %s\ncommit        %s\ndate          %s\ngo            %s %s/%s\n",
				v, c, buildDate(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if !config.HasPulsar {
				text += "without       Pulsar (build tag nopulsar)\n"
			}
			_, err := fmt.Fprint(e.stdout, text)
			return err
		},
	}
}

// buildVersion returns what the linker set, or else what Go recorded about the build.
func buildVersion() (v, c string) {
	v, c = version, commit
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if v == "" {
		v = info.Main.Version
	}
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && commit == "":
			c = s.Value
		case s.Key == "vcs.modified" && s.Value == "true" && commit == "":
			modified = " (modified)"
		}
	}
	if c == "" {
		return v, "unknown"
	}
	return v, c + modified
}

// buildDate returns when the commit was made.
func buildDate() string {
	if date != "" {
		return date
	}
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				return s.Value
			}
		}
	}
	return "unknown"
}
