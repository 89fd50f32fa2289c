// Package leaktest fails tests that leave goroutines behind. It is for tests only.
//
// The package serves this module's own packages and promises no stable API.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end: connections that were closed take a moment to notice, and machines
// that run many tests at once are slow.
const patience = 10 * time.Second

// Main runs the tests of a package, and fails the package if a goroutine is left when all of them have ended.
func Main(m *testing.M, ignore ...goleak.Option) {
	code := m.Run()
	if fuzzing := flag.Lookup("test.fuzz"); code == 0 && (fuzzing == nil || fuzzing.Value.String() == "") { // the fuzzing engine keeps goroutines
		if err := find(patience, ignore); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Check fails t if a goroutine that did not exist at the call is left when the test has ended and everything registered
// with t.Cleanup after the call is done. t must not run in parallel with other tests.
func Check(t testing.TB, ignore ...goleak.Option) {
	t.Helper()
	ignore = append(ignore, goleak.IgnoreCurrent())
	t.Cleanup(func() {
		if err := find(patience, ignore); err != nil {
			t.Error(err)
		}
	})
}

// find looks until nothing is left; goleak alone gives up after half a second.
func find(within time.Duration, ignore []goleak.Option) (err error) {
	for deadline := time.Now().Add(within); ; {
		if err = goleak.Find(ignore...); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
