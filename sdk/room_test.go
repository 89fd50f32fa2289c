package sdk_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
)

// zeros returns n records of size bytes that compress to nearly nothing.
func zeros(n, size int) [][]byte {
	records := make([][]byte, n)
	for i := range records {
		records[i] = make([]byte, size)
	}
	return records
}

func TestEncodedPackHoldsItsFrameInTheBudget(t *testing.T) {
	for _, repair := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			settle(time.Second)
			e.proxies[0].Freeze(true)
			b := e.log.batch(e.stream("s"), zeros(1000, 1000))
			b.Repair = repair
			if n, err := e.sender.TrySendBatch(b); n != 1000 || err != nil {
				t.Fatalf("TrySendBatch = %d, %v", n, err)
			}
			e.sender.Seal()
			synctest.Wait()
			s := e.sender.Status()
			if frames := s.Endpoints[0].InFlightBytes; s.UsedBytes != frames || frames == 0 || frames > 1_000_000/10 {
				t.Errorf("%d bytes of the budget are used for %d bytes of frames", s.UsedBytes, frames)
			}
			if held := e.streamStatus("s").HeldBytes; !repair && held != s.UsedBytes || repair && held != 0 {
				t.Errorf("the stream holds %d bytes of %d (repair %v)", held, s.UsedBytes, repair)
			}
			e.proxies[0].Freeze(false)
			e.close(time.Minute)
			if used, held := e.sender.Status().UsedBytes, e.streamStatus("s").HeldBytes; used != 0 || held != 0 {
				t.Errorf("%d bytes used, %d of them by the stream, after the ack", used, held)
			}
		})
	}
}

func TestEncodingMakesRoomWithoutAnAck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMaxFrame(64<<10), sdk.WithPack(32<<10, 1000, time.Millisecond), sdk.WithBudget(320<<10, 64<<10))
		settle(time.Second)
		e.proxies[0].Freeze(true)
		// Many times what fits as records; as frames all fit.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for range 20 {
			if n, err := e.sender.SendBatch(ctx, e.log.batch(e.stream("s"), zeros(64, 1000))); n != 64 || err != nil {
				t.Fatalf("SendBatch = %d, %v", n, err)
			}
		}
		e.proxies[0].Freeze(false)
		e.close(time.Minute)
	})
}

func TestOutageFillsTheBudgetAndNotJustThePace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithCompression(sdk.None))
		settle(time.Second)
		e.batch(e.stream("s"), 1) // it has moved
		settle(time.Second)
		e.proxies[0].Kill()
		settle(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		taken := 0
		for {
			n, err := e.sender.SendBatch(ctx, e.log.batch(e.stream("s"), zeros(100, 1000)))
			if taken += n; err != nil {
				break
			}
		}
		if taken < 20_000 { // of 28 MiB, half of what is not for repairs
			t.Errorf("%d records of 1,000 bytes were taken while the proxy is away", taken)
		}
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		e.close(time.Minute)
	})
}

func TestMessagesTakeRoomInAdvanceAndGiveItBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		settle(time.Second)
		e.proxies[0].Freeze(true)
		told := 0
		send := func(n int) {
			for range n {
				m := sdk.Message{Stream: e.stream("s"), Time: time.Now(), Payload: make([]byte, 96)}
				if err := e.sender.SendAsync(t.Context(), m, func(sdk.Result) { told++ }); err != nil {
					t.Fatal(err)
				}
			}
		}
		send(100) // too few
		if s := e.sender.Status(); s.UsedBytes != 100*100 {
			t.Errorf("%d bytes used for 100 messages of 100", s.UsedBytes)
		}
		send(900)
		s := e.sender.Status()
		if ahead := s.UsedBytes - 1000*100; s.OpenPacks != 1 || ahead <= 0 || ahead > 32<<10 || e.streamStatus("s").HeldBytes != s.UsedBytes {
			t.Errorf("%d bytes used for 1,000 messages of 100 in %d packs, %d of them by the stream", s.UsedBytes, s.OpenPacks, e.streamStatus("s").HeldBytes)
		}
		e.sender.Seal()
		synctest.Wait()
		if s := e.sender.Status(); s.UsedBytes != s.Endpoints[0].InFlightBytes {
			t.Errorf("%d bytes used for %d in flight", s.UsedBytes, s.Endpoints[0].InFlightBytes)
		}
		e.proxies[0].Freeze(false)
		e.close(time.Minute)
		if told != 1000 {
			t.Errorf("%d callbacks for 1,000 messages", told)
		}
	})
}
