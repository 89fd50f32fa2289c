package sdkprom_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/sdkprom"
)

// A collector shows what a sender does; it is registered once, where the program's other metrics are.
func ExampleNew() {
	proxy, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = proxy.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	registry := prometheus.NewRegistry()
	s, err := sdk.New(ctx, sdk.WithProxies(proxy.Addr()))
	if err != nil {
		log.Fatal(err)
	}
	if err := registry.Register(sdkprom.New(s)); err != nil {
		log.Fatal(err)
	}

	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Send(ctx, sdk.Message{Stream: stream, Payload: []byte("{}")}); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "inlong_bridge_sender_records_total" {
			fmt.Println(f.GetName(), f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	fmt.Println(s.Close(ctx))
	// Output:
	// inlong_bridge_sender_records_total 1
	// <nil>
}
