package assign

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/frame"
)

// contentSender keeps what travels of each record, and the pieces.
type contentSender struct {
	assigntest.Sender
	sent  []string // stream, attributes of packs, payload and attributes of each record
	pairs bool     // every batch has attributes of records
}

func (s *contentSender) TrySendBatch(b *sdk.Batch) (int, error) {
	n, err := s.Sender.TrySendBatch(b)
	for i := range n {
		text := fmt.Sprintf("%p %q %q", b.Stream, b.PackAttrs.String(), b.Payloads[i])
		if s.pairs = b.Attrs != nil; s.pairs {
			text += fmt.Sprintf(" %q", b.Attrs[i])
		}
		s.sent = append(s.sent, text)
	}
	return n, err
}

// contentPartition is partition 3 of topic t under a rule.
func contentPartition(t testing.TB, ev Events, a Aside, rule string) *Assignment {
	t.Helper()
	return contentOver(t, ev, a, rule, func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil })
}

// contentOver is contentPartition over streams that open makes.
func contentOver(t testing.TB, ev Events, a Aside, rule string, open func(group, stream string) (*sdk.Stream, error)) *Assignment {
	t.Helper()
	id := part.ID{Topic: "t", Num: 3}
	m := assigntest.Mapping(t, "- {topics: t, group: g, stream: s, "+rule+"}").ForTopic("t")
	rt, err := route.NewRouter(m, route.NewTable(open, 0))
	if err != nil {
		t.Fatal(err)
	}
	return New(Spec{
		Partition: id, Topic: &Topic{Name: "t", ID: [16]byte{7}, Mapping: m}, Cluster: "kafka-1", Limit: -1, Router: rt, Aside: a, Letters: 1000,
	}, ev, testGate(id), new(PendingBytes))
}

const forwardEverything = "forward: {key: true, headers: /.*/, timestamp: true, origin: true}, attrs: {env: prod}, "

// richRecords have keys, headers and values of all kinds, at offsets with holes; two are a minute apart.
func richRecords(rng *rand.Rand, n int) (out []*kgo.Record) {
	words := [][]byte{nil, {}, []byte("a"), []byte("ü &=|"), {0, 0xff}, []byte("long long long long")}
	word := func() []byte { return words[rng.IntN(len(words))] }
	offset := int64(0)
	for range n {
		offset += 1 + rng.Int64N(3)
		r := &kgo.Record{Topic: "t", Partition: 3, Offset: offset, Key: word(), Value: word(), Timestamp: time.UnixMilli(rng.Int64N(120_000))}
		for range rng.IntN(4) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(word()), Value: word()})
		}
		out = append(out, r)
	}
	return out
}

// Whatever a rule says, a lost record is sent again with exactly the bytes, attributes and attributes of its pack that it was
// sent with, and a record that was passed over is passed over again.
func TestRecordsReadAgainTravelAsBefore(t *testing.T) {
	for _, rule := range []string{
		forwardEverything + "tombstone: skip", forwardEverything + "envelope: json", "envelope: json, tombstone: empty", "tombstone: skip", "attrs: {env: prod}",
		"forward: {headers: a}, envelope: json, tombstone: skip",
	} {
		t.Run(rule, func(t *testing.T) {
			seeds.Run(t, 50, 25, func(t *testing.T, seed uint64) {
				rng := rand.New(rand.NewPCG(seed, 7))
				ev, s := new(fakeEvents), &contentSender{Sender: assigntest.Sender{Room: -1, Pack: 1 + rng.IntN(5)}}
				p := contentPartition(t, ev, new(aside), rule)
				log := richRecords(rng, 40)
				for from := 0; from < len(log); {
					to := min(len(log), from+1+rng.IntN(15))
					p.Take(s, &Splitter{Pack: 30 + rng.IntN(1000), Oversize: 1 << 20, Limit: -1}, log[from:to])
					from = to
					for n := 1; n > 0; n, _ = p.Waiting() { // the sender takes a batch in parts
						s.Room, s.Err = rng.IntN(6), sdk.ErrBufferFull
						p.Offer(s)
					}
					s.Room = rng.IntN(6)
				}
				s.Room = -1
				if h := p.Stopped(); h != nil {
					t.Fatalf("stopped: %s", h.Own.Text())
				}
				first := s.sent
				s.sent = nil
				s.Settle(sdk.Lost)
				s.Taken = nil
				r := replay.NewPlanner(replay.Config{Outlet: Outlet{s}})
				for _, x := range ev.losses {
					if rng.IntN(2) == 0 {
						r.Halve(x.p, x.piece, x.origin) // sent again in two batches
					} else {
						r.Add(x.p, x.piece, x.origin)
					}
				}
				for now := time.Now(); r.Pending() > 0; now = now.Add(time.Minute) {
					begin, _, _ := r.Plan(now)
					for _, b := range begin {
						at := slices.IndexFunc(log, func(x *kgo.Record) bool { return x.Offset >= b.Offset })
						r.Fetched(b.Partition, [16]byte{7}, 0, log[at:], now)
					}
				}
				slices.Sort(first) // pieces are read again in the order of their offsets, whatever their minutes
				slices.Sort(s.sent)
				if !slices.Equal(first, s.sent) {
					t.Fatalf("first\n%q\nagain\n%q", first, s.sent)
				}
				s.Settle(sdk.Final)
				l := p.checkpoint.Ledger()
				if sent := int64(len(first)); l.Final != sent || l.Final+l.Skipped != 40 || l.Checkpoint != log[39].Offset+1 {
					t.Fatalf("ledger %+v, want %d final and %d skipped", l, sent, 40-sent)
				}
			})
		})
	}
}

func TestTombstonesAreSkippedAndBooked(t *testing.T) {
	ev, s := new(fakeEvents), &contentSender{Sender: assigntest.Sender{Room: -1}}
	a := new(aside)
	p := contentPartition(t, ev, a, "tombstone: skip")
	recs := assigntest.Records(0, 4)
	recs[1].Value, recs[2].Value = nil, []byte{}
	if p.Take(s, split(), recs); a.skipped != 2 {
		t.Errorf("%d told as skipped, want 2", a.skipped)
	}
	s.Settle(sdk.Final)
	if l := p.checkpoint.Ledger(); l.Final != 2 || l.Skipped != 2 || l.Checkpoint != 4 || !slices.Equal(s.Order, []string{"0", "3"}) {
		t.Errorf("ledger %+v with %q sent, want 2 final and 2 skipped", l, s.Order)
	}
}

// withManyHeaders is n records of which one has 1,000 headers.
func withManyHeaders(n, at int) []*kgo.Record {
	recs := assigntest.Records(0, n)
	for range 1000 {
		recs[at].Headers = append(recs[at].Headers, kgo.RecordHeader{Key: "h", Value: []byte("v")})
	}
	return recs
}

// Without a policy a record of which too much would travel stops its partition exactly before it: what came first is delivered.
func TestHeadersThatAreTooLargeStopBeforeTheRecord(t *testing.T) {
	for _, form := range []string{"tombstone: skip", "envelope: json"} {
		ev, s := new(fakeEvents), &contentSender{Sender: assigntest.Sender{Room: -1}}
		p := contentPartition(t, ev, new(aside), forwardEverything+form)
		recs := withManyHeaders(4, 2)
		p.Take(s, split(), recs)
		s.Settle(sdk.Final)
		if h := p.Stopped(); h == nil || h.Code != reason.TooLarge || h.Own.Offset != 2 {
			t.Errorf("%s: stopped by %+v, want %s at 2", form, h, reason.TooLarge)
		}
		if l := p.checkpoint.Ledger(); l.Final != 2 || l.Checkpoint != 2 || p.Fits() {
			t.Errorf("%s: ledger %+v, fits %v; want the checkpoint at 2 and no way on", form, l, p.Fits())
		}
	}
}

// Both become letters of their own, while their neighbours of the same stream and minute travel, and travel again without them.
func TestTombstonesAndTooManyHeadersBecomeLetters(t *testing.T) {
	ev, s, a := new(fakeEvents), &contentSender{Sender: assigntest.Sender{Room: -1}}, &aside{room: -1}
	p := contentPartition(t, ev, a, forwardEverything+"tombstone: dead_letter, on_error: {too_large: dead_letter}")
	log := withManyHeaders(6, 3)
	log[1].Value = nil
	p.Take(s, split(), log)
	var reasons []string
	for _, it := range a.items {
		reasons = append(reasons, it.Letter.Reason+": "+it.Letter.Sentence)
	}
	if want := []string{"tombstone: its value is null", "too_large: its 1001 forwarded headers take 6006 bytes or more, and at most 4096 may travel"}; !slices.Equal(reasons, want) {
		t.Errorf("letters %q, want %q", reasons, want)
	}
	s.Settle(sdk.Lost)
	s.Taken, s.Order = nil, nil
	r := replayOf(s, "", false)
	ev.lose(r)
	r.Plan(time.Now())
	r.Fetched(p.Partition, [16]byte{7}, 0, log, time.Now())
	s.Settle(sdk.Final)
	if at := p.checkpoint.Checkpoint(); at != 0 || !slices.Equal(s.Order, []string{"0", "2", "4", "5"}) {
		t.Errorf("checkpoint %d and %q sent again; want 0 until the letters are written, and what is no letter", at, s.Order)
	}
	a.done(nil)
	if l := p.checkpoint.Ledger(); l.Final != 4 || l.Quarantined != 2 || l.Checkpoint != 6 {
		t.Errorf("ledger %+v, want 4 final and 2 dead letters", l)
	}
}

// What lies in Kafka is looked at, not what would be sent of it: an envelope hides that a record is a pack of this group.
func TestReadingAgainKnowsAnOwnPackUnderAnEnvelope(t *testing.T) {
	ev, s := new(fakeEvents), &contentSender{Sender: assigntest.Sender{Room: -1}}
	p := contentPartition(t, ev, nil, "envelope: json")
	p.Take(s, split(), []*kgo.Record{assigntest.Record(0, "", 1, "x")})
	s.Settle(sdk.Lost)
	r := replay.NewPlanner(replay.Config{Outlet: Outlet{s}, Origin: "me"})
	ev.lose(r)
	r.Plan(time.Now())
	own := assigntest.Record(0, "", 1, string(assigntest.Pack(t, "groupId=g&streamId=s&bg=me&mid=i.1")))
	r.Fetched(p.Partition, [16]byte{7}, 0, []*kgo.Record{own}, time.Now())
	if h := p.Stopped(); h == nil || h.Code != reason.Loop || len(s.sent) != 1 {
		t.Errorf("stopped by %+v with %q sent, want %s and nothing sent again", h, s.sent, reason.Loop)
	}
}

// A record fits into a frame or not together with its attributes and those of its pack.
func TestAttributesCountForWhatFits(t *testing.T) {
	s, err := sdk.New(t.Context(), sdk.WithProxies(dptest.Start(t).Addr()), sdk.WithMaxFrame(4096), sdk.WithPack(2048, 100, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	p := contentOver(t, new(fakeEvents), new(aside), "forward: {key: true}, tombstone: skip, attrs: {env: production}", s.Stream)
	st := p.Router.Fixed().Stream
	rec := func(offset int64, n int) []*kgo.Record {
		return []*kgo.Record{{Topic: "t", Offset: offset, Key: []byte("0123456789"), Value: make([]byte, n), Timestamp: time.Unix(60, 0)}}
	}
	most := st.MaxRecord() - len("&env=production") - 4 - len("k.key=0123456789")
	p.Take(s, split(), rec(0, most))
	if h := p.Stopped(); h != nil {
		t.Fatalf("a record that just fits: %s", h.Own.Text())
	}
	p.Take(s, split(), rec(1, most+1))
	if h := p.Stopped(); h == nil || h.Code != reason.TooLarge || h.Own.Offset != 1 {
		t.Fatalf("one byte more: stopped by %+v, want %s at 1", h, reason.TooLarge)
	}
	if p.Fits() {
		t.Errorf("the record of %d bytes fits into %d, although its attributes and those of its pack do not", most+1, st.MaxRecord())
	}
}

func TestValuesAloneHaveNoAttributes(t *testing.T) {
	for rule, pairs := range map[string]bool{
		"attrs: {env: prod}": false, "envelope: json, forward: {key: true}": false, "tombstone: skip": false, "forward: {key: true}, tombstone: skip": true,
	} {
		s := &contentSender{Sender: assigntest.Sender{Room: -1}}
		contentPartition(t, new(fakeEvents), new(aside), rule).Take(s, split(), assigntest.Records(0, 2)) // without keys
		if len(s.sent) != 2 || s.pairs != pairs {
			t.Errorf("%s: %q, with attributes of records: %v, want %v", rule, s.sent, s.pairs, pairs)
		}
	}
}

// BenchmarkTakeForwarding is a fetch of 1,000 records of 1 KiB of which everything travels. BenchmarkTake has the same without.
func BenchmarkTakeForwarding(b *testing.B) {
	for _, form := range []struct{ name, rule string }{{"attributes", "tombstone: skip"}, {"envelope", "envelope: json"}} {
		b.Run(form.name, func(b *testing.B) {
			p, s, sp := contentPartition(b, quiet{}, new(aside), forwardEverything+form.rule), new(instantSender), &Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}
			recs := assigntest.KeyedRecords(1000, 1024)
			b.SetBytes(1000 * 1024)
			b.ReportAllocs()
			fetches := 0
			for b.Loop() {
				for i, r := range recs {
					r.Offset = int64(fetches*len(recs) + i)
				}
				p.Take(s, sp, recs)
				if fetches++; fetches%64 == 0 {
					if _, ok := p.checkpoint.BeginCommit(); ok {
						p.checkpoint.EndCommit(true)
					}
				}
			}
			if want := fetches * len(recs); s.records != want {
				b.Fatalf("%d records taken, want %d", s.records, want)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/record")
		})
	}
}

// What the bridge makes of records of all kinds is legal for the sender, and a consumer of the queue finds each record as it was in
// Kafka, in packs with the rule's attributes.
func TestConsumerFindsWhatTravelled(t *testing.T) {
	for _, form := range []string{"tombstone: skip", "envelope: json"} {
		queue := dptest.NewMemoryQueue(1, 1)
		s, err := sdk.New(t.Context(), sdk.WithProxies(dptest.Start(t, dptest.WithQueue(queue), dptest.WithQueueDelay(0)).Addr()))
		if err != nil {
			t.Fatal(err)
		}
		p := contentOver(t, new(fakeEvents), new(aside), forwardEverything+form, s.Stream)
		log := richRecords(rand.New(rand.NewPCG(1, 1)), 2000)
		log[0].Key, log[0].Value = make([]byte, 4096), []byte("v")
		for from := 0; from < len(log); from += 100 {
			p.Take(s, split(), log[from:from+100])
		}
		for n, _ := p.Waiting(); n > 0; n, _ = p.Waiting() { // the encoders of a busy machine are behind
			<-s.Room()
			p.Offer(s)
		}
		if h := p.Stopped(); h != nil {
			t.Fatalf("stopped: %s", h.Own.Text())
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := len(log)
		if form == "tombstone: skip" {
			want -= countFunc(log, func(rec *kgo.Record) bool { return len(rec.Value) == 0 })
		}
		for end := time.Now().Add(20 * time.Second); recordsIn(t, queue) < want && time.Now().Before(end); { // the proxy acks before it writes
			time.Sleep(time.Millisecond)
		}
		found := make(map[int64]forwarded.Record)
		for _, m := range queue.All() {
			pack, err := frame.DecodeInLongMsg(m.Value)
			if err != nil {
				t.Fatal(err)
			}
			if env, _ := frame.Attribute(pack.Attr, "env"); string(env) != "prod" {
				t.Fatalf("attributes of a pack %q, want env=prod among them", pack.Attr)
			}
			items, err := pack.ItemsAttrs(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				r, err := forwarded.FromEnvelope(item.Data)
				if form == "tombstone: skip" {
					r, err = forwarded.FromAttrs(item.Attr)
					r.Value = item.Data
				}
				if err != nil {
					t.Fatal(err)
				}
				found[r.Origin.Offset] = r
			}
		}
		for _, rec := range log {
			got, ok := found[rec.Offset]
			if form == "tombstone: skip" && len(rec.Value) == 0 {
				if ok {
					t.Fatalf("%s: a record without bytes arrived: %+v", form, got)
				}
				continue
			}
			want := forwarded.Record{
				Key: rec.Key, Value: rec.Value, Timestamp: rec.Timestamp.UnixMilli(),
				Origin: forwarded.Origin{Cluster: route.ClusterHash("kafka-1"), Topic: "t", TopicID: [16]byte{7}, Partition: 3, Offset: rec.Offset},
			}
			for _, h := range rec.Headers {
				want.Headers = append(want.Headers, forwarded.Header{Name: h.Key, Value: h.Value})
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: offset %d arrived as %+v, want %+v", form, rec.Offset, got, want)
			}
		}
	}
}

func countFunc(recs []*kgo.Record, is func(rec *kgo.Record) bool) (n int) {
	for _, rec := range recs {
		if is(rec) {
			n++
		}
	}
	return n
}

// recordsIn is how many records lie in the queue.
func recordsIn(t *testing.T, queue *dptest.MemoryQueue) (n int) {
	t.Helper()
	for _, m := range queue.All() {
		pack, err := frame.DecodeInLongMsg(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		n += int(pack.Count)
	}
	return n
}
