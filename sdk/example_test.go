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
