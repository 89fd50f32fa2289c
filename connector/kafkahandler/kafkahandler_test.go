package kafkahandler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

func broker(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func at(c *kfake.Cluster) []kgo.Opt { return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)} }

func open(t *testing.T, clusters ...kafkahandler.Cluster) *kafkahandler.Queue {
	t.Helper()
	q, err := kafkahandler.New(clusters...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// message is what a proxy would hand over for a pack of one record.
func message(t *testing.T, group, stream, record string) dptest.QueueMessage {
	t.Helper()
	p := frame.Pack{
		Ext: frame.ExtStringIDs, Count: 1, Body: frame.AppendItem(nil, []byte(record)),
		Attr: []byte("groupId=" + group + "&streamId=" + stream + "&rtms=1"),
	}
	value, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	return dptest.QueueMessage{Group: group, Stream: stream, Value: value, Headers: []dptest.Header{
		{Key: "rt", Value: "1"}, {Key: "st", Value: "2"}, {Key: "msgEnType", Value: "2"},
		{Key: "version", Value: "2"}, {Key: "srcIp", Value: "127.0.0.1"}, {Key: "dpIp", Value: "127.0.0.2"},
	}}
}

func messages(t *testing.T, from, to int) (m []dptest.QueueMessage) {
	t.Helper()
	for i := from; i < to; i++ {
		m = append(m, message(t, "g", "s", fmt.Sprint(i)))
	}
	return m
}

// records reads topics back, as partition -> records.
func records(t *testing.T, c *kfake.Cluster, topics ...string) map[int32][]string {
	t.Helper()
	got := map[int32][]string{}
	err := kafkahandler.ReadAll(t.Context(), at(c), topics, func(p kafkahandler.Pack) error {
		if p.Err != nil {
			return p.Err
		}
		for _, r := range p.Records {
			got[p.Partition] = append(got[p.Partition], p.Group+"."+p.Stream+":"+string(r))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPutSpreadsOverClustersAndPartitionsAndReadAllReadsItBack(t *testing.T) {
	one, two := broker(t, kfake.SeedTopics(2, "q.g.s")), broker(t, kfake.SeedTopics(2, "q.g.s"))
	q := open(t,
		kafkahandler.Cluster{Opts: at(one), Topic: "q.{group}.{stream}"},
		kafkahandler.Cluster{Opts: at(two), Topic: "q.{group}.{stream}"})
	if err := q.Put(t.Context(), messages(t, 0, 41)); err != nil {
		t.Fatal(err)
	}
	var all []string
	for name, c := range map[string]*kfake.Cluster{"one": one, "two": two} {
		got := records(t, c, "q.g.s")
		if len(got[0]) < 10 || len(got[1]) < 10 {
			t.Errorf("cluster %s has %d and %d records in its partitions", name, len(got[0]), len(got[1]))
		}
		all = slices.Concat(all, got[0], got[1])
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 41 || len(all) != 41 || all[0] != "g.s:0" {
		t.Errorf("read back %d records: %v", len(all), all)
	}
}

func TestMessagesLookAsKafkaHandlerWritesThem(t *testing.T) {
	c := broker(t, kfake.SeedTopics(1, "g.s"))
	q := open(t, kafkahandler.Cluster{Opts: at(c), Topic: "{group}.{stream}"})
	want := message(t, "g", "s", "hello")
	if err := q.Put(t.Context(), []dptest.QueueMessage{want}); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(at(c), kgo.ConsumeTopics("g.s"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := client.PollFetches(t.Context()).Records()
	if len(got) != 1 || got[0].Key != nil || string(got[0].Value) != string(want.Value) {
		t.Fatalf("records are %v", got)
	}
	var headers []string
	for _, h := range got[0].Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	if s := strings.Join(headers, " "); s != "rt=1 st=2 msgEnType=2 version=2 srcIp=127.0.0.1 dpIp=127.0.0.2" {
		t.Errorf("headers are %s", s)
	}
}

func TestPutSaysWhichMessagesWereStored(t *testing.T) {
	c := broker(t, kfake.SeedTopics(1, "g.s"))
	q := open(t, kafkahandler.Cluster{Opts: append(at(c), kgo.UnknownTopicRetries(0)), Topic: "{group}.{stream}"})
	err := q.Put(t.Context(), []dptest.QueueMessage{message(t, "g", "s", "a"), message(t, "g", "none", "b"), message(t, "g", "s", "c")})
	var partly *dptest.PutError
	if !errors.As(err, &partly) || !errors.Is(err, kerr.UnknownTopicOrPartition) || !slices.Equal(partly.Stored, []bool{true, false, true}) {
		t.Fatalf("Put: %v, %+v", err, partly)
	}
	if got := records(t, c, "g.s"); !slices.Equal(got[0], []string{"g.s:a", "g.s:c"}) {
		t.Errorf("topic has %v", got)
	}
}

func TestMissingTopicsAreMadeOnlyWhenAsked(t *testing.T) {
	c := broker(t, kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(3))
	q := open(t, kafkahandler.Cluster{Opts: append(at(c), kgo.UnknownTopicRetries(0)), Topic: "{group}.{stream}"})
	if err := q.Put(t.Context(), messages(t, 0, 1)); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("without Create: %v", err)
	}
	q = open(t, kafkahandler.Cluster{Opts: at(c), Topic: "{group}.{stream}", Create: true})
	if err := q.Put(t.Context(), messages(t, 0, 3)); err != nil {
		t.Fatal(err)
	}
	if got := records(t, c, "g.s"); len(got) != 3 {
		t.Errorf("partitions are %v", got)
	}
}

func TestACancelledPutKnowsWhatTheBrokerTook(t *testing.T) {
	c := broker(t, kfake.SeedTopics(1, "g.s"))
	reached, release := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(reached)
		c.SleepControl(func() { <-release })
		return nil, nil, false // and then stored as usual
	})
	q := open(t, kafkahandler.Cluster{Opts: at(c), Topic: "{group}.{stream}"})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- q.Put(ctx, messages(t, 0, 1)) }()
	<-reached
	cancel()
	select {
	case err := <-result:
		t.Fatalf("Put returned %v before the broker answered", err)
	case <-time.After(50 * time.Millisecond): // real sockets: nothing to wait for
	}
	close(release)
	if err := <-result; err != nil {
		t.Errorf("Put = %v although the broker stored it", err)
	}
	if got := records(t, c, "g.s"); len(got[0]) != 1 {
		t.Errorf("topic has %v", got)
	}
}

func TestReadAllStopsAtTheEndsItFoundAndShowsWhatIsNoPack(t *testing.T) {
	c := broker(t, kfake.SeedTopics(2, "g.s", "empty"))
	q := open(t, kafkahandler.Cluster{Opts: at(c), Topic: "{group}.{stream}"})
	if err := q.Put(t.Context(), messages(t, 0, 4)); err != nil {
		t.Fatal(err)
	}
	foreign := message(t, "g", "s", "x")
	foreign.Value = []byte("not InLong")
	if err := q.Put(t.Context(), []dptest.QueueMessage{foreign}); err != nil {
		t.Fatal(err)
	}
	good, bad := 0, 0
	err := kafkahandler.ReadAll(t.Context(), at(c), []string{"g.s", "empty"}, func(p kafkahandler.Pack) error {
		if p.Err == nil {
			good++
		} else {
			bad++
		}
		return q.Put(t.Context(), messages(t, 100, 101)) // the end moves away while it reads
	})
	if err != nil || good != 4 || bad != 1 {
		t.Errorf("read %d packs and %d others, %v; want 4 and 1", good, bad, err)
	}
	if err := kafkahandler.ReadAll(t.Context(), at(c), []string{"empty"}, nil); err != nil {
		t.Errorf("an empty topic: %v", err)
	}
	if err := kafkahandler.ReadAll(t.Context(), at(c), []string{"none"}, nil); !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "none") {
		t.Errorf("a topic that is not there: %v", err)
	}
	stop := errors.New("enough")
	if err := kafkahandler.ReadAll(t.Context(), at(c), []string{"g.s"}, func(kafkahandler.Pack) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("ReadAll = %v, want the error of the function", err)
	}
}

func TestAProxyKilledOverKafkaLosesExactlyWhatIsNotInTheTopic(t *testing.T) {
	c := broker(t, kfake.SeedTopics(3, "g.s"))
	q := open(t, kafkahandler.Cluster{Opts: at(c), Topic: "{group}.{stream}"})
	var n dptest.Network
	p := dptest.Start(t, dptest.WithNetwork(&n), dptest.WithQueue(q), dptest.WithQueueDelay(10*time.Millisecond))
	conn, err := n.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const packs = 2000
	go func() {
		body := frame.AppendItem(nil, []byte("hello"))
		for i := range packs {
			f := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Uniq: uint32(i), Body: body, Attr: []byte("groupId=g&streamId=s")}
			b, _ := f.AppendTo(nil)
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}()
	go func() {
		b := make([]byte, 4096)
		for {
			if _, err := conn.Read(b); err != nil {
				return
			}
		}
	}()
	p.WaitFor(t, func(s dptest.Stats) bool { return s.Queued > packs/4 })
	p.Kill()
	arrived := 0
	for _, r := range records(t, c, "g.s") {
		arrived += len(r)
	}
	if s := p.Stats(); uint64(arrived) != s.Queued || s.Packs != s.Queued+s.LostPacks {
		t.Errorf("%d in Kafka, the proxy says %+v", arrived, s)
	}
}

func TestWrongTemplatesAreRefused(t *testing.T) {
	for _, template := range []string{"", "{group", "{topic}", "q-{group}-{x}"} {
		if _, err := kafkahandler.New(kafkahandler.Cluster{Topic: template}); err == nil || !strings.Contains(err.Error(), "{group}.{stream}") {
			t.Errorf("template %q: %v", template, err)
		}
	}
	if _, err := kafkahandler.New(); err == nil {
		t.Error("no cluster at all was taken")
	}
}
