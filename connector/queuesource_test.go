package connector

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk/dptest"
)

// Two clusters behind the proxies, known from the Manager alone; then the Manager names a third.
func TestQueueFromTheManager(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	second, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, queueTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	clusters := []dptest.QueueClusterConfig{
		{Name: "mq1", Params: map[string]string{"bootstrap.servers": strings.Join(e.kafka.ListenAddrs(), ",")}},
		{Name: "mq2", Params: map[string]string{"bootstrap.servers": strings.Join(second.ListenAddrs(), ",")}},
	}
	q, err := kafkahandler.New(
		kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, Topic: "q.{group}.{stream}"},
		kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(second.ListenAddrs()...)}, Topic: "q.{group}.{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	proxy, err := dptest.NewProxy(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	m := dptest.StartManager(t)
	m.SetNodes(proxy.Addr())
	streams := []dptest.StreamConfig{{Group: "g", Stream: "s", Topic: "s", Namespace: "q.g"}}
	m.SetQueue(dptest.QueueConfig{Clusters: clusters, Streams: streams})

	text := fmt.Sprintf(`kafka: {brokers: [%s], group: bridge, isolation: read_uncommitted}
inlong: {manager: {urls: ['%s']}, cluster: {name: default_dataproxy, tag: default_cluster}, refresh: 1s}
routes:
  - {topics: [orders], group: g, stream: s}
queue: {manager: true, timeout: 1s, loss_grace: 1s}
memory: {budget: 64MiB}
admin: {listen: '127.0.0.1:0'}
`, strings.Join(e.kafka.ListenAddrs(), ", "), m.URL())
	c, err := config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka.CommitInterval = 50 * time.Millisecond
	c.InLong.Refresh = 100 * time.Millisecond
	c.Pack.Linger, c.Pack.Bytes.N = 5*time.Millisecond, 2<<10

	e.produce("orders", 0, 0, 500, 100)
	r := e.start(c)
	e.waitCommitted("orders", 0, 500)
	s := r.b.Status()
	if s.Queue == nil || len(s.Queue.Clusters) != 2 || s.Queue.Clusters[0].Mine == 0 || s.Queue.Clusters[1].Mine == 0 {
		t.Errorf("queue = %+v, want packs seen in both clusters", s.Queue)
	}
	if s.QueueSource == nil || s.QueueSource.Restart != "" || s.QueueSource.Streams != 1 || !s.Ready.Strict {
		t.Errorf("queue_source = %+v, ready = %+v; want one stream, nothing to restart for, ready", s.QueueSource, s.Ready)
	}
	// The proof finds clusters and topics in the same way.
	if v, err := Verify(t.Context(), c, Deps{Log: testLog(t)}, VerifyOptions{Memory: 64 << 20}); err != nil || v.Partitions[0].Result != Pass || v.Partitions[0].Queue.Found != 500 || v.Queue.Topics != 2 {
		t.Errorf("Verify = %s, %+v, %v; want all 500 records in two clusters", v.String(), v.Queue, err)
	}
	// One more that cannot be reached: nothing counts as lost, and what is seen in the others goes on.
	away := dptest.QueueClusterConfig{Name: "mq3", Params: map[string]string{"bootstrap.servers": "127.0.0.1:1"}}
	m.SetQueue(dptest.QueueConfig{Streams: streams, Clusters: append(clusters, away)})
	eventually(t, 10*time.Second, func() error {
		code, body := get(t, "http://"+r.b.AdminAddr()+"/readyz?strict=1")
		if code != 503 || !strings.Contains(body, "queue cluster mq3 does not answer") {
			return fmt.Errorf("/readyz = %d %s, want 503 and the cluster that is not read", code, body)
		}
		return nil
	})
	e.produce("orders", 0, 500, 100, 0) // what is read goes on
	e.waitCommitted("orders", 0, 600)
	// It can be reached after all, under another address, and is where everything goes from now on.
	third, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, queueTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(third.Close)
	away.Params = map[string]string{"bootstrap.servers": strings.Join(third.ListenAddrs(), ",")}
	m.SetQueue(dptest.QueueConfig{Streams: streams, Clusters: append(clusters, away)})
	eventually(t, 20*time.Second, func() error {
		s := r.b.Status()
		if !s.Ready.Strict || len(s.Queue.Clusters) != 3 || len(s.QueueSource.Joining) > 0 {
			return fmt.Errorf("ready = %+v, queue = %+v, source = %+v; want three clusters", s.Ready, s.Queue, s.QueueSource)
		}
		return nil
	})
	behind, err := kafkahandler.New(kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(third.ListenAddrs()...)}, Topic: "q.{group}.{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(behind.Close)
	only, err := dptest.NewProxy(behind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = only.Close() })
	m.SetNodes(only.Addr())
	_ = proxy.Close()
	e.produce("orders", 0, 600, 100, 0)
	e.waitCommitted("orders", 0, 700)
	if s := r.b.Status(); s.Queue.Clusters[2].Mine == 0 {
		t.Errorf("queue = %+v, want packs seen in the new cluster", s.Queue)
	}
	if err := r.drain(); err != nil {
		t.Error(err)
	}
}

func TestQueueFromTheManagerThatIsOfAnotherKindIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	m := dptest.StartManager(t)
	m.SetQueue(dptest.QueueConfig{Type: "TUBEMQ", Clusters: []dptest.QueueClusterConfig{{Name: "p", Params: map[string]string{"serviceUrl": "pulsar://p:6650"}}}})
	c, err := config.Parse("test.yaml", fmt.Appendf(nil, `kafka: {brokers: ['127.0.0.1:1'], group: bridge}
inlong: {manager: {urls: ['%s']}, cluster: {name: default_dataproxy, tag: default_cluster}}
routes: [{topics: [orders], group: g, stream: s}]
queue: {manager: true}
admin: {listen: ''}
`, m.URL()), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(c, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context(), t.Context()); err == nil || !strings.Contains(err.Error(), "TUBEMQ") || !strings.Contains(err.Error(), "delivery.confirm: settle") {
		t.Errorf("Run = %v, want a refusal that names settle", err)
	}
}
