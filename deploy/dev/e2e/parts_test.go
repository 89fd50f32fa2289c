package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"inlong-bridge/connector"
	"inlong-bridge/connector/pulsarhandler"
	"inlong-bridge/mapping/queuetopic"
)

// proxy is a process that is killed and started again at one address: a devproxy, or a real DataProxy that
// was named from outside.
type proxy struct {
	b     *bench
	name  string
	addr  string
	out   string          // what devproxy wrote when a pack reached the queue
	args  []string        // of devproxy
	begin func() *process // nil if it may not be killed
	*process
}

// restart starts the process again after a kill.
func (p *proxy) restart() {
	p.b.Helper()
	p.process = p.begin()
	p.b.eventually(60*time.Second, func() error {
		var d net.Dialer
		conn, err := d.DialContext(p.b.Context(), "tcp", p.addr)
		if err != nil {
			if p.ended() {
				p.b.Fatalf("%s ended with %d at its start; its log ends with\n%s", p.name, p.code, p.tail())
			}
			return err
		}
		conn.Close()
		return nil
	})
}

// sink is where records go: proxies and the queue behind them.
type sink struct {
	queue    *cluster               // nil if the queue is Pulsar
	pulsar   *pulsarhandler.Cluster // nil if it is Kafka
	b        *bench                 // of Pulsar
	template string                 // of the names of its topics, over {group} and {stream}
	proxies  []*proxy
	manager  string // URL of a Manager that names proxies, clusters and topics; empty if the configuration does
}

// startSink makes the queue's topics for these source topics in c, and starts n devproxies before it.
func (b *bench) startSink(c *cluster, replicas int16, topics []string, n int, args ...string) *sink {
	b.Helper()
	s := &sink{queue: c, template: "queue.{group}.{stream}"}
	c.createTopics(2, replicas, s.topics(topics))
	s.startProxies(b, n, args...)
	return s
}

// startProxies starts n devproxies before the queue.
func (s *sink) startProxies(b *bench, n int, args ...string) {
	b.Helper()
	for i := range n {
		p := &proxy{b: b, name: fmt.Sprintf("proxy-%d", i+1), addr: b.freeAddr()}
		p.out = b.path(p.name + ".jsonl")
		p.args = append([]string{"devproxy", "--listen", p.addr, "--manager", "", "--out", p.out,
			"--queue", s.url()}, args...)
		p.begin = func() *process { return b.program(p.name, p.args...) }
		p.restart()
		s.proxies = append(s.proxies, p)
	}
}

// url is what devproxy --queue takes.
func (s *sink) url() string {
	if p := s.pulsar; p != nil {
		return p.ServiceURL + "/" + p.Tenant + "/" + p.Namespace + "/" + p.Topic
	}
	return "kafka://" + strings.Join(s.queue.brokers, ",") + "/" + s.template
}

// section is the cluster in the bridge's configuration: an element of queue.kafka or queue.pulsar.
func (s *sink) section() (kind string, cluster map[string]any) {
	if p := s.pulsar; p != nil {
		return "pulsar", map[string]any{"service_url": p.ServiceURL, "tenant": p.Tenant, "namespace": p.Namespace, "topic": p.Topic}
	}
	cluster = map[string]any{"brokers": s.queue.brokers, "topic": s.template}
	maps.Copy(cluster, s.queue.config)
	return "kafka", cluster
}

// topics are the topics of the queue that source topics lead to.
func (s *sink) topics(sources []string) []string {
	var all []string
	for _, t := range sources {
		if s.pulsar != nil {
			all = append(all, s.pulsar.TopicOf(streamGroup, t))
			continue
		}
		all = append(all, queuetopic.Template(s.template).Fill(streamGroup, t))
	}
	return all
}

// outputs are what the devproxies wrote.
func (s *sink) outputs() (paths []string) {
	for _, p := range s.proxies {
		if p.out != "" {
			paths = append(paths, p.out)
		}
	}
	return paths
}

// settings is a configuration of the bridge.
type settings map[string]any

// set changes one key, given as section.key; a nil value removes it.
func (s settings) set(path string, value any) settings {
	section, key, ok := strings.Cut(path, ".")
	if !ok {
		s[section] = value
		return s
	}
	inner, ok := s[section].(map[string]any)
	if !ok {
		inner = make(map[string]any)
		s[section] = inner
	}
	if inner[key] = value; value == nil {
		delete(inner, key)
	}
	return s
}

// bridgeSettings moves topics of c into the group e2e, a stream for each. Times are shorter than the
// defaults, so that a test is short; their order is the same.
func bridgeSettings(c *cluster, group string, topics []string, to *sink) settings {
	var addrs []string
	for _, p := range to.proxies {
		addrs = append(addrs, p.addr)
	}
	kafka := map[string]any{
		"brokers": c.brokers, "group": group, "session_timeout": "6s", "rebalance_timeout": "15s",
		"commit_interval": "200ms", "metadata_max_age": "1s",
	}
	maps.Copy(kafka, c.config)
	kind, queue := to.section()
	s := settings{
		"kafka":    kafka,
		"inlong":   map[string]any{"proxies": addrs},
		"routes":   []any{map[string]any{"topics": topics, "group": streamGroup, "stream": "{topic}"}},
		"delivery": map[string]any{"confirm": "queue", "retry_min": "50ms", "retry_max": "1s", "ack_timeout": "5s"},
		"queue":    map[string]any{kind: []any{queue}, "loss_grace": "2s", "patience": "10s", "timeout": "5s"},
		"admin":    map[string]any{"listen": ""},
	}
	if to.manager != "" {
		s.set("inlong", map[string]any{
			"cluster": map[string]any{"name": "e2e-proxies", "tag": "e2e-tag"},
			"manager": map[string]any{"urls": []string{to.manager}},
		})
		s.set("queue."+kind, nil).set("queue.manager", true)
	}
	return s
}

const (
	streamGroup = "e2e"
	// drainLimit is how long a bridge may take to finish what there is, on a busy machine.
	drainLimit = 60 * time.Second
)

// startBridge starts `run` with these settings.
func (b *bench) startBridge(name string, s settings) *process {
	b.Helper()
	return b.program(name, "run", "-c", b.writeSettings(name, s))
}

// writeSettings writes the configuration and returns its path.
func (b *bench) writeSettings(name string, s settings) string {
	b.Helper()
	text, err := yaml.Marshal(map[string]any(s))
	if err != nil {
		b.Fatal(err)
	}
	return b.write(name+".yaml", string(text))
}

// statusAt reads the status of the bridge whose admin.listen is addr.
func (b *bench) statusAt(addr string) (s connector.Status, err error) {
	text, code, err := b.get("http://" + addr + "/status")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("GET /status: code %d: %s", code, text)
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

func (b *bench) get(url string) (text string, code int, err error) { return b.ask(http.MethodGet, url) }

func (b *bench) ask(method, url string) (text string, code int, err error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(b.Context(), method, url, nil)
	if err != nil {
		return "", 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), resp.StatusCode, err
}

// moments draws the times of faults, repeatable by E2E_SEED.
func (b *bench) moments() *rand.Rand {
	b.Helper()
	seed := uint64(time.Now().UnixNano() % 1e6)
	if text := os.Getenv("E2E_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			b.Fatalf("E2E_SEED: %v", err)
		}
		seed = n
	}
	b.Logf("E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// between draws a duration.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
