package dptest

// TB is what Start needs of *testing.T, so that programs that use this package do not link testing.
type TB interface {
	Helper()
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start starts a proxy that ends with the test. Without WithQueue its queue is a MemoryQueue of one
// cluster and one partition; see MemoryQueue.
func Start(t TB, opts ...Option) *Proxy {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	q := o.queue
	if q == nil {
		q = NewMemoryQueue(1, 1)
	}
	p, err := NewProxy(q, opts...)
	if err != nil {
		t.Fatalf("starting proxy: %v", err)
		return nil
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// MemoryQueue is the proxy's queue if it is one, nil otherwise.
func (p *Proxy) MemoryQueue() *MemoryQueue {
	q, _ := p.queue.(*MemoryQueue)
	return q
}
