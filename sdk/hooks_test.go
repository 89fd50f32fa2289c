package sdk_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

// record keeps what hooks are told as lines.
func record(story *[]string) sdk.Hooks {
	pack := func(what string) func(sdk.PackEvent) {
		return func(e sdk.PackEvent) {
			line := fmt.Sprintf("%s %s %d records", e.Stream.Name(), what, e.Records)
			if e.Endpoint != "" {
				line += " " + e.Endpoint
			}
			if e.Sends > 1 {
				line += fmt.Sprintf(" sends %d", e.Sends)
			}
			if e.Err != nil {
				line += " err"
			}
			*story = append(*story, line)
		}
	}
	return sdk.Hooks{
		PackSealed: pack("sealed"), PackWritten: pack("written"), PackAcked: pack("acked"), PackFinal: pack("final"),
		PackLost: pack("lost"), PackRefused: pack("refused"), PackGivenUp: pack("given up"),
		ConnOpened: func(e sdk.ConnEvent) { *story = append(*story, fmt.Sprintf("opened %s %d", e.Endpoint, e.ID)) },
		ConnEnded: func(e sdk.ConnEvent) {
			*story = append(*story, fmt.Sprintf("ended %s %d unanswered %d acked %d", e.Endpoint, e.ID, e.Unanswered, e.Acked))
		},
	}
}

func TestHooksTellTheWholeStory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var story []string
		e := setup(t, 1, sdk.WithHooks(record(&story)), sdk.WithRetry(time.Second, time.Second))
		settle(time.Second)
		e.batch(e.stream("a"), 3)
		settle(5 * time.Second)
		e.proxies[0].SwallowAck(1)
		e.batch(e.stream("b"), 2)
		settle(5 * time.Second)
		e.proxies[0].ResetConnections()
		settle(5 * time.Second)
		e.proxies[0].Code(112, 1)
		e.batch(e.stream("c"), 1)
		settle(5 * time.Second)
		e.proxies[0].Freeze(true)
		e.batch(e.stream("d"), 4)
		settle(5 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.sender.Close(ctx); err == nil {
			t.Error("Close left nothing, want the frozen proxy's pack")
		}
		told := len(story)
		settle(time.Minute)
		want := `opened dp1:46801 1
a sealed 3 records
a written 3 records dp1:46801
a acked 3 records dp1:46801
a final 3 records dp1:46801
b sealed 2 records
b written 2 records dp1:46801
ended dp1:46801 1 unanswered 1 acked 0
opened dp1:46801 2
b written 2 records dp1:46801 sends 2
b acked 2 records dp1:46801 sends 2
b final 2 records dp1:46801 sends 2
c sealed 1 records
c written 1 records dp1:46801
c refused 1 records dp1:46801 err
d sealed 4 records
d written 4 records dp1:46801
ended dp1:46801 2 unanswered 1 acked 0
d given up 4 records dp1:46801 err`
		if got := strings.Join(story, "\n"); got != want || told != len(story) {
			t.Errorf("hooks told (%d of it before Close returned)\n%s\nwant\n%s", told, got, want)
		}
	})
}

func TestLostPacksAreToldToHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lost []sdk.PackEvent
		e := setup(t, 1, config(finality.Settle, func(c *finality.Config) { c.Settle = time.Hour }),
			sdk.WithHooks(sdk.Hooks{PackLost: func(p sdk.PackEvent) { lost = append(lost, p) }}))
		settle(time.Second)
		e.batch(e.stream("s"), 7)
		settle(2 * time.Second)
		e.proxies[0].Kill()
		settle(time.Minute)
		if len(lost) != 1 || lost[0].Records != 7 || lost[0].Endpoint != "dp1:46801" || lost[0].Age < 2*time.Second || lost[0].Wire == 0 {
			t.Errorf("lost %+v, want one pack of 7 records", lost)
		}
	})
}

// A hook that panics harms neither the sender nor the callbacks of the same packs.
func TestAPanickingHookHarmsOnlyItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := 0
		panics := func(sdk.PackEvent) { calls++; panic("hook") }
		e := setup(t, 1, sdk.WithHooks(sdk.Hooks{PackSealed: panics, PackAcked: panics, PackFinal: panics,
			ConnOpened: func(sdk.ConnEvent) { calls++; panic("hook") }}))
		e.batch(e.stream("s"), 5)
		e.close(time.Second)
		e.log.want(sdk.Final, 5)
		if calls != 4 {
			t.Errorf("%d calls of hooks, want 4", calls)
		}
	})
}

// Hooks may ask the sender: they are called under none of its locks.
func TestHooksMayAskForTheStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var e *env
		seen := 0
		e = &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		e.addProxy("dp1:46801")
		ready := make(chan struct{})
		ask := func(sdk.PackEvent) {
			<-ready
			seen += len(e.sender.Status().Streams)
		}
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...),
			sdk.WithHooks(sdk.Hooks{PackSealed: ask, PackWritten: ask, PackAcked: ask, PackFinal: ask}))
		close(ready)
		e.batch(e.stream("s"), 5)
		e.close(time.Second)
		if seen != 4 {
			t.Errorf("%d streams seen by 4 hooks", seen)
		}
	})
}
