package dptest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Node is one entry of the Manager's list of proxies.
type Node struct {
	Address  string // host:port
	Protocol string // TCP when empty
}

// QueueConfig is what the Manager tells proxies about the queue behind them (getAllConfig).
type QueueConfig struct {
	Type     string // KAFKA when empty
	Clusters []QueueClusterConfig
	Streams  []StreamConfig
}

// QueueClusterConfig is one cluster of the queue. Kafka's is {"bootstrap.servers": ...}.
type QueueClusterConfig struct {
	Name   string
	Params map[string]string
}

// StreamConfig is the topic of a stream in the Manager. The proxies make Namespace.Topic of it if Topic equals the
// stream's id.
type StreamConfig struct {
	Group, Stream    string
	Topic, Namespace string
}

// Manager is the part of InLong Manager that senders and proxies talk to. It is an http.Handler; Start
// opens a port for it. All methods are safe for concurrent use.
type Manager struct {
	secretID, secretKey string
	tenant              string // "" for any
	cluster, tag        string

	server   http.Server
	listener net.Listener
	served   chan struct{}

	mu       sync.Mutex
	nodes    []Node
	byGroup  map[string][]Node // nil: every group is known
	clusters map[string]int    // ids of the clusters of groups, 1 for all others
	queue    QueueConfig
	maxPack  int
	delay    time.Duration
	garbage  bool
	empty    bool
	failLeft int
	failWith int
	requests map[string]int // by path
}

// ManagerOption configures a Manager.
type ManagerOption func(*Manager)

// WithAuth refuses requests without this secret with 403.
func WithAuth(secretID, secretKey string) ManagerOption {
	return func(m *Manager) { m.secretID, m.secretKey = secretID, secretKey }
}

// WithTenant refuses requests for another tenant with 403, as the real Manager does if the user has no role in it. A
// request without the header tenant is for public.
func WithTenant(name string) ManagerOption {
	return func(m *Manager) { m.tenant = name }
}

// WithCluster names the cluster of proxies; getAllConfig answers for no other. The default is
// default_dataproxy with the tag default_cluster.
func WithCluster(name, tag string) ManagerOption {
	return func(m *Manager) { m.cluster, m.tag = name, tag }
}

// NewManager returns a Manager without nodes that knows every group.
func NewManager(opts ...ManagerOption) *Manager {
	m := &Manager{cluster: "default_dataproxy", tag: "default_cluster", requests: make(map[string]int)}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// StartManager starts a Manager on a free port of 127.0.0.1 that ends with the test.
func StartManager(t TB, opts ...ManagerOption) *Manager {
	t.Helper()
	m := NewManager(opts...)
	if err := m.Start("127.0.0.1:0"); err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// Start listens on addr, host:port, and serves until Close.
func (m *Manager) Start(addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("starting manager: %w", err)
	}
	m.Serve(l)
	return nil
}

// Serve answers on l, which it then owns, until Close. It returns at once.
func (m *Manager) Serve(l net.Listener) {
	served := make(chan struct{})
	m.listener, m.served = l, served
	m.server.Handler = m
	m.server.ReadHeaderTimeout = time.Minute
	go func() {
		defer close(served)
		_ = m.server.Serve(l)
	}()
}

// URL returns the base URL of a started Manager.
func (m *Manager) URL() string { return "http://" + m.listener.Addr().String() }

// Close stops a started Manager and waits for its goroutine.
func (m *Manager) Close() error {
	if m.listener == nil {
		return nil
	}
	err := m.server.Close()
	<-m.served
	if err != nil {
		return fmt.Errorf("closing manager: %w", err)
	}
	return nil
}

// SetNodes replaces the list of TCP proxies of all groups.
func (m *Manager) SetNodes(addresses ...string) {
	nodes := make([]Node, len(addresses))
	for i, a := range addresses {
		nodes[i].Address = a
	}
	m.SetNodeList(nodes)
}

// SetNodeList is SetNodes for nodes of any protocol.
func (m *Manager) SetNodeList(nodes []Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = slices.Clone(nodes)
}

// SetGroup gives a group its own list. From then on only the groups named so, or by SetGroups, are known.
func (m *Manager) SetGroup(group string, addresses ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byGroup == nil {
		m.byGroup = make(map[string][]Node)
	}
	m.byGroup[group] = []Node{}
	for _, a := range addresses {
		m.byGroup[group] = append(m.byGroup[group], Node{Address: a})
	}
}

// SetGroups makes these the only groups that are known, with the common list of nodes.
func (m *Manager) SetGroups(groups ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byGroup = make(map[string][]Node, len(groups))
	for _, g := range groups {
		m.byGroup[g] = nil
	}
}

// SetClusterID says which cluster of proxies a group belongs to. The default is 1.
func (m *Manager) SetClusterID(group string, id int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clusters == nil {
		m.clusters = make(map[string]int)
	}
	m.clusters[group] = id
}

// SetQueue replaces what getAllConfig tells.
func (m *Manager) SetQueue(q QueueConfig) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = q
}

// SetMaxPacketLength sets what the node list says about it; 0 says nothing.
func (m *Manager) SetMaxPacketLength(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maxPack = n
}

// FailNext answers the next n requests with an HTTP status.
func (m *Manager) FailNext(n, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLeft, m.failWith = n, status
}

// Delay answers every request d later.
func (m *Manager) Delay(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// Garbage answers 200 with something that is not JSON.
func (m *Manager) Garbage(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.garbage = on
}

// Empty answers success with no nodes at all.
func (m *Manager) Empty(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.empty = on
}

// Requests returns how many requests a path has had, by its end: "getIpList/g1", "getAllConfig", "report".
func (m *Manager) Requests(pathEnd string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for path, count := range m.requests {
		if strings.HasSuffix(path, "/"+pathEnd) {
			n += count
		}
	}
	return n
}
