package names

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Resolve returns the addresses of a host.
type Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

// Ask asks all questions at once, and returns when each has an answer or its time is over.
func Ask(ctx context.Context, questions []*Question, resolve Resolve, timeout time.Duration) {
	var asking sync.WaitGroup
	for _, q := range questions {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			q.Addrs, q.Err = resolve(ctx, q.Host)
			if q.Err == nil && len(q.Addrs) == 0 {
				q.Err = errors.New("the name has no address")
			}
		})
	}
	asking.Wait()
}

// Loop calls round until ctx ends: for new names at each wake, for all of them after each pause.
func Loop(ctx context.Context, wake <-chan struct{}, pause func() time.Duration, round func(all bool)) {
	timer := time.NewTimer(pause())
	defer timer.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-timer.C:
			all = true
			timer.Reset(pause())
		}
		round(all)
	}
}

// System asks the system's resolver. Of a name with addresses of both families those of IPv4 are used, unless nothing
// is reached by IPv4 from here.
func System(ctx context.Context, host string) ([]netip.Addr, error) {
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
