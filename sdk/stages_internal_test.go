package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// The stages of a pack's way one by one, without a network and without goroutines that would do the next
// one meanwhile: each benchmark and each count of allocations is of one stage alone.

// noNews is a token that wants none.
type noNews struct{}

func (noNews) Settled(uint64, Result) {}
func (noNews) Forgotten(uint64) bool  { return true }

// stagedSender has no encoders and a proxy that is never reached. Packs are sealed by size only.
func stagedSender(tb testing.TB, opts ...Option) *Sender {
	tb.Helper()
	s, err := New(context.Background(), append([]Option{
		WithProxies("nowhere:1"), WithPack(256<<10, frame.MaxCount, time.Hour), WithFinality(patient(finality.DefaultConfig(finality.Ack))),
		WithRetry(time.Hour, time.Hour),
		WithDial(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nowhere") }),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	s.enc.Close()
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // what was not sent is no concern here
	})
	return s
}

// patient never gives anything up.
func patient(cfg finality.Config) finality.Config {
	cfg.AckTimeout, cfg.Patience = 2*time.Hour, 2*time.Hour
	return cfg
}

func streamsOf(tb testing.TB, s *Sender, n int) []*Stream {
	tb.Helper()
	streams := make([]*Stream, n)
	for i := range streams {
		st, err := s.Stream("g", fmt.Sprint("s", i))
		if err != nil {
			tb.Fatal(err)
		}
		streams[i] = st
	}
	return streams
}

// dropSealed ends the packs that wait for an encoder, as Close does, and returns their number and records.
func dropSealed(s *Sender) (packs, records int) {
	some := false
	s.enc.Drain(func(*pack) { some = true })
	if !some {
		return 0, 0
	}
	s.mu.Lock()
	s.e.Abandon()
	todo := s.progressLocked()
	s.mu.Unlock()
	return todo.abandoned, todo.records
}

// connect gives the first proxy a connection that nobody writes to.
func connect(tb testing.TB, s *Sender) *conn {
	tb.Helper()
	return connectTo(tb, s, 0)
}

func connectTo(tb testing.TB, s *Sender, proxy int) *conn {
	tb.Helper()
	here, there := net.Pipe()
	s.mu.Lock()
	c := s.connectedLocked(s.proxies.endpointList[proxy], here, false, false, false)
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	tb.Cleanup(func() {
		s.mu.Lock()
		s.e.Ended(&c.life, errors.New("over"), s.now())
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
		_, _ = here.Close(), there.Close()
	})
	return c
}

// pretendWritten does the writer's part for all that was handed to c, and appends it to packs.
func pretendWritten(c *conn, w *batchOfPacks, packs []*pack) []*pack {
	if c.takeOut(w) {
		packs = append(packs, w.packs...)
		c.giveBack(w)
	}
	return packs
}

// batchOf is n records of size bytes for a stream, named but not followed.
func batchOf(st *Stream, n, size int) *Batch {
	b := &Batch{Stream: st, Time: time.Unix(1e9, 0), Token: noNews{}, Packed: func(int, int) uint64 { return 1 }}
	for range n {
		b.Payloads = append(b.Payloads, make([]byte, size))
	}
	return b
}

// BenchmarkTrySendBatch is what 250 records cost until they lie in packs: admission, append, naming their
// piece, and the seal of a pack in 250 KiB or so.
func BenchmarkTrySendBatch(b *testing.B) {
	for _, bb := range []struct {
		name    string
		size    int
		streams int
	}{{"100B", 100, 1}, {"1KiB", 1024, 1}, {"1KiB over 1000 streams", 1024, 1000}} {
		b.Run(bb.name, func(b *testing.B) {
			const n = 250
			s := stagedSender(b, WithBudget(2<<30, 1<<20))
			streams := streamsOf(b, s, bb.streams)
			batch := batchOf(nil, n, bb.size)
			b.SetBytes(int64(n * bb.size))
			b.ReportAllocs()
			calls, records := 0, 0
			for b.Loop() {
				batch.Stream = streams[calls%len(streams)]
				if got, err := s.TrySendBatch(batch); got != n || err != nil {
					b.Fatal(got, err)
				}
				_, r := dropSealed(s)
				calls, records = calls+1, records+r
			}
			s.Seal()
			if _, r := dropSealed(s); records+r != calls*n {
				b.Fatalf("%d records in packs, want %d", records+r, calls*n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(calls*n), "ns/record")
		})
	}
}

// BenchmarkSeal is what ends the filling of a pack of one record, and puts it into its queue.
func BenchmarkSeal(b *testing.B) {
	s := stagedSender(b)
	st := streamsOf(b, s, 1)[0]
	record := make([]byte, 100)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	sealed := 0
	for b.Loop() {
		st.mu.Lock()
		p := st.packForLocked(openKey{}, time.Unix(0, 0), len(record))
		p.add(record, &s.bufs)
		s.sealLocked(p)
		st.mu.Unlock()
		n, _ := dropSealed(s)
		sealed += n
	}
	if sealed != b.N {
		b.Fatalf("%d packs sealed, want %d", sealed, b.N)
	}
}

// dispatching is packs that wait for a connection and go round: each that was acked waits anew.
type dispatching struct {
	s       *Sender
	c       *conn
	streams []*Stream
	w       batchOfPacks
	written []*pack
	turn    int
}

// ready makes a pack that only has to be sent.
func (d *dispatching) ready(st *Stream, wire int) {
	s := d.s
	s.mu.Lock()
	p := &pack{filling: filling{st: st, count: 1}, outgoing: outgoing{frame: s.bufs.Get(wire)[:wire]}}
	s.e.Sealed(s.enterLocked(p), &st.life)
	s.e.Encoded(&p.life, wire)
	s.mu.Unlock()
}

// progress hands out what waits, and returns what the connection's writer took.
func (d *dispatching) progress(c *conn) []*pack {
	d.s.mu.Lock()
	todo := d.s.progressLocked()
	d.s.mu.Unlock()
	todo.perform()
	d.written = pretendWritten(c, &d.w, d.written[:0])
	return d.written
}

// step sends what waits, one pack of the next stream among it, and lets all be acked.
func (d *dispatching) step(tb testing.TB) {
	d.ready(d.streams[d.turn%len(d.streams)], 512)
	d.turn++
	for _, p := range d.progress(d.c) {
		d.c.answered(&frame.Ack{Uniq: uint32(p.life.Seq())})
	}
	if d.c.life.InFlight() != 0 {
		tb.Fatal("a pack is not answered")
	}
}

// refuse has the proxy of c answer a pack of a stream with an error code.
func (d *dispatching) refuse(tb testing.TB, c *conn, st *Stream, code int) {
	tb.Helper()
	d.ready(st, 512)
	sent := d.progress(c)
	if len(sent) != 1 || sent[0].st != st {
		tb.Fatalf("%d packs sent, want the one of %s", len(sent), st)
	}
	c.answered(&frame.Ack{Uniq: uint32(sent[0].life.Seq()), Code: code})
}

// BenchmarkDispatch is one pack from its queue through the choice of a connection, the writer's books and
// the ack, with so many streams that have nothing to send, or wait for something of their own.
func BenchmarkDispatch(b *testing.B) {
	for _, bb := range []struct {
		name             string
		streams, blocked int
	}{{"1 stream", 1, 0}, {"1000 streams", 1000, 0}, {"1 stream beside 1000 that wait", 1, 1000}} {
		b.Run(bb.name, func(b *testing.B) {
			s := stagedSender(b)
			d := &dispatching{s: s, c: connect(b, s), streams: streamsOf(b, s, bb.streams+bb.blocked)}
			for _, st := range d.streams[bb.streams:] {
				d.refuse(b, d.c, st, 108) // its pack waits for the pause
			}
			d.streams = d.streams[:bb.streams]
			b.ReportAllocs()
			for b.Loop() {
				d.step(b)
			}
			if got := s.Status().Endpoints[0].PacksAcked; got != uint64(d.turn) {
				b.Fatalf("%d packs acked, want %d", got, d.turn)
			}
		})
	}
}

// BenchmarkFullWindow is one pack seen and one sent for it, while 1,000 streams wait because each of them
// holds its share of a full window.
func BenchmarkFullWindow(b *testing.B) {
	cfg := finality.DefaultConfig(finality.Queue)
	cfg.WindowPacks, cfg.WindowBytes = 1<<20, 64<<20
	s := stagedSender(b, WithFinality(patient(cfg)), WithConfirmer(watchesAll{}))
	d := &dispatching{s: s, c: connect(b, s), streams: streamsOf(b, s, 1000)}
	const wire = 16 << 10
	for range 10 {
		for _, st := range d.streams {
			s.mu.Lock()
			st.watch = watched
			s.e.Watched(&st.life)
			s.mu.Unlock()
			d.ready(st, wire)
		}
	}
	var window []*pack // in the order sent
	write := func() {
		for sent := d.progress(d.c); len(sent) > 0; sent = pretendWritten(d.c, &d.w, sent[:0]) { // which dispatches again
			window = append(window, sent...)
		}
	}
	write()
	if n := len(window); n < 2000 || n > 5000 {
		b.Fatalf("%d packs in the window, want some of each stream and not all", n)
	}
	b.ReportAllocs()
	seen := 0
	for b.Loop() {
		p := window[0]
		window = window[1:]
		d.ready(p.st, wire)
		s.Seen([]uint64{p.life.Seq()})
		write()
		seen++
	}
	if got := s.Status().UnfinalPacks; got != len(window) || got < 2000 {
		b.Fatalf("%d packs in the window after %d were seen, want %d", got, seen, len(window))
	}
}

// watchesAll is a Confirmer for which all is well.
type watchesAll struct{}

func (watchesAll) Watch(context.Context, string, string) error { return nil }
func (watchesAll) Barrier(context.Context) error               { return nil }

// BenchmarkStatus is one look at 1,000 streams that have packs waiting for 16 proxies, and how long of it
// nobody else can do anything.
func BenchmarkStatus(b *testing.B) {
	proxies := make([]string, 16)
	for i := range proxies {
		proxies[i] = fmt.Sprintf("nowhere:%d", i+1)
	}
	s := stagedSender(b, WithProxies(proxies...))
	d := &dispatching{s: s}
	streams := streamsOf(b, s, 1000)
	d.ready(streams[0], 512)
	for i := range proxies { // each refuses the same pack until it is paused, and the next one gets it
		c := connectTo(b, s, i)
		for range 2 {
			sent := d.progress(c)
			if len(sent) != 1 {
				b.Fatalf("proxy %d got %d packs, want 1", i, len(sent))
			}
			c.answered(&frame.Ack{Uniq: uint32(sent[0].life.Seq()), Code: 114})
		}
	}
	for _, st := range streams {
		for range 3 - int(st.life.Counts().Packs) {
			d.ready(st, 512)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := s.Status(); len(got.Streams) != 1000 || got.WaitingPacks != 3000 || len(got.Endpoints) != 16 {
			b.Fatal(len(got.Streams), got.WaitingPacks, len(got.Endpoints))
		}
	}
}
