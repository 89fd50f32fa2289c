package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A name of a proxy that has several addresses is several proxies: a headless Kubernetes service, say. One connection
// to "the name" would go to one of them at random, and the windows, clocks and pauses that are kept for a proxy would be
// those of another one after each reconnection. So names are resolved here, as often as the Manager is asked, and each
// address is an endpoint. A name that never had more than one address is left to the dial function, which
// resolves it each time: its endpoint stays the same when its address changes.

// ResolveFunc returns the addresses of a host.
type ResolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// WithResolver replaces the resolution of proxies' names; nil leaves names to the dial function as they are. Default: the
// system's resolver, or nil where WithDial is given. Of a name with addresses of both families those of IPv4 are
// used, unless nothing is reached by IPv4 from here.
func WithResolver(resolve ResolveFunc) Option {
	return optionFunc(func(o *options) { o.resolve, o.resolveGiven = resolve, true })
}

// systemResolver asks the system.
func systemResolver(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var v4, v6 []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	if len(v4) > 0 && (len(v6) == 0 || routed(ctx, v4[0])) {
		return v4, nil
	}
	if len(v6) > 0 {
		return v6, nil
	}
	return v4, nil
}

// routed reports whether there is a route to an address. Nothing is sent.
func routed(ctx context.Context, a netip.Addr) bool {
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(a, 9).String())
	if err != nil {
		return false
	}
	_ = c.Close() // nothing was sent
	return true
}

const (
	// maxAddresses is how many addresses of one name are used.
	maxAddresses = 64
	// absentAnswers is how many answers in a row an address may be absent from while it is connected: some servers
	// name a few addresses of many, other ones each time.
	absentAnswers = 3
)

// proxyName is a host:port whose host is a name. Guarded by Sender.mu.
type proxyName struct {
	host, port string
	asked      bool               // the first question has been answered, or not in time
	several    bool               // it had more than one address once: each is an endpoint from then on
	addrs      []netip.Addr       // in order
	absent     map[netip.Addr]int // answers in a row without it
	err        string             // why the last question had no answer
}

// target is an endpoint of a list: how it is called, and what is dialled.
type target struct{ label, addr string }

// targetsLocked returns what the addresses of a list stand for now, and begins to resolve the names among them. A
// name of which nothing is known yet stands for nothing: an answer, or none, comes within the dial time-out. Under mu.
func (s *Sender) targetsLocked(addrs []string) (targets []target) {
	for _, addr := range addrs {
		n := s.nameLocked(addr)
		switch {
		case n == nil:
			targets = append(targets, target{addr, addr})
		case !n.asked:
		case !n.several:
			targets = append(targets, target{addr, addr})
		default:
			for _, a := range n.addrs {
				targets = append(targets, target{addr + " (" + a.String() + ")", net.JoinHostPort(a.String(), n.port)})
			}
		}
	}
	return targets
}

// nameLocked returns the entry of an address whose host is a name, nil for any other. Under mu.
func (s *Sender) nameLocked(addr string) *proxyName {
	if s.o.resolve == nil {
		return nil
	}
	if n := s.proxies.names[addr]; n != nil {
		return n
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil // the dial says what is wrong with it
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	n := &proxyName{host: host, port: port, absent: make(map[netip.Addr]int)}
	s.proxies.names[addr] = n
	if !s.proxies.resolving && !s.end.stopped {
		s.proxies.resolving = true
		s.wg.Go(s.resolveLoop)
	}
	s.proxies.resolveWake.Poke()
	return n
}

// resolveLoop asks for the addresses of names until the sender stops: of new ones at once, of all as often as the
// Manager is asked.
func (s *Sender) resolveLoop() {
	timer := time.NewTimer(refreshPause(s.o.refresh))
	defer timer.Stop()
	for {
		all := false
		select {
		case <-s.ctx.Done():
			return
		case <-s.proxies.resolveWake:
		case <-timer.C:
			all = true
			timer.Reset(refreshPause(s.o.refresh))
		}
		s.resolveNames(all)
	}
}

// resolveNames asks for the addresses of all names, or of those alone that nobody has asked for yet.
func (s *Sender) resolveNames(all bool) {
	type question struct {
		addr  string
		n     *proxyName
		addrs []netip.Addr
		err   error
	}
	var questions []*question
	s.mu.Lock()
	used := make(map[string]bool)
	s.proxies.eachListLocked(func(l *proxyList) {
		for _, addr := range l.addrs {
			used[addr] = true
		}
	})
	for addr, n := range s.proxies.names {
		switch {
		case !used[addr]:
			delete(s.proxies.names, addr)
		case all || !n.asked:
			questions = append(questions, &question{addr: addr, n: n})
		}
	}
	s.mu.Unlock()
	var asking sync.WaitGroup
	for _, q := range questions {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, s.o.dialTimeout)
			defer cancel()
			q.addrs, q.err = s.o.resolve(ctx, q.n.host)
			if q.err == nil && len(q.addrs) == 0 {
				q.err = errors.New("the name has no address")
			}
		})
	}
	asking.Wait()

	s.mu.Lock()
	changed := make(map[string]bool)
	for _, q := range questions {
		changed[q.addr] = s.resolvedLocked(q.addr, q.n, q.addrs, q.err)
	}
	if !s.end.stopped {
		s.proxies.eachListLocked(func(l *proxyList) {
			if slices.ContainsFunc(l.addrs, func(addr string) bool { return changed[addr] }) {
				s.applyLocked(l, l.addrs)
			}
		})
	}
	s.warmer.Wake()
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// resolvedLocked takes over an answer, and reports whether the name stands for something else now. Without an answer
// the addresses that were known stay. Under mu.
func (s *Sender) resolvedLocked(addr string, n *proxyName, addrs []netip.Addr, err error) (changed bool) {
	first := !n.asked
	n.asked = true
	if err != nil {
		if n.err == "" && s.ctx.Err() == nil {
			s.o.logger.Warn("resolving the name of a proxy fails", "proxy", addr, "err", err, "known", joined(n.addrs))
		}
		n.err = err.Error()
		return first
	}
	if n.err != "" {
		s.o.logger.Info("the name of a proxy is resolved again", "proxy", addr, "addresses", joined(addrs))
		n.err = ""
	}
	next := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		next = append(next, a.Unmap())
	}
	for _, a := range n.addrs {
		if slices.Contains(next, a) {
			delete(n.absent, a)
			continue
		}
		if n.absent[a]++; n.absent[a] < absentAnswers && s.connectedToLocked(addr, a) {
			next = append(next, a)
		} else {
			delete(n.absent, a)
		}
	}
	slices.SortFunc(next, netip.Addr.Compare)
	next = slices.Compact(next)
	if len(next) > maxAddresses {
		s.o.logger.Warn("the name of a proxy has more addresses than are used", "proxy", addr, "addresses", len(next), "used", maxAddresses)
		next = next[:maxAddresses]
	}
	if slices.Equal(next, n.addrs) {
		return first
	}
	several := n.several || len(next) > 1
	if several && !first {
		s.o.logger.Info("the name of a proxy has other addresses", "proxy", addr, "addresses", joined(next), "before", joined(n.addrs))
	}
	changed = first || several
	n.addrs, n.several = next, several
	return changed
}

// connectedToLocked reports whether one of a name's addresses has a connection. Under mu.
func (s *Sender) connectedToLocked(addr string, a netip.Addr) bool {
	label := addr + " (" + a.String() + ")"
	for _, ep := range s.proxies.endpointList {
		if ep.addr == label && ep.life.Up() {
			return true
		}
	}
	return false
}

// joined is addresses for a line of the log.
func joined(addrs []netip.Addr) string {
	var b strings.Builder
	for i, a := range addrs {
		if i == 8 {
			fmt.Fprintf(&b, " and %d more", len(addrs)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(a.String())
	}
	return b.String()
}
