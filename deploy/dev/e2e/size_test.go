//go:build e2e || chaos

package e2e

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.produced)
}
