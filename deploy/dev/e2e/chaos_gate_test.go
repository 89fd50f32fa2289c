//go:build chaos

package e2e

import (
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// valve is what can happen to a cluster of the queue: it hangs, or is gone, with its connections.
type valve interface {
	silence(on bool)
	leave(on bool)
}

// gate stands before the brokers of an embedded Kafka, in the order in which they were started. It can make
// them silent, as brokers are whose disk hangs, or gone.
type gate struct {
	mu     sync.Mutex
	passes *sync.Cond
	silent bool
	gone   bool
	doors  []*door
}

// door is the listener of one broker.
type door struct {
	net.Listener
	g     *gate
	conns map[net.Conn]struct{}
}

func newGate() *gate {
	g := &gate{}
	g.passes = sync.NewCond(&g.mu)
	return g
}

func (g *gate) listen(network, addr string) (net.Listener, error) {
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	d := &door{Listener: l, g: g, conns: make(map[net.Conn]struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.doors = append(g.doors, d)
	return d, nil
}

// silence holds everything back that comes to the brokers, for as long as it is on.
func (g *gate) silence(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.silent = on
	g.passes.Broadcast()
}

// leave cuts all connections and lets none in, for as long as it is on.
func (g *gate) leave(on bool) {
	g.mu.Lock()
	g.gone = on
	g.mu.Unlock()
	for n := range g.doors {
		g.cut(n)
	}
}

// cut ends the connections of one broker.
func (g *gate) cut(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.doors[n].conns {
		c.Close()
	}
}

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		d.g.mu.Lock()
		gone := d.g.gone
		if !gone {
			d.conns[c] = struct{}{}
		}
		d.g.mu.Unlock()
		if gone {
			c.Close()
			continue
		}
		return &visitor{Conn: c, d: d}, nil
	}
}

// visitor is a connection that came through a door.
type visitor struct {
	net.Conn
	d *door
}

func (v *visitor) Read(p []byte) (int, error) {
	n, err := v.Conn.Read(p)
	g := v.d.g
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.silent {
		g.passes.Wait()
	}
	return n, err
}

func (v *visitor) Close() error {
	v.d.g.mu.Lock()
	delete(v.d.conns, v.Conn)
	v.d.g.mu.Unlock()
	return v.Conn.Close()
}

// gated starts a Kafka in the process of the test, with a gate before it.
func (b *bench) gated(brokers int) (*cluster, *kfake.Cluster, *gate) {
	b.Helper()
	g := newGate()
	k, err := kfake.NewCluster(kfake.NumBrokers(brokers), kfake.ListenFn(g.listen))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(k.Close)
	b.Cleanup(func() { g.silence(false) })
	return b.connect(&cluster{brokers: k.ListenAddrs()}), k, g
}
