package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// process is the command in a process of its own.
type process struct {
	cmd    *exec.Cmd
	stderr *lines
	ended  chan struct{}
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(context.Background(), os.Args[0], args...), stderr: &lines{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "INLONG_BRIDGE_TEST_MAIN=1")
	p.cmd.Stdout, p.cmd.Stderr = p.stderr, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("output of %q:\n%s", args, p.stderr)
		}
	})
	return p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(waitLimit):
		t.Fatalf("the process has not ended after %v", waitLimit)
		return 0
	}
}

// source is a Kafka with one topic of numbered records.
type source struct {
	cluster *kfake.Cluster
	client  *kgo.Client
	brokers string
}

const sourceTopic = "ids"

func startSource(t *testing.T) *source {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, sourceTopic), kfake.SeedTopics(2, "queue.g.s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := &source{cluster: cluster, brokers: strings.Join(cluster.ListenAddrs(), ",")}
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	return s
}

// produce writes records from to upTo-1.
func (s *source) produce(t *testing.T, from, upTo int) {
	t.Helper()
	var records []*kgo.Record
	for i := from; i < upTo; i++ {
		records = append(records, &kgo.Record{Topic: sourceTopic, Value: fmt.Appendf(nil, "id-%d", i)})
	}
	if err := s.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// committed waits until n records are committed.
func (s *source) waitCommitted(t *testing.T, group string, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*waitLimit)
	defer cancel()
	admin := kadm.NewClient(s.client)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var sum int64
		offsets, err := admin.FetchOffsets(ctx, group)
		if err == nil {
			offsets.Each(func(o kadm.OffsetResponse) { sum += max(0, o.At) })
		}
		if sum == n {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d records are committed (%v)", sum, n, err)
		}
	}
}

// bridgeConfig writes a configuration; extra are further lines.
func (s *source) bridgeConfig(t *testing.T, proxies []string, extra string) string {
	t.Helper()
	return writeFile(t, fmt.Sprintf(`
kafka: {brokers: [%s], group: bridge, instance_id: one, commit_interval: 100ms}
inlong: {proxies: [%s]}
routes: [{topics: ids, group: g, stream: s}]
admin: {listen: ""}
%s
`, s.brokers, strings.Join(proxies, ", "), extra))
}

func (s *source) queueSection() string {
	return fmt.Sprintf("queue: {kafka: [{brokers: [%s], topic: 'queue.{group}.{stream}'}]}", s.brokers)
}

// The check of the issue "kill -9 of the bridge at random moments": what stands in the output of devproxy
// is what survived, so no id may be missing there when everything is committed.
func TestKilledBridgeLosesNothing(t *testing.T) {
	t.Parallel()
	const batches, perBatch, kills = 40, 250, 2
	src := startSource(t)
	file := filepath.Join(t.TempDir(), "out")
	_, proxies, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--proxies", "2", "--manager", "127.0.0.1:0",
		"--queue", "kafka://"+src.brokers+"/queue.{group}.{stream}", "--out", file, "--queue-delay", "200ms")
	config := src.bridgeConfig(t, proxies, src.queueSection())

	bridge := startProcess(t, "run", "-c", config)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	killAt := make(map[int]bool)
	for len(killAt) < kills {
		killAt[5+rnd.IntN(batches-5)] = true
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := range batches {
		src.produce(t, i*perBatch, (i+1)*perBatch)
		if killAt[i] {
			bridge.signal(t, syscall.SIGKILL)
			bridge.wait(t)
			bridge = startProcess(t, "run", "-c", config)
		}
		<-tick.C
	}
	src.waitCommitted(t, "bridge", batches*perBatch)
	bridge.signal(t, syscall.SIGTERM)
	if code := bridge.wait(t); code != exitClean {
		t.Errorf("exit %d after a drain with nothing left, want 0", code)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	records := 0
	for line := range strings.Lines(string(text)) {
		var l outLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		for _, r := range l.Records {
			seen[r["text"]] = true
			records++
		}
	}
	missing := 0
	for i := range batches * perBatch {
		if !seen[fmt.Sprintf("id-%d", i)] {
			missing++
		}
	}
	if missing > 0 || len(seen) != batches*perBatch {
		t.Errorf("%d of %d ids are missing in the queue after %d kills; %d different ids there", missing, batches*perBatch, kills, len(seen))
	}
	t.Logf("%d kills, %d records in the queue for %d ids", kills, records, len(seen))
}

// A proxy that never moves anything to its queue keeps the bridge from finishing.
func TestDrainThatCannotFinishExits3(t *testing.T) {
	for _, tc := range []struct {
		name, drain string
		signals     int
		atMost      time.Duration
	}{
		{"at its time-out", "1s", 1, 20 * time.Second},
		{"at once by a second signal", "1h", 2, 10 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			src := startSource(t)
			src.produce(t, 0, 1000)
			out, proxies, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--queue-delay", "1h", "--out", "-", "--out-at", "ack")
			bridge := startProcess(t, "run", "-c", src.bridgeConfig(t, proxies, src.queueSection()+"\ndelivery: {drain: "+tc.drain+"}"))
			out.waitFor(t, func(s string) bool { return strings.Contains(s, "id-") })
			start := time.Now()
			bridge.signal(t, syscall.SIGTERM)
			if tc.signals == 2 {
				// The first one must have been taken, or the two would be one.
				bridge.stderr.waitFor(t, func(s string) bool { return strings.Contains(s, "drain") })
				time.Sleep(2 * oneRequest)
				bridge.signal(t, syscall.SIGTERM)
			}
			if code := bridge.wait(t); code != exitUnfinished {
				t.Errorf("exit %d, want 3", code)
			}
			if took := time.Since(start); took > tc.atMost {
				t.Errorf("it took %v, want at most %v", took, tc.atMost)
			}
			if text := bridge.stderr.String(); strings.Contains(text, "goroutine ") || strings.Contains(text, "Usage:") {
				t.Errorf("a stack trace or a usage text in\n%s", text)
			}
		})
	}
}

// Neither silence nor a stack trace: whoever starts the bridge too early, or with a wrong address, sees it.
func TestUnreachableBrokerIsVisible(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	config := writeFile(t, strings.Replace(goodConfig, "[localhost:9092]", "["+nobody+"], start_timeout: 1s", 1)+"admin: {listen: ''}\n")
	bridge := startProcess(t, "run", "-c", config)
	code := bridge.wait(t)
	text := strings.TrimSpace(bridge.stderr.String())
	last := text[strings.LastIndexByte(text, '\n')+1:]
	if code != exitFailure || !strings.HasPrefix(last, "inlong-bridge: ") || !strings.Contains(last, nobody) ||
		!strings.Contains(last, "check host and port") || strings.Contains(text, "goroutine ") {
		t.Errorf("exit %d, want 1 and a sentence with the remedy at the end of\n%s", code, text)
	}
}

// The brokers may come later. The probes and the log say what the bridge waits for, and a signal ends the wait.
func TestStartThatWaitsIsVisibleAndEndsWithASignal(t *testing.T) {
	var free [2]string
	for i := range free {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free[i] = l.Addr().String()
		l.Close()
	}
	nobody, admin := free[0], free[1]
	config := writeFile(t, strings.Replace(goodConfig, "localhost:9092", nobody, 1)+"admin: {listen: '"+admin+"'}\n")
	bridge := startProcess(t, "run", "-c", config)
	get := func(path string) (code int, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	deadline := time.Now().Add(waitLimit)
	for {
		code, body := get("/readyz")
		if code == http.StatusServiceUnavailable && strings.Contains(body, "nothing listens at "+nobody) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz: %d %s", code, body)
		}
		<-time.After(20 * time.Millisecond)
	}
	if code, body := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, body)
	}
	bridge.signal(t, syscall.SIGTERM)
	if code := bridge.wait(t); code != exitClean {
		t.Errorf("exit %d, want 0: nothing was moved", code)
	}
	if text := bridge.stderr.String(); strings.Count(text, "the start waits") != 1 {
		t.Errorf("want one line that says that the start waits in\n%s", text)
	}
}

// Behind HTTP_PROXY another server answers for a Manager that it cannot reach.
func TestHTTPProxyInForceIsNamedInTheManagersErrors(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	src := startSource(t)
	src.produce(t, 0, 1)
	text, err := os.ReadFile(src.bridgeConfig(t, []string{"dp:1"}, ""))
	if err != nil {
		t.Fatal(err)
	}
	config := strings.Replace(string(text), "proxies: [dp:1]", "manager: {urls: ['http://manager.invalid:8083/inlong/manager/openapi/dataproxy/getIpList']}", 1)
	bridge := startProcess(t, "run", "-c", writeFile(t, config))
	bridge.stderr.waitFor(t, func(s string) bool {
		return strings.Contains(s, "at http://manager.invalid:8083 through the HTTP proxy "+proxy.URL+": status 502") && strings.Contains(s, "NO_PROXY")
	})
	if s := bridge.stderr.String(); !strings.Contains(s, "is cut to its base http://manager.invalid:8083") {
		t.Errorf("the start does not tell the note:\n%s", s)
	}
}

func TestMigrateClosesItsBooks(t *testing.T) {
	src := startSource(t)
	src.produce(t, 0, 3000)
	_, proxies, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0",
		"--queue", "kafka://"+src.brokers+"/queue.{group}.{stream}", "--queue-delay", "10ms")
	config := src.bridgeConfig(t, proxies, src.queueSection())
	code, stdout, stderr := invoke(t, "migrate", "-c", config, "--json")
	if code != exitClean {
		t.Fatalf("exit %d, stderr:\n%s", code, stderr)
	}
	var v struct {
		Closed     bool
		Partitions []struct{ Start, End, Final, Committed int64 }
	}
	last := strings.TrimSpace(stdout[strings.LastIndexByte(strings.TrimSpace(stdout), '\n')+1:])
	if err := json.Unmarshal([]byte(last), &v); err != nil {
		t.Fatalf("%v in %q", err, last)
	}
	var final int64
	for _, p := range v.Partitions {
		final += p.Final
	}
	if !v.Closed || len(v.Partitions) != 3 || final != 3000 {
		t.Errorf("report %s, want 3 closed partitions with 3000 final records", last)
	}
	if code, stdout, stderr = invoke(t, "migrate", "-c", config); code != exitClean || strings.Count(stdout, "closed: committed up to its end before") != 3 ||
		!strings.HasSuffix(stdout, "3 of 3 partitions closed; 3000 final, 0 skipped, 0 gap, 0 lost, 0 dead-lettered, 0 skipped by hand\n") {
		t.Errorf("again: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, stdout, stderr = invoke(t, "ledger", "-c", config); code != exitClean ||
		!strings.HasSuffix(stdout, "3 of 3 partitions closed; 3000 final, 0 skipped, 0 gap, 0 lost, 0 dead-lettered, 0 skipped by hand\n") {
		t.Errorf("ledger: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	other := writeFile(t, strings.Replace(string(text), "group: bridge", "group: other", 1))
	if code, _, stderr = invoke(t, "ledger", "-c", other); code != exitUnfinished || !strings.Contains(stderr, "has no commit in kafka at") {
		t.Errorf("ledger of a group without commits: exit %d, stderr %q", code, stderr)
	}
}

func TestDevproxyEndsCleanlyOnSignals(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := startProcess(t, "devproxy", "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0")
		p.stderr.waitFor(t, func(text string) bool { return strings.Contains(text, "manager  http://") })
		p.signal(t, s)
		if code := p.wait(t); code != exitClean {
			t.Errorf("%v: exit %d, want 0", s, code)
		}
	}
}

func TestMigrateInModeAckIsUnproven(t *testing.T) {
	src := startSource(t)
	src.produce(t, 0, 100)
	_, proxies, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0")
	code, stdout, stderr := invoke(t, "migrate", "-c", src.bridgeConfig(t, proxies, "delivery: {confirm: ack}\n"))
	if code != exitUnproven || !strings.Contains(stdout, "\nUNPROVEN (ack: acks only") {
		t.Errorf("exit %d, stdout %q, stderr %q; want 5 and a last line that names the mode", code, stdout, stderr)
	}
}

// The demo itself, small: what must lose does, and what must not does not.
func TestDemoLosesWithAckAndNotWithQueue(t *testing.T) {
	for _, tc := range []struct {
		confirm string
		code    int
	}{
		{"queue", exitClean},
		{"ack", exitLost},
	} {
		t.Run(tc.confirm, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr lines
			err := runDemo(t.Context(), &env{hard: t.Context(), stdout: &stdout, stderr: &stderr}, &demoFlags{
				json: true, records: 20_000, seed: 1, confirm: tc.confirm, settle: 10 * time.Second, lossGrace: time.Second,
			})
			code := exitClean
			if err != nil {
				code = exitCode(err)
			}
			var v demoReport
			if err := json.Unmarshal([]byte(stdout.String()), &v); err != nil {
				t.Fatalf("%v in %q, stderr:\n%s", err, &stdout, &stderr)
			}
			lost := v.Lost > 0
			if code != tc.code || lost != (tc.code != exitClean) || v.Corrupt != 0 || v.Produced != 20000 || v.Killed == 0 {
				t.Errorf("exit %d, %v, report %s, stderr:\n%s", code, err, &stdout, &stderr)
			}
		})
	}
}
