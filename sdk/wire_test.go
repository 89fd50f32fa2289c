package sdk_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// The same records through a connection that is the limit and through one that is not.
func TestAutoMakesSmallerFramesWhileTheWireIsTheLimit(t *testing.T) {
	const packBytes, records = 32 << 10, 8000 // more than may run ahead of the connection
	for _, tt := range []struct {
		name        string
		rate        int64
		compression sdk.Compression
		better      bool
	}{
		{"auto, a bound on the rate", 256 << 10, sdk.Auto, true},
		{"auto, no bound", 0, sdk.Auto, false},
		{"snappy, a bound on the rate", 256 << 10, sdk.Snappy, false},
		{"none, a bound on the rate", 2 << 20, sdk.None, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := setup(t, 1, config(finality.Ack, func(c *finality.Config) { c.Rate = tt.rate }),
					sdk.WithPack(packBytes, 1000, 20*time.Millisecond), sdk.WithCompression(tt.compression))
				st := e.stream("s")
				random := rand.New(rand.NewPCG(1, 2))
				for range records / 100 {
					payloads := make([][]byte, 100)
					for i := range payloads {
						payloads[i] = e.log.fresh()
						for range 20 {
							payloads[i] = fmt.Appendf(payloads[i], `,{"order":%d,"note":"returned to warehouse %d"}`, random.IntN(1e6), random.IntN(10))
						}
					}
					b := e.log.batch(st, payloads)
					if n, err := e.sender.SendBatch(t.Context(), b); err != nil || n != len(payloads) {
						t.Fatalf("SendBatch = %d, %v", n, err)
					}
				}
				e.close(time.Minute)
				got := e.streamStatus("s")
				if got.RecordsFinal != records {
					t.Errorf("%d of %d records are final", got.RecordsFinal, records)
				}
				if better := got.PacksBetter > got.Packs/2; better != tt.better || !tt.better && got.PacksBetter > 0 {
					t.Errorf("%d of %d packs have the better encoder", got.PacksBetter, got.Packs)
				}
			})
		})
	}
}
