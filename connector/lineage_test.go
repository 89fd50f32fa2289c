package connector

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/frame"
)

// followed is what the packs of a queue say of their records.
type followed struct {
	packs, told, repeats, unsure int
	taken                        map[string]bool // payloads that the consumer's rule takes
}

// follow reads the queue as a consumer does and fails the test unless every pack that has a lineage names the source of
// each of its records: the record there has the same bytes.
func (e *env) follow(values map[string][]byte) (f followed) {
	e.t.Helper()
	meta, err := e.adm.Metadata(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	topics := make(map[resume.TopicID]string)
	for name, d := range meta.Topics {
		topics[resume.TopicID(d.ID)] = name
	}
	f.taken = make(map[string]bool)
	rules := make(map[string]*lineage.Dedupe) // a rule is of one stream
	err = kafkahandler.ReadAll(e.t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{queueTopic, "q.g.s2"}, func(p kafkahandler.Pack) error {
		if p.Err != nil {
			return p.Err
		}
		f.packs++
		src, ok := frame.Attribute(p.Pack.Attr, lineage.Attr)
		if !ok {
			return nil
		}
		f.told++
		l, err := lineage.Decode(string(src), len(p.Records))
		if err != nil {
			return err
		}
		if rules[p.Stream] == nil {
			rules[p.Stream] = lineage.NewDedupe(1<<20, "0", "1")
		}
		verdicts := rules[p.Stream].Pack(fmt.Sprint(p.Partition), l, nil)
		i := 0
		for r := range l.Records() {
			s := l.Sources[r.Source]
			at := fmt.Sprintf("%s/%d@%d", topics[s.Topic], s.Partition, r.Offset)
			if want, ok := values[at]; !ok || s.Cluster != lineage.ClusterOf(meta.Cluster) || s.Named || string(want) != string(p.Records[i]) {
				return fmt.Errorf("record %d of pack %s is %q, and is told to come from %s of %v, where %q is", i, p.Pack.Attr, p.Records[i], at, s, want)
			}
			switch verdicts[i] {
			case lineage.Repeat:
				f.repeats++
			case lineage.Unsure:
				f.unsure++
				fallthrough
			default:
				if id := p.Stream + " " + at; f.taken[id] {
					return fmt.Errorf("%s is taken twice", id)
				} else {
					f.taken[id] = true
				}
			}
			i++
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return f
}

// produceNoted appends n records of random size to each partition of a topic, with keys that name streams, and notes them by
// where they are.
func (e *env) produceNoted(values map[string][]byte, topic string, partitions int32, n int) {
	e.t.Helper()
	r := rand.New(rand.NewPCG(uint64(len(values)), 15))
	var recs []*kgo.Record
	for i := range n {
		for p := range partitions {
			v := fmt.Sprintf("%s/%d/%d/%d %s", topic, p, i, len(values), strings.Repeat(".", r.IntN(100)))
			recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Value: []byte(v), Key: []byte([]string{"s", "s2"}[r.IntN(2)])})
		}
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
	for _, rec := range recs {
		values[fmt.Sprintf("%s/%d@%d", topic, rec.Partition, rec.Offset)] = rec.Value
	}
}

// TestEachRecordInTheQueueNamesItsSource moves topics into streams that they share, one of them by key, while a proxy dies with
// what it acked and connections end, and after a crash: packs are shared, sent again, read again and repeated.
func TestEachRecordInTheQueueNamesItsSource(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{"queue", "ack"} {
		t.Run(confirm, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(3))
			e.routes = "  - {topics: [orders], group: g, stream: s}\n  - {topics: [keyed], group: g, stream: '{key}'}\n"
			if _, err := e.adm.CreateTopics(t.Context(), 4, 1, nil, "keyed"); err != nil {
				t.Fatal(err)
			}
			values := make(map[string][]byte)
			both := func(n int) {
				e.produceNoted(values, "orders", 3, n)
				e.produceNoted(values, "keyed", 4, n)
			}
			both(400)
			r := e.start(e.config(confirm))
			both(200)
			if confirm == "queue" {
				e.proxies[1].StallQueue(true)
				both(200)
				eventually(t, 20*time.Second, func() error {
					if e.proxies[1].Stats().Packs < 5 {
						return fmt.Errorf("the proxy has %d packs", e.proxies[1].Stats().Packs)
					}
					return nil
				})
				e.proxies[1].Kill()
				if err := e.proxies[1].Restart(); err != nil {
					t.Fatal(err)
				}
				e.proxies[1].StallQueue(false)
			}
			e.waitCommitted("orders", 0, int64(len(values)/7))
			both(100)
			r.crash()
			r = e.start(e.config(confirm))
			both(100)
			e.waitCommitted("orders", 0, int64(len(values)/7))
			e.waitCommitted("keyed", 3, int64(len(values)/7))
			if s := r.b.Status(); !s.Lineage {
				t.Error("the status says that there is no lineage")
			}
			if err := r.drain(); err != nil {
				t.Fatal(err)
			}
			eventually(t, 5*time.Second, func() error { // after a mere ack it may still be on its way
				if n := len(e.arrived()); n < len(values) {
					return fmt.Errorf("%d records arrived, want %d", n, len(values))
				}
				return nil
			})
			f := e.follow(values)
			if f.told != f.packs || len(f.taken) != len(values) || f.unsure > 0 {
				t.Errorf("%d of %d packs have a lineage, %d of %d records were taken, %d unsure", f.told, f.packs, len(f.taken), len(values), f.unsure)
			}
			if confirm == "queue" && f.repeats == 0 {
				t.Error("nothing was repeated; the story tells little")
			}
		})
	}
}

func TestLineageIsLeftOutIfItIsOff(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	values := make(map[string][]byte)
	e.produceNoted(values, "orders", 2, 50)
	c := e.config("queue")
	c.Delivery.Lineage = false
	log := new(lines)
	r := e.startLogging(c, newLog(log))
	e.waitCommitted("orders", 0, 50)
	if n := log.count("lineage=false"); n != 1 || r.b.Status().Lineage {
		t.Errorf("%d lines of the log say that there is no lineage; status %v", n, r.b.Status().Lineage)
	}
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
	if f := e.follow(values); f.told != 0 || f.packs == 0 {
		t.Errorf("%d of %d packs have a lineage", f.told, f.packs)
	}
}

// TestLineageTellsWhatIsCommitted looks at packs that came after a commit.
func TestLineageTellsWhatIsCommitted(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{"queue", "settle"} {
		t.Run(confirm, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			values := make(map[string][]byte)
			r := e.start(e.config(confirm))
			e.produceNoted(values, "orders", 1, 10)
			e.waitCommitted("orders", 0, 10)
			eventually(t, 10*time.Second, func() error { // the broker has it before the bridge knows
				if at := r.b.Status().Parts[0].Committed; at != 10 {
					return fmt.Errorf("committed %d", at)
				}
				return nil
			})
			e.produceNoted(values, "orders", 1, 10)
			e.waitCommitted("orders", 0, 20)
			if err := r.drain(); err != nil {
				t.Fatal(err)
			}
			e.follow(values)
			told := make(map[int64]int64) // by offset
			err := kafkahandler.ReadAll(t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{queueTopic}, func(p kafkahandler.Pack) error {
				src, _ := frame.Attribute(p.Pack.Attr, lineage.Attr)
				l, err := lineage.Decode(string(src), len(p.Records))
				if err != nil {
					return err
				}
				for r := range l.Records() {
					told[r.Offset] = l.Sources[r.Source].Committed
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]int64{"queue": 10, "settle": lineage.None}[confirm]
			if told[0] != lineage.None || told[10] != want || told[19] != want {
				t.Errorf("with the offsets 0, 10 and 19 the committed offsets %d, %d and %d were told, want none, %d and %d", told[0], told[10], told[19], want, want)
			}
		})
	}
}

// The sdk does not know what lineage is, and this is where both meet.
func TestLineageFitsTheSender(t *testing.T) {
	if lineage.Attr != frame.AttrTrail {
		t.Errorf("lineage is the attribute %s, the sender writes %s", lineage.Attr, frame.AttrTrail)
	}
	if _, err := sdk.NewPackAttrs(sdk.Attr{Key: lineage.Attr, Value: "x"}); err == nil {
		t.Error("a configuration may take the attribute's name")
	}
}
