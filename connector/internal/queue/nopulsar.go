//go:build nopulsar

package queue

import (
	"fmt"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
)

// openPulsar is reached when the Manager names a Pulsar: a configuration that names one is refused when it is read.
func (o *Opener) openPulsar(*Places) (confirm.Reader, error) {
	return nil, fmt.Errorf("queue.manager: the Manager names a queue of Pulsar clusters: %w; hint: use the standard build, or delivery.confirm: settle without a queue section", config.ErrNoPulsar)
}

func (o *Opener) checkPulsar() error { return nil }
