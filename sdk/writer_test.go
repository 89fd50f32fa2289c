package sdk_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// handProxy is the far end of a connection: it reads nothing and answers nothing unless a test says so, and a write
// waits until it is read.
type handProxy struct {
	conn net.Conn
	r    *frame.Reader
}

// setupByHand has n connections, one after the other.
func setupByHand(t *testing.T, n int, mode finality.Mode, opts ...sdk.Option) (*env, []*handProxy) {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
	conns := make(chan net.Conn, n)
	var proxies []*handProxy
	for range n {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		conns <- near
		proxies = append(proxies, &handProxy{far, frame.NewReader(far, 1<<20)})
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case c := <-conns:
			return c, nil
		case <-ctx.Done(): // there are no more
			return nil, context.Cause(ctx)
		}
	}
	e.sender = e.newSender(append([]sdk.Option{
		sdk.WithProxies("hand:1"), sdk.WithDial(dial), config(mode, nil), sdk.WithCompression(sdk.None), sdk.WithConnections(1),
		sdk.WithWriteTimeout(time.Hour),
	}, opts...)...)
	synctest.Wait()
	if mode == finality.Queue {
		e.sender.QueueAnswers(true)
	}
	return e, proxies
}

// read returns the records of the next pack.
func (p *handProxy) read(t *testing.T) []string {
	t.Helper()
	f, err := p.r.Next()
	if typ, _, _ := frame.Type(f); err == nil && typ == frame.TypeHeartbeat {
		f, err = p.r.Next()
	}
	if err != nil {
		t.Fatal(err)
	}
	pack, err := frame.DecodePack(f)
	if err != nil {
		t.Fatal(err)
	}
	items, err := pack.Items(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var records []string
	for _, i := range items {
		records = append(records, string(i))
	}
	return records
}

// beat answers the heartbeat that goes ahead of all packs where the connection before ended without an answer.
func (p *handProxy) beat(t *testing.T) {
	t.Helper()
	f, err := p.r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if typ, _, err := frame.Type(f); err != nil || typ != frame.TypeHeartbeat {
		t.Fatalf("a frame of type %d (%v), want a heartbeat ahead of the packs", typ, err)
	}
	if _, err := p.conn.Write(frame.AppendHeartbeat(nil)); err != nil {
		t.Fatal(err)
	}
}

func (p *handProxy) ack(t *testing.T, uniq uint32) {
	t.Helper()
	if _, err := p.conn.Write(frame.AppendAck(nil, uniq, "10.0.0.1", 0, "", nil)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// watchesNothing is a confirmer that has seen whatever the test says.
type watchesNothing struct{}

func (watchesNothing) Watch(context.Context, string, string) error { return nil }
func (watchesNothing) Barrier(context.Context) error               { return nil }

// 1. a writer is in the middle of a pack  2. the pack is seen in the queue, from an earlier copy, and is final
// 3. the next pack is put together. Its bytes must not go into the buffer that is still being written.
func TestBufferIsKeptWhileItIsWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, proxies := setupByHand(t, 1, finality.Queue, sdk.WithConfirmer(watchesNothing{}), sdk.WithInstance("me"))
		proxy := proxies[0]
		send := func(text string) {
			b := e.log.batch(e.stream("s"), [][]byte{[]byte(text)})
			if _, err := e.sender.SendBatch(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			e.sender.Seal()
			synctest.Wait()
		}
		first, second := strings.Repeat("a", 1000), strings.Repeat("b", 1000)
		send(first)
		e.sender.Seen([]uint64{1})
		synctest.Wait()
		if n := sdk.Lent(e.sender); n != 1 {
			t.Errorf("%d buffers are in use while one is being written", n)
		}
		send(second)
		for _, want := range []string{first, second} {
			if got := proxy.read(t); len(got) != 1 || got[0] != want {
				t.Errorf("the proxy read %.20q, want %.20q", got, want)
			}
		}
		e.sender.Seen([]uint64{2})
		synctest.Wait()
		e.log.want(sdk.Final, 2)
		if n := sdk.Lent(e.sender); n != 0 {
			t.Errorf("%d buffers are in use after everything was written", n)
		}
	})
}

// An ack is of a pack only if the writer took the pack: what was handed to the connection and not begun cannot
// have arrived, whatever the answer says.
func TestAckOfAPackThatWasNotWrittenIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, proxies := setupByHand(t, 1, finality.Ack)
		proxy := proxies[0]
		e.send(e.stream("s"), 1)
		synctest.Wait() // the writer is in the middle of pack 1
		e.send(e.stream("s"), 1)
		synctest.Wait()
		proxy.ack(t, 2)
		e.log.want(sdk.Final, 0)
		if n := e.sender.Status().Endpoints[0].UnknownAcks; n != 1 {
			t.Errorf("%d acks found no pack, want the one that came too early", n)
		}
		for uniq := range uint32(2) {
			proxy.read(t)
			proxy.ack(t, uniq+1)
		}
		e.log.want(sdk.Final, 2)
	})
}

// 1. a proxy acks a pack and stands still  2. a write to it takes too long and the connection is closed. It may go
// on with what it acked: that is given patience, as after any silence, and not loss_grace alone.
func TestWriteTimeoutIsASilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, proxies := setupByHand(t, 1, finality.Queue, sdk.WithConfirmer(watchesNothing{}), sdk.WithInstance("me"), sdk.WithWriteTimeout(time.Second))
		e.send(e.stream("s"), 1)
		proxies[0].read(t)
		proxies[0].ack(t, 1)
		e.send(e.stream("s"), 1) // nobody reads it
		settle(30 * time.Second)
		if s := e.sender.Status(); s.Endpoints[0].State == "connected" || s.Streams[0].PacksLost != 0 {
			t.Errorf("status %+v, want the connection closed and nothing lost within patience", s)
		}
		settle(40 * time.Second)
		e.log.want(sdk.Lost, 1)
	})
}

// 1. a pack is written and its connection ends  2. it is written to another one  3. its first copy is seen: the
// second one goes on, and is counted as a duplicate.
func TestSecondCopyOfAPackThatWasSeenCountsAsADuplicate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, proxies := setupByHand(t, 2, finality.Queue, sdk.WithConfirmer(watchesNothing{}), sdk.WithInstance("me"))
		e.send(e.stream("s"), 1)
		proxies[0].read(t)
		_ = proxies[0].conn.Close()
		proxies[1].beat(t)
		proxies[1].read(t)
		e.sender.Seen([]uint64{1})
		synctest.Wait()
		e.log.want(sdk.Final, 1)
		if s := e.sender.Status().Streams[0]; s.PacksDuplicated != 1 {
			t.Errorf("%d packs counted as duplicates, want 1", s.PacksDuplicated)
		}
	})
}
