// Package grafana has only a test: that every panel of the dashboard shows something.
package grafana

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk/dptest"
)

const dashboardFile = "inlong-bridge.json"

// runFor is how long the bridge runs while Prometheus records it, and step how often it is scraped.
const (
	runFor = 75 * time.Second
	step   = time.Second
)

// empty are panels that show nothing in the run, and why.
var empty = map[string]string{
	"Another kind of queue": "only with queue.manager: true, which needs a Manager that names the queue",
}

// panel is what the test reads of one.
type panel struct {
	Type, Title, Description string
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Color string } }
		}
	}
	Targets []struct{ Expr string }
}

type dashboard struct {
	Templating struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
	Panels []panel
}

func read(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) == 0 {
		t.Fatal("the dashboard has no panel")
	}
	return d
}

func TestPanelsHaveUnitsAndThresholdsAndFollowTheVariables(t *testing.T) {
	d := read(t)
	names := make(map[string]bool)
	for _, v := range d.Templating.List {
		names[v.Name] = true
	}
	for _, name := range []string{"datasource", "namespace", "group", "instance", "topic"} {
		if !names[name] {
			t.Errorf("the dashboard has no variable %s", name)
		}
	}
	byTopic := regexp.MustCompile(`inlong_bridge_(partition_(?:position|lag|final|committed|oldest|stuck|stalled|retention)\w*|fetched\w*|skipped\w*|foreign\w*)\{([^}]*)\}`)
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		if p.FieldConfig.Defaults.Unit == "" || len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
			t.Errorf("%s: no unit or no thresholds", p.Title)
		}
		for _, target := range p.Targets {
			for _, selector := range regexp.MustCompile(`\{([^}]*)\}`).FindAllStringSubmatch(target.Expr, -1) {
				if !strings.Contains(selector[1], `namespace=~"$namespace"`) || !strings.Contains(selector[1], `instance=~"$instance"`) {
					t.Errorf("%s: %s does not follow namespace and replica", p.Title, selector[0])
				}
			}
			for _, m := range byTopic.FindAllStringSubmatch(target.Expr, -1) {
				if !strings.Contains(m[2], `topic=~"$topic"`) {
					t.Errorf("%s: %s does not follow the topic", p.Title, m[1])
				}
			}
		}
	}
}

// TestPanelsShowSomethingOverARun records a bridge with a real Prometheus, while proxies are killed, freeze and refuse, a
// partition stops and Kafka is read over TLS; then each expression of the dashboard must return series, and each alert must
// be evaluated without an error.
func TestPanelsShowSomethingOverARun(t *testing.T) {
	prometheus, err := exec.LookPath("../../bin/prometheus/prometheus")
	if err != nil || os.Getenv("INLONG_BRIDGE_DASHBOARD") == "" {
		t.Skip("needs a minute and Prometheus; make dashboard-check runs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	w := newWorld(t)
	target := w.start(ctx)
	server := startPrometheus(ctx, t, prometheus, target)
	began := time.Now()
	w.play(ctx)
	ended := time.Now()

	d := read(t)
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			server.checkVariable(ctx, t, v.Name, v.Query)
		}
	}
	seen := make(map[string]bool)
	fmt.Printf("%-45s %s\n", "panel", "series of each expression")
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		seen[p.Title] = true
		total := 0
		var counts []string
		for _, target := range p.Targets {
			n := server.series(ctx, t, p.Title, target.Expr, began, ended)
			total += n
			counts = append(counts, strconv.Itoa(n))
		}
		why, expected := empty[p.Title]
		fmt.Printf("%-45s %s %s\n", p.Title, strings.Join(counts, " "), why)
		switch {
		case total == 0 && !expected:
			t.Errorf("the panel %q shows nothing", p.Title)
		case total > 0 && expected:
			t.Errorf("the panel %q shows something; it needs no exception", p.Title)
		}
	}
	for title := range empty {
		if !seen[title] {
			t.Errorf("there is no panel %q", title)
		}
	}
	server.checkRules(ctx, t)
}

// world is a Kafka, two proxies, the queue behind them, and a bridge.
type world struct {
	t             *testing.T
	source, queue *kfake.Cluster
	cl            *kgo.Client
	proxies       []*dptest.Proxy
	ca            string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ca: filepath.Join(t.TempDir(), "ca.crt")}
	secure, roots := authority(t, w.ca)
	var err error
	if w.source, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(secure), kfake.SeedTopics(4, "orders", "logs"), kfake.SeedTopics(1, "broken")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.source.Close)
	if w.queue, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "shop.orders", "logs.web", "logs.api")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.queue.Close)
	if w.cl, err = kgo.NewClient(kgo.SeedBrokers(w.source.ListenAddrs()...), kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cl.Close)
	retention := "7200000"
	if _, err := kadm.NewClient(w.cl).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &retention}}, "orders", "logs", "broken"); err != nil {
		t.Fatal(err)
	}
	q, err := kafkahandler.New(kafkahandler.Cluster{Opts: []kgo.Opt{kgo.SeedBrokers(w.queue.ListenAddrs()...)}, Topic: "{group}.{stream}"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	for range 2 {
		p, err := dptest.NewProxy(q, dptest.WithQueueDelay(300*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		w.proxies = append(w.proxies, p)
	}
	return w
}

// authority writes a certificate that stands for itself, and returns a server's configuration with it.
func authority(t *testing.T, file string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, roots
}

// start runs the bridge and returns the address of its admin server.
func (w *world) start(ctx context.Context) string {
	w.t.Helper()
	text := fmt.Sprintf(`kafka: {brokers: [%s], group: bridge, tls: {ca_file: %s}}
inlong: {proxies: [%s, %s]}
routes:
  - {topics: orders, group: shop, stream: orders}
  - {topics: logs, group: logs, stream: '{header:service}', unmatched: skip}
  - {topics: broken, group: logs, stream: '{header:service}'}
delivery: {watchdog: 3s, ack_timeout: 5s}
queue: {kafka: [{brokers: [%s]}], loss_grace: 500ms}
memory: {budget: 64MiB}
admin: {listen: '127.0.0.1:0'}
`, w.source.ListenAddrs()[0], w.ca, w.proxies[0].Addr(), w.proxies[1].Addr(), w.queue.ListenAddrs()[0])
	c, err := config.Parse("test.yaml", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		w.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(w.t.TempDir(), "bridge.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if data, err := os.ReadFile(log.Name()); err == nil && w.t.Failed() {
			w.t.Logf("the bridge's log:\n%s", data)
		}
		_ = log.Close()
	})
	b, err := connector.New(c, connector.Deps{Log: slog.New(slog.NewTextHandler(log, nil)), Version: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	hard, stopNow := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- b.Run(run, hard) }()
	w.t.Cleanup(func() {
		stop()
		stopNow()
		if err := <-done; err != nil && !errors.Is(err, connector.ErrUnfinished) {
			w.t.Errorf("the bridge ended with %v", err)
		}
	})
	select {
	case <-b.Ready():
	case <-ctx.Done():
		w.t.Fatal("the bridge does not start")
	}
	return b.AdminAddr()
}

// play produces for the time of the run, with trouble in between.
func (w *world) play(ctx context.Context) {
	trouble := map[int]func(){
		16: func() { w.produce(ctx, "broken", "", 1) }, // no service: the partition stops
		12: func() { w.proxies[0].Code(114, 0.1) },
		18: func() { w.proxies[0].Code(114, 0) },
		20: func() { w.proxies[0].Kill() },
		24: func() {
			if err := w.proxies[0].Restart(); err != nil {
				w.t.Error(err)
			}
		},
		32: func() { w.freeze(true) },
		46: func() { w.freeze(false) },
	}
	services := []string{"web", "api", ""}
	tick := time.NewTicker(step / 4)
	defer tick.Stop()
	began, last := time.Now(), -1
	for i := 0; time.Since(began) < runFor; i++ {
		select {
		case <-ctx.Done():
			w.t.Fatal("the run takes too long")
		case <-tick.C:
		}
		w.produce(ctx, "orders", "", 200)
		w.produce(ctx, "logs", services[i%len(services)], 50)
		for second := int(time.Since(began) / time.Second); last < second; {
			if last++; trouble[last] != nil {
				trouble[last]()
			}
		}
	}
}

func (w *world) freeze(on bool) {
	for _, p := range w.proxies {
		p.Freeze(on)
	}
}

func (w *world) produce(ctx context.Context, topic, service string, n int) {
	w.t.Helper()
	var recs []*kgo.Record
	for i := range n {
		r := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"n": %d, "of": %d, "text": "a record that shrinks when it is compressed"}`, i, n)}
		if service != "" {
			r.Headers = []kgo.RecordHeader{{Key: "service", Value: []byte(service)}}
		}
		recs = append(recs, r)
	}
	if err := w.cl.ProduceSync(ctx, recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// server is a running Prometheus.
type server struct{ base string }

func startPrometheus(ctx context.Context, t *testing.T, command, target string) server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("../alerts/inlong-bridge.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`global: {scrape_interval: %[1]v, scrape_timeout: %[1]v, evaluation_interval: 5s}
rule_files: [%[2]s]
scrape_configs:
  - job_name: bridge
    static_configs: [{targets: ['%[3]s'], labels: {namespace: data}}]
`, step, rules, target)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	cmd := exec.CommandContext(ctx, command, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr, "--log.level=warn")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := server{"http://" + addr}
	for {
		if err := s.get(ctx, "/-/ready", nil, nil); err == nil {
			return s
		}
		select {
		case <-ctx.Done():
			t.Fatal("Prometheus does not start")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// get asks Prometheus; out may be nil.
func (s server) get(ctx context.Context, path string, query url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// asked is an expression as Grafana sends it with all variables at All.
func asked(expr string) string {
	return strings.NewReplacer("$__rate_interval", "10s", "$__range", "75s", "$namespace", ".*", "$group", ".*", "$instance", ".*", "$topic", ".*").Replace(expr)
}

// series returns how many series an expression has with a number at any time of the run.
func (s server) series(ctx context.Context, t *testing.T, title, expr string, began, ended time.Time) int {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Values [][2]any } }
	}
	query := url.Values{"query": {asked(expr)}, "start": {strconv.FormatInt(began.Unix(), 10)}, "end": {strconv.FormatInt(ended.Unix(), 10)}, "step": {"1"}}
	if err := s.get(ctx, "/api/v1/query_range", query, &answer); err != nil {
		t.Errorf("%s: %s: %v", title, expr, err)
		return 0
	}
	n := 0
	for _, r := range answer.Data.Result {
		for _, v := range r.Values {
			text, _ := v[1].(string)
			if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
				n++
				break
			}
		}
	}
	return n
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

// checkVariable asks for the values of a variable as Grafana does.
func (s server) checkVariable(ctx context.Context, t *testing.T, name string, raw json.RawMessage) {
	t.Helper()
	var query struct{ Query string }
	if err := json.Unmarshal(raw, &query); err != nil {
		t.Fatal(err)
	}
	m := labelValues.FindStringSubmatch(query.Query)
	if m == nil {
		t.Errorf("the variable %s is no label_values(series, label): %s", name, query.Query)
		return
	}
	var answer struct{ Data []string }
	if err := s.get(ctx, "/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {asked(m[1])}}, &answer); err != nil {
		t.Errorf("the variable %s: %v", name, err)
	} else if len(answer.Data) == 0 {
		t.Errorf("the variable %s has no values", name)
	}
}

// checkRules wants every rule to be evaluated without an error.
func (s server) checkRules(ctx context.Context, t *testing.T) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	if err := s.get(ctx, "/api/v1/rules", nil, &answer); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health != "ok" {
				t.Errorf("the alert %s is %s: %s", r.Name, r.Health, r.LastError)
			}
			if r.State != "inactive" {
				fmt.Printf("alert %s is %s\n", r.Name, r.State)
			}
		}
	}
	if n == 0 {
		t.Error("Prometheus has no rule")
	}
}
