package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/manager"
)

// A program takes its proxies from InLong's Manager, and starts without it from the list kept on disk.
func ExampleWithManager() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	url, dir, stop := managerAndProxy()
	defer stop()

	m, err := manager.New(manager.Config{
		URLs:      []string{url}, // several: they are asked in turn
		SecretID:  "admin",
		SecretKey: func() (string, error) { return "inlong", nil }, // asked for each time, so that it can change
		Timeout:   5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := sdk.New(ctx, sdk.WithManager(m), sdk.WithCacheDir(dir))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.AddGroup(ctx, "shop"); err != nil { // waits for a connection
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent:", s.Send(ctx, sdk.Message{Stream: stream, Payload: []byte(`{"id":1}`)}))
	fmt.Println("closed:", s.Close(ctx))
	// Output:
	// sent: <nil>
	// closed: <nil>
}

// With a limit of retries a message may be given up. What is refused, lost or left at Close comes back with its Meta,
// here the record itself, and is kept.
func ExampleWithRetryLimit() {
	addr, stop := proxyThatAnswersNotNow()
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := sdk.New(ctx, sdk.WithProxies(addr), sdk.WithRetryLimit(2), sdk.WithRetry(time.Millisecond, 10*time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	spool := func(r sdk.Result) {
		if r.Outcome == sdk.Final {
			return
		}
		var gaveUp *sdk.RetryError
		fmt.Println("gave up:", errors.As(r.Err, &gaveUp)) // gaveUp.MaybeDelivered says whether it may arrive all the same
		fmt.Printf("spooled: %s\n", r.Meta)                // into a file, to be sent later
	}
	record := []byte(`{"id":1}`)
	if err := s.SendAsync(ctx, sdk.Message{Stream: stream, Payload: record, Meta: record}, spool); err != nil {
		log.Fatal(err) // it was not taken: spool is not called
	}
	if err := s.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// gave up: true
	// spooled: {"id":1}
}

// A program stops in two steps: it takes nothing new when it is told to end, and gives the sender a while to deliver the rest.
func Example_gracefulStop() {
	addr, stop := oneProxy()
	defer stop()
	records := make(chan []byte, 3) // where the program's records come from
	for i := range 3 {
		records <- fmt.Appendf(nil, `{"id":%d}`, i)
	}

	running, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer done()
	s, err := sdk.New(running, sdk.WithProxies(addr))
	if err != nil {
		log.Fatal(err)
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		log.Fatal(err)
	}
	final := 0
	count := func(r sdk.Result) {
		if r.Outcome == sdk.Final {
			final++
		}
	}
	for running.Err() == nil {
		select {
		case record := <-records:
			if err := s.SendAsync(running, sdk.Message{Stream: stream, Payload: record}, count); err != nil {
				fmt.Println("not sent:", err) // keep the record: the signal came while it waited for room
			}
			if len(records) == 0 {
				signalMyself()
			}
		case <-running.Done():
		}
	}
	ending, cancel := context.WithTimeout(context.Background(), 20*time.Second) // less than the supervisor waits
	defer cancel()
	fmt.Println("closed:", s.Close(ending)) // says how many are left when the time is over
	fmt.Println(final, "final")
	// Output:
	// closed: <nil>
	// 3 final
}

// fakeClient is a sender for the tests of a program: it keeps what it is given.
type fakeClient struct{ sent []string }

func (f *fakeClient) Stream(group, stream string) (*sdk.Stream, error) {
	return sdk.UnboundStream(group, stream)
}

func (f *fakeClient) Send(_ context.Context, m sdk.Message) error {
	f.sent = append(f.sent, fmt.Sprintf("%s: %s", m.Stream, m.Payload))
	return nil
}

func (f *fakeClient) SendAsync(ctx context.Context, m sdk.Message, done func(sdk.Result)) error {
	err := f.Send(ctx, m)
	done(sdk.Result{Outcome: sdk.Final, Meta: m.Meta})
	return err
}

func (f *fakeClient) SendBatch(_ context.Context, b *sdk.Batch) (int, error) {
	return len(b.Payloads), nil
}

func (f *fakeClient) Close(context.Context) error { return nil }

// order is code under test: it takes a Client and so does not care whether that is a Sender.
func order(ctx context.Context, c sdk.Client, text string) error {
	stream, err := c.Stream("shop", "orders")
	if err != nil {
		return err
	}
	return c.Send(ctx, sdk.Message{Stream: stream, Payload: []byte(text)})
}

// A program that takes a Client is tested without a sender.
func ExampleClient() {
	fake := new(fakeClient)
	fmt.Println(order(context.Background(), fake, "tea"), fake.sent)
	// Output: <nil> [shop.orders: tea]
}

// What the examples stand on.

func oneProxy() (addr string, stop func()) {
	p, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	return p.Addr(), func() { _ = p.Close() }
}

func proxyThatAnswersNotNow() (addr string, stop func()) {
	p, err := dptest.NewProxy(dptest.NewMemoryQueue(1, 1))
	if err != nil {
		log.Fatal(err)
	}
	p.StopService(true)
	return p.Addr(), func() { _ = p.Close() }
}

func managerAndProxy() (url, dir string, stop func()) {
	addr, stopProxy := oneProxy()
	m := dptest.NewManager(dptest.WithAuth("admin", "inlong"))
	if err := m.Start("127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	m.SetNodes(addr)
	dir, err := os.MkdirTemp("", "sender")
	if err != nil {
		log.Fatal(err)
	}
	return m.URL(), dir, func() {
		_ = m.Close()
		stopProxy()
		_ = os.RemoveAll(dir)
	}
}

func signalMyself() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Signal(os.Interrupt)
	}
}
