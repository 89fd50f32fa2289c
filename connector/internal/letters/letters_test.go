package letters_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/letters"
)

// world is a Kafka with the topic letters, and a writer to a topic of it.
type world struct {
	t     *testing.T
	kafka *kfake.Cluster
	w     *letters.Writer
	news  chan string // "N: error" for each letter that is done
}

func newWorld(t *testing.T, topic string) *world {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "letters"), kfake.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(k.ListenAddrs()...)}, letters.Options()...)...)
	if err != nil {
		t.Fatal(err)
	}
	wd := &world{t: t, kafka: k, w: letters.New(topic, "me", cl), news: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wd.w.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended; cl.Close() })
	return wd
}

func (wd *world) write(n int, value string) {
	wd.w.Write(letters.Item{
		Original: &kgo.Record{Key: []byte("k"), Value: []byte(value), Timestamp: time.UnixMilli(int64(n))},
		Letter:   deadletter.Letter{Reason: "refused", Topic: "orders", TopicID: [16]byte{1}, Offset: int64(n), Last: int64(n)},
		Done:     func(err error) { wd.news <- fmt.Sprintf("%d: %v", n, err) },
	})
}

// await returns what became of n letters.
func (wd *world) await(n int) map[string]bool {
	wd.t.Helper()
	got := make(map[string]bool)
	for range n {
		select {
		case s := <-wd.news:
			got[s] = true
		case <-time.After(20 * time.Second):
			wd.t.Fatalf("%d of %d letters are done: %v", len(got), n, got)
		}
	}
	return got
}

// read returns the letters that lie in the topic.
func (wd *world) read(n int) map[int64]string {
	wd.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(wd.kafka.ListenAddrs()...), kgo.ConsumeTopics("letters"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		wd.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(wd.t.Context(), 10*time.Second)
	defer cancel()
	got := make(map[int64]string)
	for len(got) < n && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			l, original, err := deadletter.Decode(r)
			if err != nil {
				wd.t.Fatal(err)
			}
			if l.Instance != "me" || time.Since(l.Time) > time.Minute {
				wd.t.Errorf("letter %+v, want the writer's instance and a time of now", l)
			}
			got[l.Offset] = string(original.Value)
		})
	}
	return got
}

func TestLettersLieInTheTopicWhenTheyAreDone(t *testing.T) {
	wd := newWorld(t, "letters")
	for i := range 500 {
		wd.write(i, fmt.Sprint("v", i))
	}
	got := wd.await(500)
	for i := range 500 {
		if !got[fmt.Sprintf("%d: <nil>", i)] {
			t.Fatalf("letter %d is not done well: %v", i, got)
		}
	}
	for i, v := range wd.read(500) {
		if v != fmt.Sprint("v", i) {
			t.Errorf("letter %d holds %q", i, v)
		}
	}
}

// The cluster would create the topic for whoever asks so.
func TestMissingTopicIsNotCreated(t *testing.T) {
	wd := newWorld(t, "absent")
	wd.write(1, "v")
	for s := range wd.await(1) {
		if !strings.Contains(s, "writing a dead letter to topic absent: the topic does not exist") || !strings.Contains(s, "create it") {
			t.Errorf("the letter ended with %q, want the missing topic and what to do", s)
		}
	}
	if info := wd.kafka.TopicInfo("absent"); info != nil {
		t.Error("the topic was created")
	}
}

// refuse answers produce requests with an error that hold a batch longer than limit.
func (wd *world) refuse(code *kerr.Error, limit int) {
	wd.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		wd.kafka.KeepControl()
		in := req.(*kmsg.ProduceRequest)
		resp := in.ResponseKind().(*kmsg.ProduceResponse)
		above := false
		for _, t := range in.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				above = above || len(p.Records) > limit
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, above
	})
}

// A topic judges a batch as a whole: only the letter that is too large by itself fails.
func TestLetterThatIsTooLargeFailsAlone(t *testing.T) {
	wd := newWorld(t, "letters")
	wd.refuse(kerr.MessageTooLarge, 4000)
	noise := func(n int) string { // does not compress
		b := make([]byte, n)
		x := uint32(1)
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = byte(x >> 24)
		}
		return string(b)
	}
	for i := range 9 {
		wd.write(i, noise(1000))
	}
	wd.write(9, noise(8000))
	good := 0
	for s := range wd.await(10) {
		switch {
		case strings.HasSuffix(s, ": <nil>"):
			good++
		case !strings.HasPrefix(s, "9: ") || !strings.Contains(s, "larger than the topic takes"):
			t.Errorf("a letter ended with %q", s)
		}
	}
	if good != 9 {
		t.Errorf("%d letters are written, want 9", good)
	}
}

func TestLetterThatMayNotBeWrittenSaysWhatToGrant(t *testing.T) {
	wd := newWorld(t, "letters")
	wd.refuse(kerr.TopicAuthorizationFailed, 0)
	wd.write(1, "v")
	for s := range wd.await(1) {
		if !strings.Contains(s, "grant WRITE") {
			t.Errorf("the letter ended with %q", s)
		}
	}
}

// Brokers refuse a producer id to a user who may write to no topic yet, and kgo never asks again.
func TestLettersNeedNoProducerID(t *testing.T) {
	wd := newWorld(t, "letters")
	wd.kafka.ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
		wd.kafka.KeepControl()
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	wd.write(1, "v")
	if got := wd.await(1); !got["1: <nil>"] {
		t.Errorf("the letter ended with %v, want it written", got)
	}
}

func TestWriterHasRoomForSoManyLetters(t *testing.T) {
	w := letters.New("letters", "me", nil) // it does not run
	n := 0
	for ; w.Room() && n < 5000; n++ {
		w.Write(letters.Item{Original: &kgo.Record{}})
	}
	if n != 1000 {
		t.Errorf("%d small letters were taken, want 1000", n)
	}
	w = letters.New("letters", "me", nil)
	for n = 0; w.Room() && n < 5000; n++ {
		w.Write(letters.Item{Original: &kgo.Record{Value: make([]byte, 1<<20)}})
	}
	if n != 4 {
		t.Errorf("%d letters of 1 MiB were taken, want 4", n)
	}
}

// silent is a client that gives no answer about any record.
type silent struct{}

func (silent) ProduceSync(context.Context, ...*kgo.Record) kgo.ProduceResults { return nil }

func TestLetterWithoutAnAnswerIsNotSafe(t *testing.T) {
	w, news := letters.New("letters", "me", silent{}), make(chan error, 1)
	w.Write(letters.Item{Original: &kgo.Record{}, Done: func(err error) { news <- err }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	if err := <-news; err == nil {
		t.Error("a letter without an answer counts as written")
	}
	cancel()
	<-ended
}
