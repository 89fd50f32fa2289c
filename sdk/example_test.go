package sdk_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

func ExampleSender_Send() {
	proxy, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()

	ctx := context.Background()
	s, err := sdk.New(ctx, sdk.WithProxies(proxy.Addr()))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Send(ctx, sdk.Message{Stream: stream, Time: time.Now(), Payload: []byte(`{"id":1}`)}))
	fmt.Println(s.Close(ctx))
	// Output:
	// <nil>
	// <nil>
}

func ExampleSender_SendAsync() {
	proxy, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()

	ctx := context.Background()
	s, err := sdk.New(ctx, sdk.WithProxies(proxy.Addr()))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	final := 0 // callbacks come one at a time
	for i := range 1000 {
		m := sdk.Message{Stream: stream, Time: time.Now(), Payload: fmt.Appendf(nil, `{"id":%d}`, i)}
		err := s.SendAsync(ctx, m, func(r sdk.Result) {
			if r.Outcome == sdk.Final {
				final++
			}
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := s.Close(ctx); err != nil { // no callback comes after it
		log.Fatal(err)
	}
	fmt.Println(final, "messages final")
	// Output: 1000 messages final
}

// ledgerOf counts the records of the pieces that are final.
type ledgerOf struct {
	sizes []int // of pieces, by name
	final int
}

func (l *ledgerOf) Settled(piece uint64, r sdk.Result) {
	if r.Outcome == sdk.Final {
		l.final += l.sizes[piece]
	}
}

func (l *ledgerOf) Forgotten(uint64) bool { return true }

// A batch has one token; its records are told of by pieces, one for each pack they went into.
func ExampleSender_SendBatch() {
	proxy, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()

	ctx := context.Background()
	s, err := sdk.New(ctx, sdk.WithProxies(proxy.Addr()), sdk.WithPack(64<<10, 400, 20*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	payloads := make([][]byte, 1000)
	for i := range payloads {
		payloads[i] = fmt.Appendf(nil, `{"id":%d}`, i)
	}
	token := new(ledgerOf)
	n, err := s.SendBatch(ctx, &sdk.Batch{
		Stream: stream, Time: time.Now(), Payloads: payloads, Token: token,
		Packed: func(from, to int) uint64 { // of payloads, in one pack
			token.sizes = append(token.sizes, to-from)
			return uint64(len(token.sizes) - 1)
		},
	})
	fmt.Println(n, "taken, in pieces of", token.sizes, err)
	if err := s.Close(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.final, "final")
	// Output:
	// 1000 taken, in pieces of [400 400 200] <nil>
	// 1000 final
}

// Close delivers what was taken. What it cannot deliver in time is told to its callbacks, and counted.
func ExampleSender_Close() {
	proxy, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()
	proxy.Freeze(true) // it answers nothing

	// A pack stays open for up to 10 s, unless Close comes first.
	s, err := sdk.New(context.Background(), sdk.WithProxies(proxy.Addr()), sdk.WithPack(256<<10, 1000, 10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	now := time.Now() // a pack holds one minute
	for range 3 {
		m := sdk.Message{Stream: stream, Time: now, Payload: []byte("{}")}
		err := s.SendAsync(context.Background(), m, func(r sdk.Result) { fmt.Println("told:", r.Err) })
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	fmt.Println(s.Close(ctx))
	// Output:
	// told: sender is closed
	// told: sender is closed
	// told: sender is closed
	// closing sender: 1 pack (3 records) not final: context deadline exceeded
}

// Hooks tell what happens to packs and connections.
func ExampleWithHooks() {
	proxy, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()

	ctx := context.Background()
	s, err := sdk.New(ctx, sdk.WithProxies(proxy.Addr()), sdk.WithHooks(sdk.Hooks{
		PackAcked: func(p sdk.PackEvent) {
			fmt.Println("acked:", p.Records, "record of", p.Stream, "sent", p.Sends, "time")
		},
	}))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Send(ctx, sdk.Message{Stream: stream, Time: time.Now(), Payload: []byte("{}")}); err != nil {
		log.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: acked: 1 record of shop.orders sent 1 time
}
