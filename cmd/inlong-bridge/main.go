// Command inlong-bridge moves Kafka topics into Apache InLong and commits an offset only when the record
// behind it is safe on the other side. One file per command; main.go holds what they share: signals, exit
// codes and the reporting of errors.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
)

// Exit codes; they are part of the interface and stand in the help text and in README.md. Where several hold,
// the first of 1, 4, 3 and 5 is given.
const (
	exitClean      = 0 // the result of a migration: PASS
	exitFailure    = 1 // something went wrong while running
	exitUsage      = 2 // bad flags, arguments or configuration: trying again does not help
	exitUnfinished = 3 // work is left, or a partition is stopped; the reason says whether starting again helps
	exitLost       = 4 // records are lost or missing
	exitUnproven   = 5 // nothing is known to be missing, but not everything was proven
)

// oneRequest is how far apart two signals must be to count as two requests.
const oneRequest = 100 * time.Millisecond

// hardLimit is how long a command may take to stop after the second signal.
const hardLimit = 3 * time.Second

func main() {
	last := &lastWords{stderr: os.Stderr}
	soft, hard := stopContexts(last)
	os.Exit(runWith(soft, hard, os.Args[1:], os.Stdout, last))
}

// stopContexts returns one context that ends with the first SIGTERM or SIGINT and one that ends with the
// second. If the command does not stop soon after that, the process ends.
func stopContexts(last *lastWords) (soft, hard context.Context) {
	soft, drain := context.WithCancel(context.Background())
	hard, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		obey(signals, drain, stop)
		time.AfterFunc(hardLimit, func() {
			last.say(exitUnfinished, fmt.Sprintf("still running %v after the second signal, giving up", hardLimit))
			os.Exit(exitUnfinished)
		})
	}()
	return soft, hard
}

// obey calls drain at the first signal and stop at the second, and then returns. Signals within oneRequest are one
// request: timeout(1) and some supervisors signal the process and then its group.
func obey(signals <-chan os.Signal, drain, stop func()) {
	<-signals
	asked := time.Now()
	drain()
	for range signals {
		if time.Since(asked) >= oneRequest {
			break
		}
	}
	stop()
}

// runWith is one invocation. soft asks a long-running command to finish its work, hard to stop at once.
func runWith(soft, hard context.Context, args []string, stdout io.Writer, last *lastWords) int {
	stderr := last.stderr
	root := newRoot(&env{hard: hard, stdout: stdout, stderr: stderr, last: last})
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(soft)
	if err == nil {
		return exitClean
	}
	// Each line begins with its place, so that an editor can jump there; a prefix would prevent that.
	if problems, ok := errors.AsType[config.Problems](err); ok {
		printf(stderr, "%s\n", problems.Error())
		printf(stderr, "inlong-bridge: %d %s in the configuration\n", len(problems), plural(len(problems), "mistake"))
		return exitUsage
	}
	code := exitCode(err)
	if text := err.Error(); text != "" {
		last.say(code, text)
	}
	return code
}

func exitCode(err error) int {
	var usage *usageError
	var coded *codedError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, connector.ErrUnfinished), errors.Is(err, connector.ErrNoBooks):
		return exitUnfinished
	default:
		return exitFailure
	}
}

// env is what a command gets besides its flags.
type env struct {
	hard           context.Context // ends when the command must stop at once
	stdout, stderr io.Writer
	last           *lastWords
}

// usageError is a mistake in flags, arguments or the configuration file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// codedError ends the program with its code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

const rootHelp = `inlong-bridge moves Kafka topics into Apache InLong through DataProxy, and commits a
Kafka offset only when the record behind it is safe on the other side.

Exit codes: 0 clean (PASS), 1 failure while running, 2 bad usage or configuration,
3 UNFINISHED (work is left or a partition is stopped; the reason says whether another start
helps), 4 FAIL (records are lost or missing), 5 UNPROVEN (nothing is known to be missing,
but not everything was proven). If several apply, the first of 1, 4, 3 and 5 counts.`

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "inlong-bridge",
		Short: "move Kafka topics into Apache InLong",
		Long:  rootHelp,
		Example: `  inlong-bridge demo
  inlong-bridge check -c bridge.yaml
  inlong-bridge run -c bridge.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := "see inlong-bridge --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean " + strings.Join(near, " or ") + "?"
			}
			return usagef("unknown command %q; hint: %s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(e.stderr)
			_ = cmd.Help()
			return usagef("no command given")
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Version, _ = buildVersion()
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; hint: see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newRun(e), newMigrate(e), newDemo(e), newDevproxy(e),
		newRequeue(e), newLedger(e), newDecode(e), newCheck(e), newExplain(e), newOffsets(e), newHealth(e), newVersion(e),
	)
	return root
}

// args wraps one of cobra's checks of arguments, so that a mistake counts as bad usage and the error names the right form.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if check(cmd, given) == nil {
			return nil
		}
		return usagef("wrong arguments %q; hint: the form is %s", given, cmd.UseLine())
	}
}

// configFlag adds -c, which every command that reads a configuration needs.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "the configuration `file`")
}

// loadConfig reads and checks the file of -c. Every error is one that the user can fix.
func loadConfig(cmd *cobra.Command, path string) (*config.Config, error) {
	if path == "" {
		return nil, usagef("no configuration given; hint: %s -c bridge.yaml", cmd.CommandPath())
	}
	// The file may be a pipe to which nobody writes: a signal ends the wait, and the process.
	var cfg *config.Config
	var err error
	read := make(chan struct{})
	go func() {
		defer close(read)
		cfg, err = config.Load(path)
	}()
	select {
	case <-read:
	case <-cmd.Context().Done():
		return nil, usagef("reading configuration %s: stopped before the end of the file; hint: if it is a pipe, something must write to it and close it", path)
	}
	if err != nil {
		return nil, &usageError{err}
	}
	return cfg, nil
}

// printf writes for people. It ignores errors: an output that cannot be written, such as a closed terminal, is no
// reason to stop moving records.
func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
