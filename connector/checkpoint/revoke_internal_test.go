package checkpoint

import (
	"sync/atomic"
	"testing"
)

// TestRevokeSettlesWhetherACommitIsInFlight: what the caller of Revoke sees right after it is final. Were
// the flag read under another lock than the mark is set under, then: 1. a commit reads the flag, not
// revoked; 2. Revoke returns, the partition moves to another process; 3. the commit begins after all and
// moves that process's offset.
func TestRevokeSettlesWhetherACommitIsInFlight(t *testing.T) {
	for round := range 10_000 {
		p := New(0)
		s := p.Begin(0, 10)
		p.End(s)
		var ready, done atomic.Bool
		var began bool
		go func() {
			ready.Store(true)
			_, began = p.BeginCommit()
			done.Store(true)
		}()
		for !ready.Load() {
		}
		for spin := round % 64 * 32; spin > 0; spin-- { // meet the commit at every point of its way
			done.Load()
		}
		p.Revoke()
		p.mu.Lock()
		inFlight := p.inCommit
		p.mu.Unlock()
		for !done.Load() {
		}
		if began != inFlight {
			t.Fatal("a commit began after Revoke had returned")
		}
	}
}
