package main

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The demo's topics. Each goes to a different group, so that arriving records can be told apart.
var demoTopics = [topicCount]demoTopic{
	{name: "orders", group: "shop", partitions: 4, what: "JSON"},
	{name: "logs", group: "logs", partitions: 4, what: "text lines, routed by a header"},
	{name: "blobs", group: "files", partitions: 2, what: "binary, some of them empty"},
}

type demoTopic struct {
	name, group, what string
	partitions        int32
}

// Indexes of demoTopics.
const (
	ordersTopic = iota
	logsTopic
	blobsTopic
	topicCount
)

var logServices = []string{"web", "api", "batch"}

// corpus makes the demo's records, the same ones for the same seed. All records except the empty ones differ, so that
// the bytes of a record that arrives identify it.
type corpus struct {
	rnd *rand.Rand
	// room is memory for values; one allocation holds many.
	room []byte
	base time.Time // of the times in the values
}

func newCorpus(seed uint64) *corpus {
	return &corpus{
		rnd:  rand.New(rand.NewPCG(seed, 0x696e6c6f6e67)),
		base: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
	}
}

// record makes record i. topic is an index of demoTopics, and stream is where the routes send the record.
func (c *corpus) record(i int) (r *kgo.Record, topic int, stream string) {
	switch i % 10 {
	case 1, 3, 6, 8:
		service := logServices[c.rnd.IntN(len(logServices))]
		r = &kgo.Record{
			Value: c.logLine(i, service),
			Headers: []kgo.RecordHeader{
				{Key: "service", Value: []byte(service)},
				{Key: "host", Value: []byte("node-" + strconv.Itoa(c.rnd.IntN(12)))},
			},
		}
		topic, stream = logsTopic, service
	case 9:
		r, topic, stream = &kgo.Record{Value: c.blob()}, blobsTopic, "blobs"
	default:
		customer := c.rnd.IntN(5000)
		r = &kgo.Record{Key: strconv.AppendInt([]byte("customer-"), int64(customer), 10), Value: c.order(i, customer)}
		topic, stream = ordersTopic, "orders"
	}
	r.Topic = demoTopics[topic].name
	return r, topic, stream
}

// start returns an empty slice with capacity for n bytes.
func (c *corpus) start(n int) []byte {
	if cap(c.room)-len(c.room) < n {
		c.room = make([]byte, 0, max(n, 1<<20))
	}
	return c.room[len(c.room):len(c.room)]
}

// done removes from the room what was appended to start's slice.
func (c *corpus) done(value []byte) []byte {
	if n := len(c.room) + len(value); n <= cap(c.room) {
		c.room = c.room[:n]
	}
	return slices.Clip(value)
}

var (
	articles   = []string{"espresso cups, set of 6", "Müsli 750 g", "cable USB-C 2 m", "日本茶", "lamp \\\"Nord\\\"", "socks"}
	currencies = []string{"EUR", "USD", "GBP"}
)

func (c *corpus) order(i, customer int) []byte {
	const most = 1024
	b := c.start(most)
	b = append(b, `{"order":"o-`...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, `","customer":`...)
	b = strconv.AppendInt(b, int64(customer), 10)
	b = append(b, `,"created":"`...)
	b = c.base.Add(time.Duration(i)*1700*time.Microsecond).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","items":[`...)
	total := 0
	for n := 1 + c.rnd.IntN(4); n > 0; n-- {
		price := 99 + c.rnd.IntN(20000)
		total += price
		b = append(b, `{"sku":`...)
		b = strconv.AppendInt(b, int64(100000+c.rnd.IntN(900000)), 10)
		b = append(b, `,"name":"`...)
		b = append(b, articles[c.rnd.IntN(len(articles))]...)
		b = append(b, `","cents":`...)
		b = strconv.AppendInt(b, int64(price), 10)
		b = append(b, "},"...)
	}
	b = append(b[:len(b)-1], `],"currency":"`...)
	b = append(b, currencies[c.rnd.IntN(len(currencies))]...)
	b = append(b, `","cents":`...)
	b = strconv.AppendInt(b, int64(total), 10)
	return c.done(append(b, '}'))
}

var logTexts = []string{
	"GET /api/v2/cart 200", "GET /healthz 200", "POST /api/v2/order 201", "cache miss, loading from database",
	"upstream timed out after 3000ms, retrying\r\n", // a line end is part of the value
	"panic: nil map\n\tgoroutine 17 [running]:\n\tmain.handle(0xc000)\n",
}

func (c *corpus) logLine(i int, service string) []byte {
	const most = 256
	b := c.start(most)
	b = c.base.Add(time.Duration(i)*1700*time.Microsecond).AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
	b = append(b, " INFO "...)
	b = append(b, service...)
	b = append(b, " request="...)
	b = strconv.AppendInt(b, int64(i), 36)
	b = append(b, ' ')
	return c.done(append(b, logTexts[c.rnd.IntN(len(logTexts))]...))
}

// blob is 16 to 2,063 random bytes, sometimes 64 KiB, sometimes an empty value, sometimes none.
func (c *corpus) blob() []byte {
	size := 16 + c.rnd.IntN(2048)
	switch p := c.rnd.IntN(1000); {
	case p < 15:
		return nil
	case p < 30:
		return []byte{}
	case p < 34:
		size = 64 << 10
	}
	b := c.start(size + 8)
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, c.rnd.Uint64())
	}
	return c.done(b[:size])
}
