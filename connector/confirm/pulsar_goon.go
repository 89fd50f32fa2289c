//go:build e2e

package confirm

import "context"

// NewPulsarThatGoesOn makes a reader that goes on where the client's readers go on after a reconnect. It misses
// messages: it is for the test that shows it.
func NewPulsarThatGoesOn(cfg PulsarConfig) (*Pulsar, error) {
	return newPulsar(cfg, func(c PulsarCluster) (pulsarConn, error) {
		conn, err := dialPulsar(c, cfg.Timeout, cfg.Log)
		return goesOn{conn}, err
	})
}

type goesOn struct{ pulsarConn }

func (g goesOn) read(ctx context.Context, partition string, at Offset, _ func()) (pulsarReader, error) {
	return g.pulsarConn.read(ctx, partition, at, func() {})
}
