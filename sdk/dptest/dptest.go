// Package dptest is a DataProxy and a Manager for tests, the demo and devproxy: an honest double that
// acks from memory and moves packs to its queue later, so that killing it loses what the real one loses.
package dptest

import (
	"context"
	"errors"
	"net"
	"time"
)

// QueueMessage is what lands in the queue behind a proxy for one pack: InLongMsg and headers.
type QueueMessage struct {
	Group, Stream string
	Value         []byte
	Headers       []Header
}

// Header of a queue message, as KafkaHandler writes it: rt, st, msgEnType, version, srcIp, dpIp.
type Header struct{ Key, Value string }

// Queue is where a proxy moves its packs. Put returns once all messages are stored; on an error the
// proxy tries again, so a message may be stored twice. Put spreads messages over clusters and partitions.
type Queue interface {
	Put(ctx context.Context, m []QueueMessage) error
}

// MemoryQueue is a Queue for tests: clusters x partitions of messages, each append-only, stallable.
type MemoryQueue struct{}

func NewMemoryQueue(clusters, partitions int) *MemoryQueue { return &MemoryQueue{} }

// Put, Stall(cluster), Resume(cluster), Read(cluster, partition, from) and End(cluster, partition).
func (q *MemoryQueue) Put(ctx context.Context, m []QueueMessage) error { return errors.ErrUnsupported }

// Option configures a Proxy; see the With functions.
type Option func(*options)

type options struct{}

// Proxy is one DataProxy.
type Proxy struct{}

// NewProxy starts a proxy on a listener of its own.
func NewProxy(q Queue, opts ...Option) (*Proxy, error) { return nil, errors.ErrUnsupported }

// Addr is host:port. It stays the same across Kill and Restart.
func (p *Proxy) Addr() string { return "" }

// Kill ends the process as kill -9 does: connections reset, memory gone, port closed. It returns how many acked
// packs and records were lost. Restart opens the same port again.
func (p *Proxy) Kill() (packs, records int) { return 0, 0 }
func (p *Proxy) Restart() error             { return errors.ErrUnsupported }

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() error { return nil }

// Faults, each until undone: Freeze stops everything with open sockets; Zombie answers heartbeats only;
// DropStream acks a stream's packs and throws them away; DenyStream answers 115; Code answers code for a share
// of packs; AckDelay; StallQueue keeps everything in memory; ResetConnections cuts all connections once.
func (p *Proxy) Freeze(on bool)                           {}
func (p *Proxy) Zombie(on bool)                           {}
func (p *Proxy) DropStream(group, stream string, on bool) {}
func (p *Proxy) DenyStream(group, stream string, on bool) {}
func (p *Proxy) Code(code int, share float64)             {}
func (p *Proxy) AckDelay(d time.Duration)                 {}
func (p *Proxy) StallQueue(on bool)                       {}
func (p *Proxy) ResetConnections()                        {}

// Stats of one proxy since its start.
type Stats struct {
	Connections                   int // open now
	Packs, Records, Acked, Queued uint64
	Lost                          uint64 // records lost by Kill
	InMemory                      int    // packs acked and not in the queue
	Errors                        map[int]uint64
}

func (p *Proxy) Stats() Stats { return Stats{} }

// Network is an in-memory network for testing/synctest: buffered, with Listen, DialContext, and Reset.
type Network struct{}

func (n *Network) Listen(network, addr string) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
