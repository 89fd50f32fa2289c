package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The one route of most cells.
const (
	benchGroup  = "group"
	benchStream = "stream"
)

// cell is one thing that is measured: who moves what. Equal ones are run once in a round.
type cell struct {
	subject  string // bridge, floor, poll
	spec     brokerSpec
	records  int // until the measuring ends; the first fifth is the warm-up
	warm     int // records of the warm-up instead of a fifth
	confirm  string
	settle   time.Duration
	pack     int  // records in a pack, 0 for the default
	noLinger bool // pack.linger is 0
	proxies  int  // 0 for one
	budget   string
	unset    bool // delivery.proxy_rate is not set: as it comes
	unfinal  int  // delivery.max_unfinal, 0 for the default
	// whole has each fetch ask for all partitions, without a session. The embedded Kafka gives first what it has
	// just given in a session; Apache Kafka puts that last.
	whole  bool
	seen   string        // file in which the bridge notes what it may commit, empty for none
	scrape time.Duration // between two scrapes, 0 for a second
	pulsar string        // with confirm queue: the Pulsar behind the sink, pulsar://host:port/tenant/namespace, instead of a Kafka
}

// String names the cell for people.
func (c *cell) String() string {
	parts := []string{c.subject, c.spec.Corpus}
	add := func(on bool, format string, args ...any) {
		if on {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(c.spec.Codec != "", "%s", c.spec.Codec)
	add(c.spec.Keys > 0, "%d streams", c.spec.Keys)
	add(c.spec.Kafka != "", "Apache Kafka")
	add(c.spec.Partitions != 4, "%d partitions", c.spec.Partitions)
	add(c.spec.Records == 0, "endless")
	add(c.confirm == "queue" && c.pulsar == "", "queue")
	add(c.pulsar != "", "queue on Pulsar")
	add(c.unset, "nothing set")
	add(c.settle != 0, "settle %v", c.settle)
	add(c.pack > 0, "packs of %d", c.pack)
	add(c.proxies > 1, "%d proxies", c.proxies)
	return strings.Join(parts, ", ")
}

func (c *cell) file() string { return strings.NewReplacer(", ", "-", " ", "-").Replace(c.String()) }

// cellResult is what a cell came to between its marks.
type cellResult struct {
	Records int64
	Time    time.Duration
	CPU     time.Duration // of the subject
	Broker  time.Duration // CPU of the broker
	Sink    time.Duration // CPU of the sink
	Queue   time.Duration // CPU of the broker behind the sink
	RSS     int64         // peak of the subject
	used    counters      // of the bridge's metrics, if the lab counts
}

func (r *cellResult) rate() float64 { return float64(r.Records) / r.Time.Seconds() }

func (r *cellResult) perMillion(d time.Duration) float64 {
	return d.Seconds() / float64(r.Records) * 1e6
}

// lab runs cells. It keeps the broker of the last one, since filling it takes longer than most cells.
type lab struct {
	dir      string  // for configurations
	profiles string  // folder for profiles of the bridge, empty for none
	full     float64 // records of 1 KiB per second that the bridge can do, 0 when not known yet
	// The same from the Apache Kafka that -kafka names.
	fullKafka float64
	groups    int
	broker    *child
	holds     brokerSpec
	program   string // that the bridge is started from, empty for this one
	// counts has the bridge's metrics read at the marks, and only then: scrapes allocate.
	counts bool
}

func (l *lab) close() error {
	if l.broker == nil {
		return nil
	}
	err := l.broker.end()
	l.broker = nil
	return err
}

// kafka returns a broker process that holds what the spec says.
func (l *lab) kafka(ctx context.Context, spec *brokerSpec) (*child, error) {
	if l.broker != nil && l.holds == *spec {
		return l.broker, nil
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	b, err := startBroker(ctx, spec)
	if err != nil {
		return nil, err
	}
	l.broker, l.holds = b, *spec
	return b, nil
}

func startBroker(ctx context.Context, spec *brokerSpec) (*child, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("writing spec: %w", err)
	}
	return start(ctx, "broker", true, "broker", "-spec", string(text))
}

// config writes the configuration of a bridge.
func (l *lab) config(c *cell, name string, group, brokers, queue string, proxies []string) (path, admin string, err error) {
	if admin, err = freeAddr(); err != nil {
		return "", "", err
	}
	var y strings.Builder
	fmt.Fprintf(&y, "kafka: {brokers: [%s], group: %s}\n", brokers, group)
	fmt.Fprintf(&y, "inlong: {proxies: [%s]}\n", strings.Join(proxies, ", "))
	stream := benchStream
	if c.spec.Keys > 0 {
		stream = "'" + benchStream + "-{key}'"
	}
	fmt.Fprintf(&y, "routes: [{topics: [%s], group: %s, stream: %s}]\n", cmp.Or(c.spec.Topic, benchTopic), benchGroup, stream)
	settle := c.settle
	if settle == 0 {
		settle = 10 * time.Second
	}
	confirm := c.confirm
	if confirm == "" {
		confirm = "settle"
	}
	rate := ", proxy_rate: 0"
	if c.unset {
		rate = ""
	}
	unfinal := ""
	if c.unfinal > 0 {
		unfinal = fmt.Sprintf(", max_unfinal: %d", c.unfinal)
	}
	fmt.Fprintf(&y, "delivery: {confirm: %s, settle: %v%s, drain: %v%s}\n", confirm, settle, rate, settle+20*time.Second, unfinal)
	if c.pulsar != "" {
		place, err := parsePulsar(c.pulsar)
		if err != nil {
			return "", "", err
		}
		fmt.Fprintf(&y, "queue: {pulsar: [{service_url: '%s', tenant: %s, namespace: %s, topic: '%s'}]}\n", place.ServiceURL, place.Tenant, place.Namespace, pulsarTopic(group))
	} else if c.confirm == "queue" {
		fmt.Fprintf(&y, "queue: {kafka: [{brokers: [%s], topic: '{group}.{stream}'}]}\n", queue)
	}
	if c.pack > 0 {
		fmt.Fprintf(&y, "pack: {count: %d}\n", c.pack)
	}
	if c.noLinger {
		fmt.Fprintln(&y, "pack: {linger: 0}")
	}
	if c.budget != "" {
		fmt.Fprintf(&y, "memory: {budget: %s}\n", c.budget)
	}
	fmt.Fprintf(&y, "admin: {listen: %s, pprof: true}\nlog: {level: warn}\n", admin)
	path = filepath.Join(l.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(y.String()), 0o600); err != nil {
		return "", "", fmt.Errorf("writing configuration: %w", err)
	}
	return path, admin, nil
}

// freeAddr is an address of the loopback interface that nobody listens on now.
func freeAddr() (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close() //nolint:errcheck // nobody used it
	return ln.Addr().String(), nil
}

// cellTimeout bounds one run of a cell.
const cellTimeout = 4 * time.Minute

// run measures a cell once.
func (l *lab) run(ctx context.Context, c *cell, profile bool) (r cellResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	broker, err := l.kafka(context.WithoutCancel(ctx), &c.spec)
	if err != nil {
		return r, err
	}
	l.groups++
	group := "bench-" + strconv.Itoa(l.groups)
	warm := c.warm
	if warm == 0 {
		warm = c.records / 5
	}
	at := fmt.Sprintf("%d,%d", warm, c.records)
	if c.subject == "poll" {
		subject, err := start(ctx, "poll floor", false, "poll", "-brokers", broker.first, "-group", group, "-marks", at)
		if err != nil {
			return r, err
		}
		r, err = measureMarks(subject, subject, broker, nil, nil, nil)
		return r, errors.Join(err, subject.end())
	}

	var queue *child
	args := []string{"drain", "-marks", at, "-proxies", strconv.Itoa(max(c.proxies, 1))}
	if c.pulsar != "" {
		args = append(args, "-queue", c.pulsar, "-queue-topic", pulsarTopic(group))
	} else if c.confirm == "queue" {
		if queue, err = startBroker(ctx, &brokerSpec{Partitions: 4, Empty: true}); err != nil {
			return r, err
		}
		defer queue.kill()
		args = append(args, "-queue", queue.first)
	}
	sink, err := start(ctx, "sink", true, args...)
	if err != nil {
		return r, err
	}
	proxies := strings.Split(sink.first, ",")
	var subject *child
	if c.subject == "floor" {
		subject, err = start(ctx, "floor bridge", false, "floor", "-brokers", broker.first, "-group", group, "-addr", proxies[0])
	} else {
		subject, err = l.startBridge(ctx, c, "bridge", group, broker.first, queue, proxies)
	}
	if err != nil {
		return r, errors.Join(err, sink.end())
	}
	if profile && c.subject == "bridge" && l.profiles != "" {
		stop := l.profile(ctx, c, subject.first, 2)
		defer stop()
	}
	var counted func() (counters, error)
	if l.counts && c.subject == "bridge" {
		counted = func() (counters, error) { return countersOf(ctx, subject.first) }
	}
	r, err = measureMarks(subject, sink, broker, sink, queue, counted)
	if err == nil && c.subject == "bridge" && c.spec.Corpus == "json1k" && c.confirm == "" && c.spec.Keys == 0 && c.pack == 0 {
		l.full = r.rate()
	}
	if c.subject == "bridge" {
		subject.kill() // what it drains is nothing that is measured
	} else {
		err = errors.Join(err, subject.end())
	}
	return r, errors.Join(err, sink.end())
}

// startBridge starts the bridge as `inlong-bridge run` does, and a scraper of its metrics.
func (l *lab) startBridge(ctx context.Context, c *cell, name, group, brokers string, queue *child, proxies []string) (*child, error) {
	behind := ""
	if queue != nil {
		behind = queue.first
	}
	path, admin, err := l.config(c, name, group, brokers, behind, proxies)
	if err != nil {
		return nil, err
	}
	program := l.program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding this program: %w", err)
		}
	}
	args := []string{"-c", path, fmt.Sprint("-whole=", c.whole)}
	if c.seen != "" { // an older program has no such flag
		args = append(args, "-seen", c.seen)
	}
	subject, err := startProgram(ctx, program, "bridge", false, append([]string{"bridge-process"}, args...)...)
	if err != nil {
		return nil, err
	}
	subject.first = admin
	if l.counts {
		return subject, nil
	}
	scraping, stop := context.WithCancel(ctx)
	subject.also = stop
	go scrape(scraping, admin, cmp.Or(c.scrape, time.Second))
	return subject, nil
}

// scrape asks for the metrics until ctx ends.
func scrape(ctx context.Context, admin string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		get(ctx, "http://"+admin+"/metrics", io.Discard) //nolint:errcheck // it is not there yet, or not any more
	}
}

// client asks the bridge's admin server.
var client = &http.Client{Timeout: 30 * time.Second}

func get(ctx context.Context, url string, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(to, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: %s", url, resp.Status)
	}
	return nil
}

// profile takes a CPU profile of the bridge over so many seconds, then one of its heap; the function it returns waits
// for both.
func (l *lab) profile(ctx context.Context, c *cell, admin string, seconds int) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		select { // until it is at full speed
		case <-ctx.Done():
			return
		case <-time.After(500 * time.Millisecond):
		}
		for _, kind := range []string{fmt.Sprint("profile?seconds=", seconds), "heap"} {
			name, _, _ := strings.Cut(kind, "?")
			f, err := os.Create(filepath.Join(l.profiles, c.file()+"."+name+".pprof"))
			if err == nil {
				err = errors.Join(get(ctx, "http://"+admin+"/debug/pprof/"+kind, f), f.Close())
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "profiling:", err)
			}
		}
	}()
	return func() { <-done }
}

// sample is what the processes have used so far.
type sample struct{ subject, broker, sink, queue time.Duration }

func takeSample(subject, broker, sink, queue *child) (s sample, err error) {
	for _, one := range []struct {
		c  *child
		to *time.Duration
	}{{subject, &s.subject}, {broker, &s.broker}, {sink, &s.sink}, {queue, &s.queue}} {
		if one.c == nil {
			continue
		}
		d, e := cpuOf(one.c.pid())
		*one.to, err = d, errors.Join(err, e)
	}
	return s, err
}

// measureMarks waits for two marks of counter and says what came between them. counted is nil, or asked at each mark.
func measureMarks(subject, counter, broker, sink, queue *child, counted func() (counters, error)) (r cellResult, err error) {
	var records, at [2]int64
	var used [2]sample
	var count [2]counters
	for i := range used {
		if records[i], at[i], err = counter.mark(cellTimeout); err != nil {
			return r, err
		}
		if used[i], err = takeSample(subject, broker, sink, queue); err != nil {
			return r, err
		}
		if counted != nil {
			if count[i], err = counted(); err != nil {
				return r, err
			}
		}
	}
	r = cellResult{
		Records: records[1] - records[0], Time: time.Duration(at[1] - at[0]),
		CPU: used[1].subject - used[0].subject, Broker: used[1].broker - used[0].broker,
		Sink: used[1].sink - used[0].sink, Queue: used[1].queue - used[0].queue, used: count[1].since(count[0]),
	}
	r.RSS, err = memoryOf(subject.pid(), "VmHWM")
	return r, err
}
