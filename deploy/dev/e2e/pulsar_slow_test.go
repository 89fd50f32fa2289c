//go:build e2e

package e2e

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/confirmtest"
	confirmpulsar "inlong-bridge/connector/confirm/pulsar"
)

// slowSink takes its time for each pack, so that its reader always holds some when its connection ends.
type slowSink struct {
	*confirmtest.Sink
	perPack time.Duration
	held    *sync.RWMutex // write-locked while it takes nothing at all
}

func (s slowSink) Seen(seqs []uint64) {
	for some := range slices.Chunk(seqs, 20) {
		<-time.After(time.Duration(len(some)) * s.perPack)
		s.held.RLock()
		s.Sink.Seen(some)
		s.held.RUnlock()
	}
}

var errTooFew = errors.New("too few packs are acknowledged")

// A broker is killed ten times under 2,000 packs a second, and a slow reader misses nothing. A reader that goes on
// after a reconnect, as the client's do, reads the same at the same time. How much that one misses is told and
// decides nothing: it is a batch or none for each connection, as the moments fall. With E2E_PULSAR_RESUME=1 it is the
// one under test, to see the test fail.
func TestPulsarSlowReaderWhileTheBrokerIsKilledTenTimes(t *testing.T) {
	const (
		kills = 10
		rate  = 2000
	)
	t.Parallel()
	r := need(t, "pulsar")
	b := newBench(t)
	node := b.startPulsar(r, "pulsar")
	broker := newContractBroker(t, node, "slow")
	broker.Create(t, 2)
	cfg := confirmpulsar.Config{
		Instance: confirmtest.Instance, Timeout: contractTimeout,
		Clusters: []confirmpulsar.Cluster{{Name: "q", ServiceURL: "pulsar://" + node.broker, Tenant: pulsarTenant, Namespace: "slow", Topic: "{stream}"}},
	}
	type watcher struct {
		reader confirm.Reader
		sink   slowSink
	}
	var held sync.RWMutex
	var watchers []watcher
	for _, open := range []func(confirmpulsar.Config) (*confirmpulsar.Reader, error){confirmpulsar.New, confirmpulsar.NewResumingAfterReconnect} {
		reader, err := open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(reader.Close)
		// Each partition gets 1,000 packs a second, which is more than it takes: some always wait in the reader.
		w := watcher{reader, slowSink{confirmtest.NewSink(), 1500 * time.Microsecond, &held}}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- reader.Run(ctx, w.sink) }()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil && !errors.Is(err, confirm.ErrClosed) {
				t.Error(err)
			}
		})
		if err := reader.Watch(t.Context(), confirmtest.Group, confirmtest.Stream); err != nil {
			t.Fatal(err)
		}
		watchers = append(watchers, w)
	}
	good, naive := watchers[0], watchers[1]
	if os.Getenv("E2E_PULSAR_RESUME") != "" {
		good = naive
	}
	holding := false
	t.Cleanup(func() {
		if holding { // or the readers would never end
			held.Unlock()
		}
	})

	producer, err := broker.client.CreateProducer(pulsar.ProducerOptions{
		Topic:       "persistent://" + pulsarTenant + "/slow/" + confirmtest.Stream,
		SendTimeout: -1, MaxPendingMessages: 1000, CompressionType: pulsar.SNAPPY,
		BatchingMaxMessages: 20, // as many packs as DataProxy's 128 KiB hold; a reader has several batches, and loses one
	})
	if err != nil {
		t.Fatal(err)
	}
	var acked atomic.Uint64
	var wrote uint64
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, v := range confirmtest.Packs(wrote, wrote+rate/100) {
				// It waits while the broker is away, and sends again then what was not acknowledged.
				producer.SendAsync(t.Context(), &pulsar.ProducerMessage{Payload: v}, func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) {
					if err == nil {
						acked.Add(1)
					}
				})
				wrote++
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	for range kills {
		before := acked.Load()
		b.pause(1500 * time.Millisecond)
		b.eventually(time.Minute, func() error {
			if n := acked.Load(); n < before+rate {
				return errTooFew
			}
			return nil
		})
		// They hold messages still when their connections come back: that is when the client loses some.
		held.Lock()
		holding = true
		node.kill()
		node.restart()
		b.pause(1500 * time.Millisecond)
		held.Unlock()
		holding = false
	}
	close(stop)
	writing.Wait()
	b.eventually(time.Minute, func() error {
		if acked.Load() < wrote {
			return errTooFew
		}
		return nil
	})
	missed := func(w watcher) (n int) {
		b.eventually(2*time.Minute, func() error {
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			return w.reader.Barrier(ctx)
		})
		seen := w.sink.All()
		for s := range wrote {
			if _, ok := slices.BinarySearch(seen, s); !ok {
				n++
			}
		}
		return n
	}
	lost, went := missed(good), missed(naive)
	t.Logf("of %d packs the reader missed %d; one that goes on after a reconnect missed %d", wrote, lost, went)
	if lost > 0 {
		t.Errorf("%d packs were missed; status %+v", lost, good.reader.Status())
	}
}
