package dptest

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// DefaultBuffer is how many bytes a connection of a Network holds in each direction.
const DefaultBuffer = 64 << 10

// Network is an in-memory network for testing/synctest: buffered, with Listen, DialContext, and Reset.
// The zero value is ready. Writes block while the other side's buffer is full, deadlines work, and
// it uses only channels, conditions and timers, so that virtual time advances.
type Network struct {
	// Buffer is the size of each direction of connections dialled from now on; 0 means DefaultBuffer.
	Buffer int

	mu        sync.Mutex
	listeners map[string]*memListener
	conns     map[*memConn]struct{} // the dialling ends that are open
	silent    map[string]bool
	lastPort  int
}

// Listen opens addr, host:port. Port 0, or no address at all, picks a free port of 127.0.0.1.
func (n *Network) Listen(network, addr string) (net.Listener, error) {
	host, port := "127.0.0.1", "0"
	if addr != "" {
		var err error
		if host, port, err = net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("listening on %q: %w", addr, err)
		}
		if host == "" {
			host = "127.0.0.1"
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = make(map[string]*memListener)
	}
	if port == "0" {
		if n.lastPort == 0 {
			n.lastPort = 46800
		}
		n.lastPort++
		port = strconv.Itoa(n.lastPort)
	}
	at := memAddr(net.JoinHostPort(host, port))
	if n.listeners[string(at)] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: at, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &memListener{network: n, addr: at, backlog: make(chan *memConn, 128), done: make(chan struct{})}
	n.listeners[string(at)] = l
	return l, nil
}

// DialContext connects to a listener's address. It returns ECONNREFUSED if nobody listens, and waits until ctx ends if
// the address is silenced or the listener does not accept.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: memAddr(addr), Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	n.mu.Lock()
	l, silent := n.listeners[addr], n.silent[addr]
	if silent {
		n.mu.Unlock()
		<-ctx.Done()
		return fail(ctx.Err())
	}
	if l == nil {
		n.mu.Unlock()
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	if n.lastPort == 0 {
		n.lastPort = 46800
	}
	n.lastPort++
	local := memAddr(net.JoinHostPort("127.0.0.1", strconv.Itoa(n.lastPort)))
	size := n.Buffer
	if size <= 0 {
		size = DefaultBuffer
	}
	client, server := newConnPair(n, local, l.addr, size)
	if n.conns == nil {
		n.conns = make(map[*memConn]struct{})
	}
	n.conns[client] = struct{}{}
	n.mu.Unlock()

	select {
	case l.backlog <- server:
		select {
		case <-l.done: // it closed meanwhile and may not have seen this one
			l.refuseBacklog()
		default:
		}
		return client, nil
	case <-l.done:
		client.Reset()
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case <-ctx.Done():
		client.Reset()
		return fail(ctx.Err())
	}
}

// Reset cuts every connection to addr, "" meaning all: both ends fail at once, and bytes on the way are lost.
func (n *Network) Reset(addr string) {
	for _, c := range n.connsTo(addr) {
		c.Reset()
	}
}

// Silence makes connections to addr half-open: writes still succeed on both sides, but nothing arrives, not even the end
// of the connection, and dialling hangs. When the silence ends, connections that lost bytes or their end are reset.
func (n *Network) Silence(addr string, on bool) {
	n.mu.Lock()
	if n.silent == nil {
		n.silent = make(map[string]bool)
	}
	n.silent[addr] = on
	n.mu.Unlock()
	for _, c := range n.connsTo(addr) {
		c.silence(on)
	}
}

// Connections returns how many connections to addr are open, "" meaning all.
func (n *Network) Connections(addr string) int { return len(n.connsTo(addr)) }

func (n *Network) connsTo(addr string) []*memConn {
	n.mu.Lock()
	defer n.mu.Unlock()
	var conns []*memConn
	for c := range n.conns {
		if addr == "" || string(c.remote) == addr {
			conns = append(conns, c)
		}
	}
	return conns
}

func (n *Network) forget(c *memConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

type memAddr string

func (memAddr) Network() string  { return "tcp" }
func (a memAddr) String() string { return string(a) }

type memListener struct {
	network *Network
	addr    memAddr
	backlog chan *memConn
	once    sync.Once
	done    chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
	default:
		select {
		case c := <-l.backlog:
			return c, nil
		case <-l.done:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.done)
		l.refuseBacklog()
	})
	return nil
}

// refuseBacklog resets the connections that nobody will accept any more, as a kernel does.
func (l *memListener) refuseBacklog() {
	for {
		select {
		case c := <-l.backlog:
			c.Reset()
		default:
			return
		}
	}
}

func (l *memListener) Addr() net.Addr { return l.addr }
