// Package names says which addresses the host:ports of a list stand for.
//
// A name of a proxy that has several addresses is several proxies: a headless Kubernetes service, say. One connection
// to "the name" would go to one of them at random, and the windows, clocks and pauses that are kept for a proxy would
// be those of another one after each reconnection. So names are resolved here, and each address is a [Target]. A name
// that never had more than one address is left to the dial, which resolves it each time: its target stays the same when
// its address changes.
//
// A [Table] decides and holds no lock: its owner guards it. The questions that it wants answered are asked by [Ask],
// which waits and is called without that lock.
package names

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
)

const (
	// maxAddresses is how many addresses of one name are used.
	maxAddresses = 64
	// absentAnswers is how many answers in a row an address may be absent from while it is connected: some servers
	// name a few addresses of many, other ones each time.
	absentAnswers = 3
)

// Target is what is dialled for an entry of a list.
type Target struct {
	Label string // host:port as given, and the address where the name has several: "dp:46801 (10.0.0.7)"
	Addr  string // host:port that is dialled
}

// Table is what is known of the names in lists. Its owner guards it.
type Table struct {
	log   *slog.Logger
	names map[string]*name // by host:port
}

// name is a host:port whose host is a name.
type name struct {
	host, port string
	asked      bool               // the first question has been answered, or not in time
	several    bool               // it had more than one address once: each is a target from then on
	addrs      []netip.Addr       // in order
	absent     map[netip.Addr]int // answers in a row without it
	err        string             // why the last question had no answer
}

// New returns an empty table. What changes is logged.
func New(log *slog.Logger) *Table { return &Table{log: log, names: make(map[string]*name)} }

// Targets returns what addresses stand for now, and reports whether there are names among them that nobody has asked
// for yet. Such a name stands for nothing.
func (t *Table) Targets(addrs []string) (targets []Target, fresh bool) {
	for _, addr := range addrs {
		n, isNew := t.name(addr)
		fresh = fresh || isNew
		switch {
		case n == nil:
			targets = append(targets, Target{addr, addr})
		case !n.asked:
		case !n.several:
			targets = append(targets, Target{addr, addr})
		default:
			for _, a := range n.addrs {
				targets = append(targets, Target{label(addr, a), net.JoinHostPort(a.String(), n.port)})
			}
		}
	}
	return targets, fresh
}

// AsGiven returns targets that are dialled as they are called.
func AsGiven(addrs []string) (targets []Target) {
	for _, addr := range addrs {
		targets = append(targets, Target{addr, addr})
	}
	return targets
}

// label is how one address of a name is called.
func label(addr string, a netip.Addr) string { return addr + " (" + a.String() + ")" }

// name returns the entry of an address whose host is a name, nil for any other, and whether it is new.
func (t *Table) name(addr string) (n *name, isNew bool) {
	if n := t.names[addr]; n != nil {
		return n, false
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, false // the dial says what is wrong with it
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil, false
	}
	n = &name{host: host, port: port, absent: make(map[netip.Addr]int)}
	t.names[addr] = n
	return n, true
}

// Question asks for the addresses of one name. [Ask] fills in the answer.
type Question struct {
	Addr string // host:port
	Host string

	Addrs []netip.Addr
	Err   error

	name *name
}

// Questions returns what is to be asked: all names, or only those that nobody has asked for yet. Names that no list
// uses any more are forgotten.
func (t *Table) Questions(used func(addr string) bool, all bool) (questions []*Question) {
	for addr, n := range t.names {
		switch {
		case !used(addr):
			delete(t.names, addr)
		case all || !n.asked:
			questions = append(questions, &Question{Addr: addr, Host: n.host, name: n})
		}
	}
	return questions
}

// Answered takes over an answer, and reports whether the name stands for something else now. Without an answer the
// addresses that were known stay. connected reports whether the target of a label has a connection.
func (t *Table) Answered(q *Question, connected func(label string) bool) (changed bool) {
	n := q.name
	first := !n.asked
	n.asked = true
	if q.Err != nil {
		if n.err == "" {
			t.log.Warn("resolving the name of a proxy fails", "proxy", q.Addr, "err", q.Err, "known", joined(n.addrs))
		}
		n.err = q.Err.Error()
		return first
	}
	if n.err != "" {
		t.log.Info("the name of a proxy is resolved again", "proxy", q.Addr, "addresses", joined(q.Addrs))
		n.err = ""
	}
	next := n.next(q, connected)
	if len(next) > maxAddresses {
		t.log.Warn("the name of a proxy has more addresses than are used", "proxy", q.Addr, "addresses", len(next), "used", maxAddresses)
		next = next[:maxAddresses]
	}
	if slices.Equal(next, n.addrs) {
		return first
	}
	several := n.several || len(next) > 1
	if several && !first {
		t.log.Info("the name of a proxy has other addresses", "proxy", q.Addr, "addresses", joined(next), "before", joined(n.addrs))
	}
	n.addrs, n.several = next, several
	return first || several
}

// next is the addresses of an answer, and those absent from it that are kept for now, in order.
func (n *name) next(q *Question, connected func(label string) bool) []netip.Addr {
	next := make([]netip.Addr, 0, len(q.Addrs))
	for _, a := range q.Addrs {
		next = append(next, a.Unmap())
	}
	for _, a := range n.addrs {
		if slices.Contains(next, a) {
			delete(n.absent, a)
			continue
		}
		if n.absent[a]++; n.absent[a] < absentAnswers && connected(label(q.Addr, a)) {
			next = append(next, a)
		} else {
			delete(n.absent, a)
		}
	}
	slices.SortFunc(next, netip.Addr.Compare)
	return slices.Compact(next)
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
