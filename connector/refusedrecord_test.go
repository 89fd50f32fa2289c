package connector

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

// notTaking has every proxy answer a pack with code if it holds the payload.
func notTaking(value string, code int) envOption {
	return withProxy(dptest.WithAnswer(func(a dptest.Asked) int {
		if slices.ContainsFunc(a.Payloads(), func(v []byte) bool { return string(v) == value }) {
			return code
		}
		return 0
	}))
}

// One record of 10,000 ends connections: it is found, the reason names it, and everything else is in the queue. See
// TestOneRecordThatProxiesDoNotTakeIsSetAside for what on_error makes of it.
func TestOneRecordThatProxiesDoNotTakeIsFoundAndTheOthersArrive(t *testing.T) {
	const n, bad = 10_000, 4321
	for _, c := range []struct {
		name, confirm, onError string
		code                   int
		want                   reason.Code
	}{
		{"poison", "queue", "stop", dptest.CloseConnection, reason.Poison},
		{"poison", "settle", "stop", dptest.CloseConnection, reason.Poison},
	} {
		t.Run(c.name+" "+c.confirm, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(2), notTaking(payload("orders", 0, bad), c.code))
			e.routes = "  - {topics: [orders], group: g, stream: s, on_error: " + c.onError + "}\n"
			cfg := e.config(c.confirm)
			cfg.Pack.Bytes.N = 64 << 10
			for from := 0; from < n; from += 2500 {
				e.produce("orders", 0, from, 2500, 0)
			}
			e.produce("orders", 1, 0, 500, 0)
			r := e.start(cfg)
			p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped && p.Stall == string(c.want) })
			own := r.b.table.Assigned()
			i := slices.IndexFunc(own, func(a *assign.Assignment) bool { return a.ID().Num == 0 })
			if stop := own[i].Stopped(); stop.Own == nil || stop.Own.Offset != bad || !strings.Contains(p.Reason, fmt.Sprint("offset ", bad)) {
				t.Errorf("stopped by %+v: %s; want the record at %d named", stop, p.Reason, bad)
			}
			e.waitCommitted("orders", 1, 500)
			eventually(t, 20*time.Second, func() error {
				if gone := missing(e.arrived(), "orders", 0, n); len(gone) != 1 || gone[0] != bad {
					return fmt.Errorf("%d records are not in the queue, want record %d alone", len(gone), bad)
				}
				return nil
			})
			if at := e.committed("orders", 0); at > bad {
				t.Errorf("committed = %d, beyond the record that nobody takes", at)
			}
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal == 1 }) // the place of the bad record
			values := make(map[string][]byte)
			for p, n := range []int{n, 500} {
				for i := range n {
					values[fmt.Sprintf("orders/%d@%d", p, i)] = []byte(payload("orders", int32(p), i))
				}
			}
			if f := e.follow(values); f.told != f.packs || len(f.taken) != len(values)-1 {
				t.Errorf("%d of %d packs have a lineage, by which %d of %d records are taken", f.told, f.packs, len(f.taken), len(values)-1)
			}
		})
	}
}
