//go:build chaos

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"inlong-bridge/sdk/dptest"
)

const sourcePartitions = 6 // of each topic

// chaosSpec is a cell: a fault, a mode, and how many bridges of which kind.
type chaosSpec struct {
	fault   string
	confirm string
	bridges int
	static  bool
	queue   string // pulsar, or "" for Kafka
}

func (s chaosSpec) name() string {
	members := "dynamic"
	if s.static {
		members = "static"
	}
	if s.queue != "" {
		members += "/" + s.queue
	}
	return fmt.Sprintf("%s/%s/%d-%s", s.confirm, s.fault, s.bridges, members)
}

// chaosCell is a cell at work: a source, bridges, proxies and the queue behind them, all its own.
type chaosCell struct {
	b      *bench
	spec   chaosSpec
	kind   *chaosFault
	factor float64
	rate   int // records a second

	group  string
	topics []string

	source      *cluster
	sourceKafka *kfake.Cluster
	sourceGate  *gate
	sinks       []*sink // one for each cluster of the queue; they share the proxies
	gates       []valve // of the queue
	pulsars     []*pulsarNode
	namespace   string // in those
	manager     *dptest.Manager
	managerAddr string
	listed      int // proxies that the Manager names, from the first on

	proxies  []*chaosProxy
	bridges  []*chaosBridge
	ledger   *ledger
	arriving *follower
	watch    *monitor
	load     *load

	allowed int       // duplicates that the faults so far excuse
	over    time.Time // when the fault had ended, or had taken its effect
}

type chaosProxy struct {
	*proxy
	control string
	clock   string // file, where its clock can be set
}

type chaosBridge struct {
	*process
	name, admin string
	settings    settings
	cache       string // directory, with a Manager
	clock       string // file, where its clock can be set
	c           *chaosCell
}

func (br *chaosBridge) begin() {
	b := br.c.b
	switch {
	case br.c.kind.clock:
		br.process = b.settable(br.name, br.clock, "run", "-c", b.writeSettings(br.name, br.settings))
	case br.c.kind.disk:
		path, err := bridgeBinary()
		if err != nil {
			b.Fatal(err)
		}
		name, args := onOwnDisk(br.cache, path, "run", "-c", b.writeSettings(br.name, br.settings))
		br.process = b.start(br.name, command(name, args...))
	default:
		br.process = b.startBridge(br.name, br.settings)
	}
}

// scale is a shipped duration in this run.
func (c *chaosCell) scale(d time.Duration) time.Duration {
	return time.Duration(float64(d) * c.factor)
}

// atLeast is a scaled duration for a key that does not take less than least.
func (c *chaosCell) atLeast(d, least time.Duration) string { return max(c.scale(d), least).String() }

// build starts everything and waits until records flow.
func (c *chaosCell) build() {
	b := c.b
	b.Helper()
	c.group, c.topics = "chaos", []string{"orders", "logs"}
	c.source, c.sourceKafka, c.sourceGate = b.gated(c.kind.brokers)
	c.source.createTopics(sourcePartitions, 1, c.topics)
	var queues []string
	if c.spec.queue == "pulsar" {
		queues = c.pulsarQueues()
	}
	for range c.kind.clusters - len(c.sinks) {
		queue, _, g := b.gated(1)
		s := &sink{queue: queue, template: "queue.{group}.{stream}"}
		queue.createTopics(2, 1, s.topics(c.topics))
		c.sinks, c.gates = append(c.sinks, s), append(c.gates, g)
		queues = append(queues, "--queue", s.url())
	}
	for i := range c.kind.proxies {
		p := &chaosProxy{proxy: &proxy{b: b, name: fmt.Sprintf("proxy-%d", i+1), addr: b.freeAddr()}, control: b.freeAddr()}
		args := append([]string{"devproxy", "--listen", p.addr, "--manager", "", "--control", p.control,
			"--queue-delay", c.scale(time.Second).String()}, queues...)
		p.begin = func() *process { return b.program(p.name, args...) }
		if c.kind.clock {
			p.clock = b.wallClock(p.name)
			p.begin = func() *process { return b.settable(p.name, p.clock, args...) }
		}
		p.restart()
		c.proxies = append(c.proxies, p)
		c.sinks[0].proxies = append(c.sinks[0].proxies, p.proxy)
	}
	c.listed = c.kind.proxies
	if c.kind.manager {
		if c.kind.disk {
			c.listed-- // the last one is news that has to be kept
		}
		c.managerAddr = b.freeAddr()
		c.startManager()
		b.Cleanup(func() { _ = c.manager.Close() })
	}
	for i := range c.spec.bridges {
		br := &chaosBridge{name: fmt.Sprintf("bridge-%d", i+1), admin: b.freeAddr(), c: c}
		if c.kind.clock {
			br.clock = b.wallClock(br.name)
		}
		if br.cache = b.path(br.name + "-cache"); c.kind.disk {
			if err := os.MkdirAll(br.cache, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		br.settings = c.settings(br)
		br.begin()
		c.bridges = append(c.bridges, br)
	}
	b.eventually(drainLimit, c.assigned) // what moves before the fault is not the fault's
	c.ledger = newLedger()
	c.follow()
	load := c.ledger.startLoad(c.source, c.rate, c.topics...)
	b.eventually(drainLimit, func() error {
		if n := c.arriving.count(); n < 2*c.rate {
			return fmt.Errorf("only %d records have arrived; the log of a bridge ends with\n%s", n, c.bridges[0].tail())
		}
		if total(c.source.committed(c.group)) == 0 {
			return fmt.Errorf("nothing is committed; the log of a bridge ends with\n%s", c.bridges[0].tail())
		}
		return nil
	})
	c.watch = &monitor{c: c, last: make(map[string]moment)}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { c.watch.run(stop) })
	b.Cleanup(sync.OnceFunc(func() { load.stop(); close(stop); watching.Wait() }))
	c.load = load
	b.eventually(drainLimit, c.watch.watching)
	b.pause(2*time.Second + c.scale(10*time.Second)) // until it flows steadily, and settles
}

// assigned says which bridge has no partitions yet.
func (c *chaosCell) assigned() error {
	sum := 0
	for _, br := range c.bridges {
		s, err := c.b.statusAt(br.admin)
		if err == nil && len(s.Parts) == 0 {
			err = fmt.Errorf("%s has no partitions; its log ends with\n%s", br.name, br.tail())
		}
		if err != nil {
			return err
		}
		sum += len(s.Parts)
	}
	if want := sourcePartitions * len(c.topics); sum != want {
		return fmt.Errorf("%d of %d partitions are assigned", sum, want)
	}
	return nil
}

// settings are the shipped durations, scaled, as far as the configuration takes them.
func (c *chaosCell) settings(br *chaosBridge) settings {
	ms := time.Millisecond
	s := bridgeSettings(c.source, c.group, c.topics, c.sinks[0]).
		set("admin.listen", br.admin).
		set("kafka.session_timeout", c.atLeast(45*time.Second, 6*time.Second)).
		set("kafka.rebalance_timeout", c.atLeast(time.Minute, 6*time.Second)).
		set("kafka.commit_timeout", c.atLeast(10*time.Second, time.Second)).
		set("kafka.commit_interval", c.atLeast(time.Second, 10*ms)).
		set("kafka.metadata_max_age", c.atLeast(time.Minute, time.Second)).
		set("delivery.confirm", c.spec.confirm).
		set("delivery.settle", c.atLeast(10*time.Second, time.Second)).
		set("delivery.ack_timeout", c.atLeast(15*time.Second, time.Second)).
		set("delivery.dial_timeout", c.atLeast(5*time.Second, 100*ms)).
		set("delivery.write_timeout", c.atLeast(10*time.Second, 100*ms)).
		set("delivery.revoke_wait", c.atLeast(3*time.Second, 0)).
		// Not scaled down to what a busy machine may need.
		set("delivery.drain", c.atLeast(30*time.Second, 20*time.Second)).
		set("delivery.retry_min", c.atLeast(100*ms, ms)).
		set("delivery.retry_max", c.atLeast(30*time.Second, ms)).
		set("delivery.heartbeat_idle", c.atLeast(30*time.Second, time.Second))
	if c.spec.static {
		s.set("kafka.instance_id", br.name)
	}
	if c.kind.manager {
		s.set("inlong", map[string]any{
			"manager": map[string]any{"urls": []string{"http://" + c.managerAddr}, "timeout": c.atLeast(10*time.Second, 100*ms)},
			"refresh": c.atLeast(time.Minute, time.Second), "cache_dir": br.cache,
		})
	}
	if c.spec.confirm != "queue" {
		delete(s, "queue")
		return s
	}
	var clusters []any
	kind := ""
	for i, to := range c.sinks {
		var cluster map[string]any
		kind, cluster = to.section()
		cluster["name"] = fmt.Sprintf("mq-%d", i+1)
		clusters = append(clusters, cluster)
	}
	return s.set("queue."+kind, clusters).
		set("queue.loss_grace", c.atLeast(10*time.Second, 100*ms)).
		set("queue.patience", c.atLeast(time.Minute, time.Second)).
		set("queue.timeout", c.atLeast(10*time.Second, 100*ms))
}

func (c *chaosCell) startManager() {
	c.b.Helper()
	c.manager = dptest.NewManager()
	c.manager.SetNodes(c.addrs()...)
	if err := c.manager.Start(c.managerAddr); err != nil {
		c.b.Fatal(err)
	}
}

// addrs are the proxies that the Manager names.
func (c *chaosCell) addrs() (addrs []string) {
	for _, p := range c.proxies[:c.listed] {
		addrs = append(addrs, p.addr)
	}
	return addrs
}

// turn switches a fault of a proxy.
func (c *chaosCell) turn(p *chaosProxy, kind string, on bool, more ...string) {
	c.b.Helper()
	q := url.Values{"kind": {kind}, "on": {fmt.Sprint(on)}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	req, err := http.NewRequestWithContext(c.b.Context(), http.MethodPost, "http://"+p.control+"/fault?"+q.Encode(), nil)
	if err != nil {
		c.b.Fatal(err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		c.b.Fatalf("switching %s of %s: %v", kind, p.name, err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.b.Fatalf("switching %s of %s: %s", kind, p.name, resp.Status)
	}
}

// inMemory is how many packs a proxy holds.
func (c *chaosCell) inMemory(p *chaosProxy) (int, error) {
	text, code, err := c.b.get("http://" + p.control + "/stats")
	if err != nil || code != http.StatusOK {
		return 0, fmt.Errorf("asking %s: code %d: %w", p.name, code, err)
	}
	var stats []struct {
		InMemory int `json:"in_memory_packs"`
	}
	if err := json.Unmarshal([]byte(text), &stats); err != nil || len(stats) != 1 {
		return 0, fmt.Errorf("asking %s: %q: %w", p.name, text, err)
	}
	return stats[0].InMemory, nil
}

// notCommitted is how many records were produced and are not committed, which is the most that may be sent
// again when a bridge ends now.
func (c *chaosCell) notCommitted() (n int) {
	c.b.Helper()
	committed := c.source.committed(c.group)
	for _, at := range c.ledger.all() {
		if at.offset >= committed[at.topic][at.partition] {
			n++
		}
	}
	return n
}

// arrived reads all clusters of the queue.
func (c *chaosCell) arrived() *arrivals {
	c.b.Helper()
	all := &arrivals{times: make(map[string]int)}
	for _, s := range c.sinks {
		a := s.inQueue(c.topics)
		all.strange = append(all.strange, a.strange...)
		for id, n := range a.times {
			all.times[id] += n
		}
	}
	return all
}

// run is the whole life of a cell.
func (c *chaosCell) run() chaosRecord {
	b := c.b
	b.Helper()
	if c.kind.disk {
		if err := ownDisks(); err != nil {
			fmt.Printf("\nSKIPPED chaos cell %s: no disk of its own for a process: %v\n", c.spec.name(), err) // where CI looks for it
			b.Skipf("SKIPPED: no disk of its own for a process: %v", err)
		}
	}
	c.build()
	began := time.Now()
	c.kind.strike(c)
	if c.over.IsZero() {
		c.over = time.Now()
	}
	b.Logf("the fault took %v", time.Since(began).Round(time.Millisecond))
	back, ok := time.Duration(0), false
	goOn := c.scale(max(c.kind.goOn, 10*time.Second))
	for limit := time.Now().Add(2*c.recoveryBound() + goOn + 30*time.Second); time.Now().Before(limit); {
		if back, ok = c.backAfter(); ok && time.Since(c.over) > goOn {
			break
		}
		b.pause(100 * time.Millisecond)
	}
	if !ok {
		back = time.Since(c.over)
		b.Errorf("records do not flow again at 90 %% of their rate after %v; the log of a bridge ends with\n%s", back, c.bridges[0].tail())
	}
	if c.kind.after != nil {
		c.kind.after(c)
	}
	c.load.stop()
	var working []*process
	for _, br := range c.bridges {
		working = append(working, br.process)
	}
	c.source.caughtUp(c.group, c.topics, 2*drainLimit, working...)
	if c.kind.bound != nil {
		c.allowed += c.kind.bound(c)
	}
	for _, br := range c.bridges {
		if s, err := b.statusAt(br.admin); err == nil {
			b.Logf("%s has read %d records again", br.name, s.Reread.Records)
		}
		br.signal(syscall.SIGTERM)
	}
	for _, br := range c.bridges {
		if code := br.wait(drainLimit); code != 0 {
			b.Errorf("%s: exit %d after SIGTERM, want 0; its log ends with\n%s", br.name, code, br.tail())
		}
	}
	c.memoryEmpty()
	v := c.ledger.judge(c.arrived())
	r := chaosRecord{
		Fault: c.spec.fault, Confirm: c.spec.confirm, Queue: c.spec.queue, Bridges: c.spec.bridges, Cycles: 1,
		Produced: v.produced, Lost: v.missing, LossExpected: c.lossExpected(),
		Duplicates: v.duplicates, Allowed: c.allowed, Recovery: float64(back.Round(10*time.Millisecond)) / float64(time.Second),
		bound: c.recoveryBound(), static: c.spec.static,
	}
	b.Logf("%v; %d duplicates allowed; back after %v (shipped durations: %v, scaled: %v)", v, c.allowed, back, c.kind.back, r.bound)
	if len(v.foreign) > 0 {
		b.Errorf("LOST: foreign or changed: %v", v.foreign)
	}
	if v.produced == 0 {
		b.Error("nothing was produced, so this shows nothing")
	}
	if v.missing > 0 && !r.LossExpected {
		b.Errorf("LOST: %d, want none: %v", v.missing, v) // CI looks for the word, and does not try again
	}
	if v.duplicates > c.allowed {
		b.Errorf("%d duplicates, want at most %d", v.duplicates, c.allowed)
	}
	return r
}

// lossExpected says whether this is one of the three cells that settle cannot cover.
func (c *chaosCell) lossExpected() bool { return c.spec.confirm == "settle" && c.kind.settleLoses }

// recoveryBound is the table's, scaled. Some durations do not scale: a session is at least 6 s, the life
// clock of settle takes an answer for timely for 2 s, a second passes until a rate is known.
func (c *chaosCell) recoveryBound() time.Duration {
	return c.scale(c.kind.back)
}
