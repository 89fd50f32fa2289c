package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/pulsarhandler"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/signal"
)

// queueWriter moves what the sink acked into a Kafka topic, as DataProxy's KafkaHandler does.
type queueWriter struct {
	queue interface {
		dptest.Queue
		Close()
	}
	wake  signal.Poke
	ended chan struct{}

	mu      sync.Mutex
	pending []dptest.QueueMessage
	closed  bool
	err     error
}

func newQueueWriter(to, topic string) (*queueWriter, error) {
	w := &queueWriter{wake: signal.NewPoke(), ended: make(chan struct{})}
	if strings.HasPrefix(to, "pulsar") {
		place, err := parsePulsar(to)
		if err != nil {
			return nil, err
		}
		place.Topic = topic
		if w.queue, err = pulsarhandler.New(place); err != nil {
			return nil, err
		}
	} else {
		q, err := kafkahandler.New(kafkahandler.Cluster{
			Opts: []kgo.Opt{kgo.SeedBrokers(strings.Split(to, ",")...)}, Topic: topic, Create: true,
		})
		if err != nil {
			return nil, err
		}
		w.queue = q
	}
	go w.loop()
	return w, nil
}

// parsePulsar reads pulsar://host:port/tenant/namespace.
func parsePulsar(text string) (pulsarhandler.Cluster, error) {
	u, err := url.Parse(text)
	if err == nil {
		tenant, namespace, ok := strings.Cut(strings.Trim(u.Path, "/"), "/")
		if ok && u.Host != "" && tenant != "" && namespace != "" && !strings.Contains(namespace, "/") {
			return pulsarhandler.Cluster{ServiceURL: u.Scheme + "://" + u.Host, Tenant: tenant, Namespace: namespace}, nil
		}
	}
	return pulsarhandler.Cluster{}, errors.Join(fmt.Errorf("%q is no place in a Pulsar; write pulsar://host:port/tenant/namespace", text), err)
}

// pulsarTopic is a topic of its own for each run: what an earlier one left is not read again.
func pulsarTopic(group string) string { return "queue-" + group }

func (w *queueWriter) put(f []byte) {
	now := time.Now().UnixMilli()
	p, err := frame.DecodePack(f)
	if err == nil {
		var value []byte
		if value, err = frame.AppendInLongMsg(make([]byte, 0, len(f)+4), &p, now); err == nil {
			stamp := strconv.FormatInt(now, 10)
			w.mu.Lock()
			w.pending = append(w.pending, dptest.QueueMessage{Group: benchGroup, Stream: benchStream, Value: value, Headers: []dptest.Header{
				{Key: "rt", Value: stamp}, {Key: "st", Value: stamp}, {Key: "msgEnType", Value: "2"}, {Key: "version", Value: "2"},
				{Key: "srcIp", Value: "127.0.0.1"}, {Key: "dpIp", Value: "127.0.0.1"},
			}})
			w.mu.Unlock()
		}
	}
	if err != nil {
		w.fail(err)
	}
	w.wake.Poke()
}

func (w *queueWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

func (w *queueWriter) loop() {
	defer close(w.ended)
	for {
		w.mu.Lock()
		work, closed := w.pending, w.closed
		w.pending = nil
		w.mu.Unlock()
		switch {
		case len(work) > 0:
			if err := w.queue.Put(context.Background(), work); err != nil {
				w.fail(err)
				return
			}
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// close writes what is left.
func (w *queueWriter) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake.Poke()
	<-w.ended
	w.queue.Close()
	return w.err
}

// stampLen is how many bytes at the beginning of a value say when it was produced: decimal nanoseconds.
const stampLen = 19

func appendStamp(b []byte, t time.Time) []byte { return fmt.Appendf(b, "%0*d", stampLen, t.UnixNano()) }

// latencies gathers how long records took from their stamp to the ack. Of the packs one in every is
// opened, so that the sink stays cheap.
type latencies struct {
	every int

	mu    sync.Mutex
	packs int
	took  []time.Duration
}

// maxSamples bounds the memory of latencies.
const maxSamples = 4 << 20

func (l *latencies) note(p *frame.Pack) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.packs++
	if l.packs%l.every != 0 || len(l.took) > maxSamples {
		return nil
	}
	items, err := p.Items(sinkMaxBody)
	if err != nil {
		return fmt.Errorf("reading pack: %w", err)
	}
	now := time.Now().UnixNano()
	for _, item := range items {
		if len(item) < stampLen {
			return fmt.Errorf("reading pack: a record of %d bytes has no stamp", len(item))
		}
		at, err := strconv.ParseInt(string(item[:stampLen]), 10, 64)
		if err != nil {
			return fmt.Errorf("reading stamp: %w", err)
		}
		l.took = append(l.took, time.Duration(now-at))
	}
	return nil
}

// skip forgets what was measured so far: the warm-up.
func (l *latencies) skip() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = l.took[:0]
}

// quantiles returns the median and the 99th percentile.
func (l *latencies) quantiles() (p50, p99 time.Duration, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) == 0 {
		return 0, 0, 0
	}
	slices.Sort(l.took)
	return l.took[len(l.took)/2], l.took[len(l.took)*99/100], len(l.took)
}
