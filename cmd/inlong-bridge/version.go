package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker; see the Makefile.
var version, commit string

func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print version, commit and Go version",
		Example: "  inlong-bridge version",
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v, c := buildVersion()
			_, err := fmt.Fprintf(e.stdout, "inlong-bridge %s\ncommit        %s\ngo            %s %s/%s\n",
				v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// buildVersion returns what the linker was told, or else what Go recorded about the build.
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
