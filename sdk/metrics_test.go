package sdk_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// streamStatus is the status of a stream of group g.
func (e *env) streamStatus(name string) sdk.StreamStatus {
	e.t.Helper()
	for _, st := range e.sender.Status().Streams {
		if st.Group == "g" && st.Stream == name {
			return st
		}
	}
	e.t.Fatalf("stream %s is not in the status", name)
	return sdk.StreamStatus{}
}

// One pack of 10 records: 15 ms until its linger, 300 ms until the ack, 2 s until it is final.
func TestTimesAreCountedForEachRecordOfAPack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, config(finality.Settle, func(c *finality.Config) { c.Settle, c.BusyBeat = 2*time.Second, time.Second }),
			sdk.WithPack(64<<10, 100, 15*time.Millisecond))
		e.proxies[0].AckDelay(300 * time.Millisecond)
		settle(time.Second)
		e.batch(e.stream("s"), 10)
		settle(10 * time.Second)
		st := e.streamStatus("s")
		for _, c := range []struct {
			name     string
			times    sdk.Times
			from, to time.Duration
		}{
			{"queue", st.QueueTime, 15 * time.Millisecond, 20 * time.Millisecond},
			{"wire", st.WireTime, 300 * time.Millisecond, 310 * time.Millisecond},
			{"total", st.TotalTime, 2315 * time.Millisecond, 4 * time.Second},
		} {
			if n, mean := c.times.Records(), c.times.Mean(); n != 10 || mean < c.from || mean > c.to {
				t.Errorf("%s time: %d records of %v, want 10 between %v and %v", c.name, n, mean, c.from, c.to)
			}
			for i, b := range c.times.Buckets {
				bounds := append([]time.Duration{-1}, sdk.TimeBounds()...)
				mean := c.times.Mean()
				if in := bounds[i] < mean && (i+1 == len(bounds) || mean <= bounds[i+1]); in != (b == 10) {
					t.Errorf("%s time: %d records in bucket %d, mean %v", c.name, b, i, mean)
				}
			}
		}
		if st.RecordsFinal != 10 || st.PacksFinal != 1 {
			t.Errorf("%d records in %d packs final, want 10 in 1", st.RecordsFinal, st.PacksFinal)
		}
		e.close(time.Second)
	})
}

// A pack that is sent again waited in the queue once; the wire time is that of the last copy alone.
func TestTimesOfAPackThatWasSentTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithRetry(time.Second, time.Second))
		settle(time.Second)
		e.proxies[0].SwallowAck(1)
		e.batch(e.stream("s"), 10)
		settle(5 * time.Second)
		e.proxies[0].ResetConnections()
		settle(10 * time.Second)
		st := e.streamStatus("s")
		if st.PacksResent != 1 || st.QueueTime.Records() != 10 || st.WireTime.Records() != 10 || st.TotalTime.Records() != 10 {
			t.Errorf("status %+v, want one pack of 10 records, resent once, each counted once", st)
		}
		if wire, total := st.WireTime.Mean(), st.TotalTime.Mean(); wire > 100*time.Millisecond || total < 5*time.Second {
			t.Errorf("wire time %v, total %v, want the last copy's, and more than 5 s", wire, total)
		}
		e.close(time.Second)
	})
}

func TestWhatIsTurnedAwayIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMaxFrame(8<<10), sdk.WithPack(4<<10, 100, time.Millisecond), sdk.WithBudget(40<<10, 8<<10))
		st := e.stream("s")
		huge := sdk.Message{Stream: st, Time: time.Now(), Payload: make([]byte, 9<<10)}
		if err := e.sender.SendAsync(t.Context(), huge, nil); !errors.Is(err, sdk.ErrTooLarge) {
			t.Errorf("SendAsync of 9 KiB: %v, want ErrTooLarge", err)
		}
		b := &sdk.Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{[]byte("fits"), huge.Payload}}
		if n, err := e.sender.TrySendBatch(b); n != 1 || !errors.Is(err, sdk.ErrTooLarge) {
			t.Errorf("TrySendBatch = %d, %v, want 1, ErrTooLarge", n, err)
		}
		many := &sdk.Batch{Stream: st, Time: time.Now(), Payloads: slices.Repeat([][]byte{make([]byte, 1000)}, 100)}
		n, err := e.sender.TrySendBatch(many)
		if !errors.Is(err, sdk.ErrBufferFull) && !errors.Is(err, sdk.ErrStreamFull) {
			t.Errorf("TrySendBatch beyond the budget = %d, %v", n, err)
		}
		got := e.streamStatus("s")
		if got.TooLarge != 2 || got.BufferFull != 1 || got.Records != uint64(1+n) {
			t.Errorf("%d too large, %d times full, %d records, want 2, 1, %d", got.TooLarge, got.BufferFull, got.Records, 1+n)
		}
		e.close(10 * time.Second)
	})
}

func TestFailuresAreCountedInRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, config(finality.Settle, func(c *finality.Config) { c.Settle = time.Hour }))
		settle(time.Second)
		e.batch(e.stream("s"), 7)
		settle(time.Second)
		e.proxies[0].Kill()
		settle(time.Minute)
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		e.proxies[0].Code(112, 1)
		settle(time.Minute)
		e.batch(e.stream("s"), 5)
		settle(time.Minute)
		st := e.streamStatus("s")
		if st.RecordsLost != 7 || st.PacksLost != 1 || st.RecordsRefused != 5 || st.PacksRefused != 1 || st.RecordsFinal != 0 {
			t.Errorf("status %+v, want 7 records lost and 5 refused", st)
		}
		if ep := e.sender.Status().Endpoints[0]; ep.PacksLost != 1 || ep.RecordsLost != 7 {
			t.Errorf("endpoint %+v, want one pack of 7 records lost", ep)
		}
		e.close(time.Second)
	})
}

// noise does not compress.
func noise(n int) [][]byte {
	x := uint64(1)
	return slices.Collect(func(yield func([]byte) bool) {
		for range n {
			b := make([]byte, 1000)
			for i := range b {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
				b[i] = byte(x)
			}
			if !yield(b) {
				return
			}
		}
	})
}

func TestCompressionIsVisible(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithPack(64<<10, 100, time.Millisecond))
		shrinks, not := e.stream("shrinks"), e.stream("not")
		if !e.streamStatus("shrinks").Compressing {
			t.Error("a fresh stream does not compress")
		}
		for range 10 {
			for st, records := range map[*sdk.Stream][][]byte{shrinks: json(20, 1000), not: noise(20)} {
				if _, err := e.sender.SendBatch(t.Context(), &sdk.Batch{Stream: st, Time: time.Now(), Payloads: records}); err != nil {
					t.Fatal(err)
				}
			}
			settle(time.Second)
		}
		a, b := e.streamStatus("shrinks"), e.streamStatus("not")
		if !a.Compressing || a.PacksPlain != 0 || float64(a.PackedBytes) < 1.5*float64(a.WireBytes) {
			t.Errorf("%d bytes packed, %d on the wire, %d packs plain: want them compressed", a.PackedBytes, a.WireBytes, a.PacksPlain)
		}
		if b.Compressing || b.PacksPlain != 6 || b.WireBytes < b.PackedBytes {
			t.Errorf("%d bytes packed, %d on the wire, %d packs plain: want compression given up after 4 packs", b.PackedBytes, b.WireBytes, b.PacksPlain)
		}
		if a.PackedBytes != a.RecordBytes+4*a.Records {
			t.Errorf("%d bytes packed of %d records with %d bytes", a.PackedBytes, a.Records, a.RecordBytes)
		}
		e.close(time.Second)
	})
}

func TestFailuresOfTheManagerAreCountedByGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 1, sdk.WithMetricStreams(1))
		l.set("g", errors.New("connection refused"))
		e.stream("s")
		if _, err := e.sender.Stream("h", "s"); err != nil {
			t.Fatal(err)
		}
		settle(10 * time.Second)
		groups := e.sender.Status().Discovery.Groups
		if len(groups) != 2 || groups[0].Group != "g" || groups[0].Failures < 5 || groups[0].Folded || !groups[1].Folded ||
			!strings.Contains(groups[1].LastError, "connection refused") {
			t.Errorf("groups %+v, want failures of g and h, and h folded", groups)
		}
		l.set("g", nil, "dp1:1")
		settle(10 * time.Second)
		before := e.sender.Status().Discovery.Groups
		settle(10 * time.Second)
		after := e.sender.Status().Discovery.Groups
		if after[0].Failures != before[0].Failures || after[0].Stale || after[0].LastError != "" || after[1].Failures == before[1].Failures {
			t.Errorf("groups %+v after %+v, want only h, which has no proxy, to fail", after, before)
		}
	})
}

func TestAWickedProxyCannotMakeSeriesWithoutEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithRetry(time.Millisecond, time.Millisecond))
		e.proxies[0].Code(1000, 1) // before the pack can get there
		e.send(e.stream("s"), 1)
		for code := range 200 {
			e.proxies[0].Code(1000+code, 1)
			settle(110 * time.Millisecond) // until the pause is seen to be over
			e.proxies[0].Code(1000+code, 0)
		}
		codes := e.sender.Status().Endpoints[0].AckErrors
		if len(codes) != 65 || codes[-1] < 100 {
			t.Errorf("%d codes, %d times another, want 64 told apart", len(codes), codes[-1])
		}
		settle(time.Second)
		e.close(time.Second)
	})
}
