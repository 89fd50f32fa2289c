package sdk_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// A bridge that catches up behind a rate keeps what it may send in a few seconds, sends at that rate, and is done soon
// after it is told to stop; through an outage it keeps no more.
func TestSenderThatIsHeldBackKeepsAFewSecondsOfWhatItMaySend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const rate, wait = 4 << 20, 2
		f := finality.DefaultConfig(finality.Ack)
		f.Rate = rate
		e := setup(t, 1, sdk.WithCompression(sdk.None), sdk.WithFinality(f), sdk.WithBudget(256<<20, 8<<20), sdk.WithAhead(wait*time.Second))
		settle(time.Second)
		most := int64(0)
		catchUp := func(d time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			for ctx.Err() == nil {
				switch _, err := e.sender.TrySendBatch(e.log.batch(e.stream("s"), zeros(100, 1000))); {
				case errors.Is(err, sdk.ErrBufferFull): // as the bridge does
					select {
					case <-e.sender.Room():
					case <-ctx.Done():
					}
				case err != nil:
					t.Fatal(err)
				}
				most = max(most, e.sender.Status().UsedBytes)
			}
		}
		sent := func() uint64 { return e.sender.Status().Endpoints[0].BytesSent }
		catchUp(10 * time.Second)
		before := sent()
		catchUp(20 * time.Second)
		if got := sent() - before; got < 20*rate*98/100 {
			t.Errorf("%d bytes were sent in 20 s, %d may be", got, 20*rate)
		}
		if c := e.sender.Status().Endpoints[0].Code; c != sdk.EndpointRateReached {
			t.Errorf("packs wait for the rate, and the proxy's code is %q", c)
		}
		if st := e.streamStatus("s"); st.BufferFull == 0 {
			t.Error("calls that had to wait are not counted")
		}
		const bound = 16<<20 + wait*rate + 4<<20
		if most > bound {
			t.Errorf("%d bytes were held, want at most %d: 16 MiB, %d s of what may be sent, and what is being filled and in flight", most, bound, wait)
		}
		e.proxies[0].Kill()
		catchUp(time.Minute)
		if most > bound {
			t.Errorf("%d bytes were held in an outage, want at most %d", most, bound)
		}
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(5 * time.Second)
		before = sent()
		catchUp(20 * time.Second)
		if got := sent() - before; got < 20*rate*98/100 {
			t.Errorf("%d bytes were sent in 20 s after the outage, %d may be", got, 20*rate)
		}
		e.sender.Seal()
		began := time.Now()
		e.close(time.Minute)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("closing took %v", took)
		}
	})
}
