//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fate is what must become of a record.
type fate int

const (
	arrives  fate = iota
	lettered      // it becomes a dead letter
	skipped       // its rule passes over it
)

func (f fate) String() string { return [...]string{"arrives", "lettered", "skipped"}[f] }

// way is one of the ways in which a record is odd, in one topic.
type way struct {
	name  string
	topic string
	fate  fate
	class string            // reason of its letter, if its fate is one
	spoil func(*kgo.Record) // makes a good record odd; nil for a batch
}

// undecodable is the way of a batch that cannot be decompressed: three records, and they are odd together.
const undecodable = "undecodable batch"

// The topics of a randomised run. The rule of each says something else about what is odd.
const (
	plainTopic   = "plain"   // a stream of its own; everything odd becomes a dead letter
	keyedTopic   = "keyed"   // the key names the stream; everything odd becomes a dead letter
	lenientTopic = "lenient" // the key names the stream; everything odd is skipped
	travelsTopic = "travels" // key, headers, timestamp and origin travel
	abortsTopic  = "aborts"  // transactions, some of which are aborted
)

// ways are all of them. In streams that carry the bytes alone, null and empty values arrive as empty ones.
func ways() []way {
	large := noise(300 << 10)
	before := func(word string) func(*kgo.Record) {
		return func(r *kgo.Record) { r.Value = append([]byte(word), r.Value...) }
	}
	tooLarge := func(r *kgo.Record) { r.Value = append(r.Value, large...) }
	key := func(k []byte) func(*kgo.Record) { return func(r *kgo.Record) { r.Key = k } }
	value := func(v []byte) func(*kgo.Record) { return func(r *kgo.Record) { r.Value = v } }
	return []way{
		{"too large", plainTopic, lettered, "too_large", tooLarge},
		{"poison", plainTopic, lettered, "poison", before("poison|")},
		{"refused", plainTopic, lettered, "refused", before("refused|")},
		{"null", plainTopic, arrives, "", value(nil)},
		{"empty", plainTopic, arrives, "", value([]byte{})},
		{"no key", keyedTopic, lettered, "unrouted", key(nil)},
		{"illegal id", keyedTopic, lettered, "unrouted", key([]byte("a&b"))},
		{"too large", lenientTopic, skipped, "", tooLarge},
		{"poison", lenientTopic, skipped, "", before("poison|")},
		{"refused", lenientTopic, skipped, "", before("refused|")},
		{"no key", lenientTopic, skipped, "", key(nil)},
		{"illegal id", lenientTopic, skipped, "", key([]byte("a=b"))},
		{"null", travelsTopic, lettered, "tombstone", value(nil)},
		{"empty", travelsTopic, lettered, "tombstone", value([]byte{})},
		{"many headers", travelsTopic, lettered, "too_large", manyHeaders},
		{"header not ASCII", travelsTopic, arrives, "", func(r *kgo.Record) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "größe", Value: []byte{0xff, 0, '&'}}, kgo.RecordHeader{Key: "größe"})
		}},
		{undecodable, plainTopic, lettered, "undecodable", nil},
		{undecodable, lenientTopic, skipped, "", nil},
		{"microseconds", travelsTopic, arrives, "", func(r *kgo.Record) { r.Timestamp = time.UnixMilli(r.Timestamp.UnixMicro()) }},
	}
}

// waysHere are those of the run's topics.
func (r *randomRun) waysHere() []way {
	return slices.DeleteFunc(ways(), func(w way) bool { return !slices.Contains(r.topics, w.topic) })
}

// oddOneIn is how rare odd records are.
const oddOneIn = 1000

// at is a partition of the source.
type at struct {
	topic     string
	partition int32
}

// produced knows each record of a run by its place. It is safe for concurrent use.
type produced struct {
	prefix string // of the identities in values
	began  time.Time

	mu     sync.Mutex
	places map[at][]int // number of the record at each offset, or none
	odd    map[int]oddRecord
	size   int
	// aborted is how many records of aborted transactions lie beside them.
	aborted int
}

type oddRecord struct {
	way    *way
	record *kgo.Record // nil if it is of a batch
	batch  []byte      // its bytes, as they were produced
	first  int64       // and its first offset
}

const none = -1

// record makes the record with a number, without what is odd about it. Whoever knows the number, knows all of it.
func (p *produced) record(topic string, n int) *kgo.Record {
	r := &kgo.Record{
		Topic: topic, Key: fmt.Appendf(nil, "%s-%d", topic, n%keysOf(topic)), Value: valueOf(fmt.Sprintf("%s%d", p.prefix, n)),
		Timestamp: time.UnixMilli(p.began.UnixMilli() + int64(n/20)),
	}
	if topic == travelsTopic {
		r.Headers = []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, n)}, {Key: "x y", Value: []byte("a=b&c")}}
	}
	return r
}

// streamsByKey is how many streams the keys of a topic name.
const streamsByKey = 3

func keysOf(topic string) int {
	if topic == keyedTopic || topic == lenientTopic {
		return streamsByKey
	}
	return 100
}

// streams are those that the run leads to.
func streams() []string {
	all := []string{plainTopic, travelsTopic, abortsTopic}
	for i := range streamsByKey {
		all = append(all, fmt.Sprintf("%s-%d", keyedTopic, i), fmt.Sprintf("%s-%d", lenientTopic, i))
	}
	return all
}

// stream is the one of a record that is not odd.
func stream(topic string, n int) string {
	if topic == keyedTopic || topic == lenientTopic {
		return fmt.Sprintf("%s-%d", topic, n%streamsByKey)
	}
	return topic
}

// lies notes where Kafka put a record.
func (p *produced) lies(r *kgo.Record, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := at{r.Topic, r.Partition}
	for int64(len(p.places[k])) <= r.Offset {
		p.places[k] = append(p.places[k], none)
	}
	if p.places[k][r.Offset] != none {
		panic("two records at one offset")
	}
	p.places[k][r.Offset] = n
	p.size++
}

// at returns the record that was produced at a place, and how it is odd; nil if there is none.
func (p *produced) at(here place) (number int, r *kgo.Record, odd string) {
	places := p.places[at{here.topic, here.partition}]
	if here.offset >= int64(len(places)) || places[here.offset] == none {
		return none, nil, ""
	}
	number = places[here.offset]
	if o, ok := p.odd[number]; ok {
		return number, o.record, o.way.name // of a batch that cannot be read nothing may arrive
	}
	return number, p.record(here.topic, number), ""
}

func (p *produced) fateOf(here place) fate {
	if o, ok := p.odd[p.places[at{here.topic, here.partition}][here.offset]]; ok {
		return o.way.fate
	}
	return arrives
}

// fates counts the records by what must become of them.
func (p *produced) fates() map[fate]int {
	count := map[fate]int{arrives: p.size - len(p.odd)}
	for _, o := range p.odd {
		count[o.way.fate]++
	}
	return count
}

// produce produces the records of the run at most so many a second. Each goes to a topic, a partition and a codec by chance, and one in a thousand is
// odd. done is closed when Kafka has them all.
func (r *randomRun) produce(rate int) (done chan struct{}) {
	r.Helper()
	b, k, p := r.bench, r.k, r.produced
	client := func(opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append(append([]kgo.Opt{
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5 * time.Millisecond), kgo.ProducerBatchMaxBytes(900 << 10),
		}, k.opts...), opts...)...)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		return c
	}
	var codecs []*kgo.Client
	for _, c := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		codecs = append(codecs, client(kgo.ProducerBatchCompression(c)))
	}
	transactional := client(kgo.TransactionalID(p.prefix), kgo.ProducerBatchMaxBytes(4<<10))
	byTopic := make(map[string][]way)
	var batches []way
	for _, w := range r.waysHere() {
		if w.name == undecodable {
			batches = append(batches, w)
			continue
		}
		byTopic[w.topic] = append(byTopic[w.topic], w)
	}
	done = make(chan struct{})
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		rnd := rand.New(rand.NewPCG(r.seed, 1))
		var wg sync.WaitGroup
		defer wg.Wait()
		began, number := time.Now(), 0
		for made := 0; made < r.n && ctx.Err() == nil; {
			switch {
			case rnd.IntN(5) == 0:
				size := min(20+rnd.IntN(400), r.n-made)
				if r.transaction(ctx, transactional, number, size, rnd) {
					made += size
				}
				number += size
			case rnd.IntN(batchOneIn) == 0 && r.n-made > damagedRecords:
				r.damage(batches[rnd.IntN(len(batches))], number, rnd)
				made, number = made+damagedRecords, number+damagedRecords
			default:
				for range min(200, r.n-made) {
					n := number
					wg.Add(1)
					codecs[rnd.IntN(len(codecs))].Produce(ctx, r.draw(n, byTopic, rnd), func(rec *kgo.Record, err error) {
						defer wg.Done()
						if err == nil {
							p.lies(rec, n)
						} else if ctx.Err() == nil {
							b.Errorf("producing to %s: %v", rec.Topic, err)
						}
					})
					made, number = made+1, number+1
				}
			}
			select {
			case <-time.After(time.Until(began.Add(time.Duration(made) * time.Second / time.Duration(rate)))):
			case <-ctx.Done():
			}
		}
	}()
	return done
}

// A batch that cannot be decompressed comes once among so many steps of 200 records.
const batchOneIn, damagedRecords = 50, 3

// damage produces a batch of records with these numbers that cannot be decompressed.
func (r *randomRun) damage(w way, from int, rnd *rand.Rand) {
	to := at{w.topic, rnd.Int32N(r.partitions)}
	first, raw := r.k.produceDamaged(to.topic, to.partition, damagedRecords)
	for i := range damagedRecords {
		r.produced.mu.Lock()
		r.produced.odd[from+i] = oddRecord{way: &w, batch: raw, first: first}
		r.produced.mu.Unlock()
		r.produced.lies(&kgo.Record{Topic: to.topic, Partition: to.partition, Offset: first + int64(i)}, from+i)
	}
}

// draw makes a record of any topic but that of the transactions, which have none that are odd.
func (r *randomRun) draw(n int, byTopic map[string][]way, rnd *rand.Rand) *kgo.Record {
	topics := slices.DeleteFunc(slices.Clone(r.topics), func(t string) bool { return t == abortsTopic })
	rec := r.produced.record(topics[rnd.IntN(len(topics))], n)
	rec.Partition = rnd.Int32N(r.partitions)
	if rnd.IntN(oddOneIn*4/5) == 0 {
		w := byTopic[rec.Topic][rnd.IntN(len(byTopic[rec.Topic]))]
		w.spoil(rec)
		r.produced.mu.Lock()
		r.produced.odd[n] = oddRecord{way: &w, record: rec}
		r.produced.mu.Unlock()
	}
	return rec
}

// transaction produces records in a transaction. Every fourth is aborted, and its records must not arrive.
func (r *randomRun) transaction(ctx context.Context, client *kgo.Client, from, size int, rnd *rand.Rand) (committed bool) {
	p, abort := r.produced, rnd.IntN(4) == 0
	records := make([]*kgo.Record, size)
	for i := range records {
		records[i] = p.record(abortsTopic, from+i)
		records[i].Partition = rnd.Int32N(r.partitions)
	}
	err := client.BeginTransaction()
	if err == nil {
		err = client.ProduceSync(ctx, records...).FirstErr()
	}
	if err == nil {
		err = client.EndTransaction(ctx, kgo.TransactionEndTry(!abort))
	}
	switch {
	case err != nil && ctx.Err() == nil:
		r.Errorf("a transaction: %v", err)
		return true // whatever became of it
	case abort:
		p.aborted += size
	default:
		for i, rec := range records {
			p.lies(rec, from+i)
		}
	}
	return !abort
}
