package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// heldRate is what a bridge may send in the rows below, in bytes on the wire per second: delivery.proxy_rate as it comes, and what
// the slow sink reads.
const heldRate = 32 << 20

// heldRows are of bridges that something outside holds back: with nothing set but brokers, proxies and routes, and before a
// slow sink. They need the 1 GiB of records that a cell has unless -mib says otherwise: an endless log is one batch again and
// again, which shrinks too well.
func heldRows(filled func(subject, corpus string, change func(*cell)) cell) []bridgeRow {
	queue := func(c *cell) { c.confirm = "queue" }
	held := func(confirm string, settle time.Duration, unset bool) cell {
		return filled("bridge", "json1k", func(c *cell) {
			c.confirm, c.settle, c.unset = confirm, settle, unset
			c.budget = "1GiB" // what auto is from 4 GiB of memory on
		})
	}
	return []bridgeRow{
		{
			name: "nothing set, confirm: queue, to its own with proxy_rate: 0", minRate: 0.95,
			of: filled("bridge", "json1k", func(c *cell) { queue(c); c.unset = true }), reference: filled("bridge", "json1k", queue),
		},
		heldRow("nothing set, confirm: settle, behind its rate of 32 MiB/s", held("settle", time.Second, true), false, time.Second+5*time.Second),
		heldRow("slow sink that reads 32 MiB/s, confirm: ack", held("ack", 0, false), true, 5*time.Second),
	}
}

// heldRow is the rate on the wire, the peak of memory, and the time that a stop takes, of a bridge that has more to send than
// it may.
func heldRow(name string, c cell, slow bool, drain time.Duration) bridgeRow {
	return bridgeRow{
		name: name,
		special: func(ctx context.Context, l *lab, _ uint64, s *specials) error {
			r, err := l.held(ctx, &c, slow, 8*time.Second)
			s.add("rate", r.rate/heldRate)
			s.add("rss", float64(r.rss)/(1<<20))
			s.add("drain", r.drain.Seconds())
			return err
		},
		judge: func(s *specials) bridgeOutcome {
			rate, rss, took := s.of("rate").median, s.of("rss").median, s.of("drain").median
			return bridgeOutcome{
				outcome: outcome{RateRatio: rate, RSSMiB: rss, Goal: 256, Met: rate >= 0.98 && rss <= 256 && took <= drain.Seconds()},
				text:    fmt.Sprintf("%.2f of 32 MiB/s, drain %.1f s", rate, took), goal: fmt.Sprintf("rate >= 0.98, RSS <= 256, drain <= %v", drain),
			}
		},
	}
}

// heldBack is what a bridge that is held back came to.
type heldBack struct {
	rate  float64 // bytes on the wire per second
	rss   int64   // peak
	drain time.Duration
}

func (l *lab) held(ctx context.Context, c *cell, slow bool, length time.Duration) (r heldBack, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	broker, err := l.kafka(context.WithoutCancel(ctx), &c.spec)
	if err != nil {
		return r, err
	}
	sink, err := start(ctx, "sink", true, "drain")
	if err != nil {
		return r, err
	}
	defer sink.kill()
	to := sink.first
	if slow {
		if to, err = slowRelay(ctx, to, heldRate); err != nil {
			return r, err
		}
	}
	l.groups++
	bridge, err := l.startBridge(ctx, c, "held", "bench-held-"+strconv.Itoa(l.groups), broker.first, nil, []string{to})
	if err != nil {
		return r, err
	}
	ended := false
	defer func() {
		if !ended {
			bridge.kill()
		}
	}()
	if err := l.assigned(ctx, bridge, c.spec.Partitions); err != nil {
		return r, err
	}
	sent := func() (n float64, at time.Time, err error) {
		st, err := status(ctx, bridge.first)
		if err != nil {
			return 0, at, err
		}
		for i := range st.Sender.Endpoints {
			n += float64(st.Sender.Endpoints[i].BytesSent)
		}
		return n, time.Now(), nil
	}
	<-time.After(2 * time.Second)
	before, from, err := sent()
	if err != nil {
		return r, err
	}
	<-time.After(length)
	after, until, err := sent()
	if err != nil {
		return r, err
	}
	r.rate = (after - before) / until.Sub(from).Seconds()
	if r.rss, err = memoryOf(bridge.pid(), "VmHWM"); err != nil {
		return r, err
	}
	if l.profiles != "" {
		l.profile(ctx, c, bridge.first, 2)()
	}
	began := time.Now()
	ended = true
	err = bridge.end()
	r.drain = time.Since(began)
	return r, err
}

// slowRelay passes what it reads on to an address, at a rate in bytes per second for each connection, and the answers at once. It
// ends with ctx.
func slowRelay(ctx context.Context, to string, rate int) (addr string, err error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("starting relay: %w", err)
	}
	context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // nobody uses it any more
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return // ctx has ended
			}
			go relay(ctx, from, to, rate) //nolint:errcheck // the bridge's connection ends
		}
	}()
	return ln.Addr().String(), nil
}

func relay(ctx context.Context, from net.Conn, to string, rate int) error {
	defer from.Close() //nolint:errcheck // its peer hears of it
	if tcp, ok := from.(*net.TCPConn); ok {
		tcp.SetReadBuffer(256 << 10) //nolint:errcheck // only the kernel holds more then
	}
	var d net.Dialer
	sink, err := d.DialContext(ctx, "tcp", strings.TrimSpace(to))
	if err != nil {
		return err
	}
	defer sink.Close()     //nolint:errcheck // the same
	go io.Copy(from, sink) //nolint:errcheck // ends with the connections
	buf, passed, began := make([]byte, 64<<10), 0, time.Now()
	for {
		n, err := from.Read(buf)
		if _, werr := sink.Write(buf[:n]); err != nil || werr != nil {
			return errors.Join(err, werr)
		}
		passed += n
		due := began.Add(time.Duration(float64(passed) / float64(rate) * float64(time.Second)))
		switch late := time.Since(due); {
		case late < 0:
			<-time.After(-late)
		case late > 100*time.Millisecond: // there was nothing to read: that is not made good
			began, passed = time.Now(), 0
		}
	}
}
