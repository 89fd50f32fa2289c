package mapping

import "sync"

// maxInterned bounds the targets that are kept. Keys with more values than this are still routed, with two small
// allocations per record.
const maxInterned = 65536

// interned returns the same strings for the same ids. Its keys are group, 0, stream.
type interned struct {
	mu      sync.RWMutex
	targets map[string]Target // guarded by mu
}

func (in *interned) get(ids []byte) (Target, bool) {
	in.mu.RLock()
	t, ok := in.targets[string(ids)]
	in.mu.RUnlock()
	return t, ok
}

// drop forgets a target.
func (in *interned) drop(t Target) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.targets, t.Group+"\x00"+t.Stream)
}

// put keeps a target whose ids were checked; n is the length of its group.
func (in *interned) put(ids string, n int) Target {
	t := Target{Group: ids[:n], Stream: ids[n+1:]}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.targets) < maxInterned {
		in.targets[ids] = t
	}
	return t
}
