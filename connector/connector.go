// Package connector moves Kafka topics into InLong and commits an offset only when the record behind
// it is safe on the other side.
package connector

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
)

// Deps are what the connector does not make itself; the zero value is right for a real process.
type Deps struct {
	Log       *slog.Logger
	Registry  *prometheus.Registry
	KafkaOpts []kgo.Opt                                                         // further options of every Kafka client, for tests
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error) // to proxies, for tests
	Version   string
}

// Bridge is one running connector.
type Bridge struct{}

// New checks what can be checked without a network and builds the parts.
func New(cfg *config.Config, deps Deps) (*Bridge, error) { return nil, errors.ErrUnsupported }

// ErrUnfinished is returned by Run when a drain ended with work that is not final: exit code 3.
var ErrUnfinished = errors.New("drained with unfinished work")

// Run moves records until ctx ends, then drains (delivery.drain). Cancelling hard ends the drain at once.
func (b *Bridge) Run(ctx, hard context.Context) error { return errors.ErrUnsupported }

// Migrate moves every partition up to the end offsets it had at the start, calls progress once a second, and
// returns a verdict per partition.
func (b *Bridge) Migrate(ctx, hard context.Context, progress func(Progress)) (Verdict, error) {
	return Verdict{}, errors.ErrUnsupported
}

// Progress is the sum over all partitions of a migration.
type Progress struct {
	Partitions, Done int
	Offsets, Moved   int64  // to move in all, safe so far
	Reason           string // why nothing moves, if so
}

// PartitionVerdict closes the books of one partition of a migration.
type PartitionVerdict struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Committed int64  `json:"committed"`
	Final     int64  `json:"final"`
	Skipped   int64  `json:"skipped"`
	Gap       int64  `json:"gap"`
	Lost      int64  `json:"lost"`
	Closed    bool   `json:"closed"`
	Reason    string `json:"reason,omitempty"`
}

// Verdict is the end of a migration.
type Verdict struct {
	Partitions []PartitionVerdict `json:"partitions"`
	Closed     bool               `json:"closed"`
}
