package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newDevproxy(*env) *cobra.Command {
	return &cobra.Command{Use: "devproxy", RunE: func(*cobra.Command, []string) error { return errors.ErrUnsupported }}
}
