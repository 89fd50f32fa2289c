package dptest

// TB is the part of *testing.T that Start needs. It keeps package testing out of programs that use this package.
type TB interface {
	Helper()
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Start starts a proxy that ends with the test. Without WithQueue its queue is a MemoryQueue with one cluster and one
// partition.
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

// MemoryQueue returns the proxy's queue if it is a MemoryQueue, nil otherwise.
func (p *Proxy) MemoryQueue() *MemoryQueue {
	q, _ := p.queue.(*MemoryQueue)
	return q
}
