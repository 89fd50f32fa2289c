package assign

import (
	"math/rand/v2"
	"testing"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

// The sum that holds the polling is kept up step by step; here it is compared with what lies there, after
// anything that can happen to what is parked.
func TestWhatIsHeldBackIsWhatWaitsForTheBudget(t *testing.T) {
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		held := new(PendingBytes)
		var parts []*Assignment
		next := make([]int, 3)
		for range next {
			p := testPartition(t, new(fakeEvents))
			p.pending.shared = held
			parts = append(parts, p)
		}
		for range 40 {
			i := r.IntN(len(parts))
			p := parts[i]
			s := &assigntest.Sender{Room: r.IntN(12) - 1, Err: []error{sdk.ErrBufferFull, sdk.ErrStreamFull, sdk.ErrTooLarge}[r.IntN(8)/3]}
			switch r.IntN(10) {
			case 0:
				p.DropUnbegun()
			case 1:
				p.Detach()
			case 2, 3, 4:
				p.Offer(s)
			default:
				n := 1 + r.IntN(6)
				p.Take(s, split(), assigntest.Records(next[i], n))
				next[i] += n
			}
			want := int64(0)
			for _, p := range parts {
				p.mu.Lock()
				if p.gate.Condition().Has(reason.Budget) {
					for _, c := range p.pending.chunks {
						want += c.weight()
					}
				}
				p.mu.Unlock()
			}
			if got := held.Bytes.Load(); got != want {
				t.Fatalf("%d bytes are held back, want %d", got, want)
			}
		}
	})
}
