//go:build nopulsar

package queue

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm/managed"
)

// The configuration does not say of which kind the queue is: the Manager does, at the start.
func TestNoPulsarQueueOfTheManagerIsRefused(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	o := &Opener{Config: &config.Config{Queue: config.Queue{Manager: true}}, Instance: "i", Log: log}
	_, err := o.Open(&Places{Source: managed.New(nil, "dp", "tag", "", log), Kind: managed.Pulsar, Clusters: []managed.Place{{Name: "p"}}})
	if !errors.Is(err, config.ErrNoPulsar) || !strings.Contains(err.Error(), "queue.manager") || !strings.Contains(err.Error(), "hint") {
		t.Errorf("Open = %v, want that Pulsar is left out, where it is named, and what to do", err)
	}
}
