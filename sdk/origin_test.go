package sdk_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

func TestEveryPackCarriesTheOriginIntoTheQueue(t *testing.T) {
	for _, typ := range []sdk.MessageType{sdk.Type3, sdk.Type5, sdk.Type7} {
		bubble(t, func(t *testing.T) {
			e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
			var mu sync.Mutex
			var origins []string
			e.addProxy("dp1:46801", dptest.WithOnPack(func(p dptest.PackInfo) {
				attr, err := frame.InLongMsgAttr(p.Value)
				if err != nil || !frame.MayBeInLongMsg(p.Value) {
					t.Errorf("type %d: what it became is no InLongMsg: %v", typ, err)
				}
				origin, _ := frame.Attribute(attr, frame.AttrOrigin)
				mu.Lock()
				defer mu.Unlock()
				origins = append(origins, string(origin))
			}))
			e.sender = e.newSender(sdk.WithProxies("dp1:46801"), sdk.WithMessageType(typ))
			if err := e.sender.SetOrigin("me-1_"); err != nil {
				t.Fatal(err)
			}
			e.send(e.stream("s"), 1)
			e.send(e.stream("t"), 1)
			e.close(time.Second)
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(origins, " "); got != "me-1_ me-1_" {
				t.Errorf("type %d: the packs in the queue come from %q, want me-1_ in both", typ, got)
			}
		})
	}
}

func TestOriginIsCheckedAndComesBeforeTheFirstStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupSeen(t)
		for _, name := range []string{"", "a=b", "a&b", "ü", strings.Repeat("x", 17)} {
			if err := e.sender.SetOrigin(name); err == nil {
				t.Errorf("SetOrigin(%q) was taken", name)
			}
		}
		e.stream("s")
		if err := e.sender.SetOrigin("late"); err == nil {
			t.Error("an origin was taken after the first stream, whose packs do not carry it")
		}
		e.close(0)
	})
}
