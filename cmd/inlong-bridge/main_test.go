package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
	"inlong-bridge/sdk/dptest/leaktest"
	"inlong-bridge/sdk/signal"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain lets the test binary stand in for the command, for tests of signals and real exit codes.
func TestMain(m *testing.M) {
	if os.Getenv("INLONG_BRIDGE_TEST_MAIN") != "" {
		main()
		return
	}
	leaktest.Main(m)
}

// run is one invocation.
func run(soft, hard context.Context, args []string, stdout, stderr io.Writer) int {
	return runWith(soft, hard, args, stdout, &lastWords{stderr: stderr})
}

// lines is a writer that can be read while a command runs.
type lines struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	grew signal.Broadcast // by each write
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.grew.Wake()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// waitFor waits until ok says so of everything written so far.
func (l *lines) waitFor(t *testing.T, ok func(text string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	for {
		grew, text := l.grew.Next(), l.String()
		if ok(text) {
			return text
		}
		select {
		case <-grew:
		case <-ctx.Done():
			t.Fatalf("waiting for output, have:\n%s", text)
		}
	}
}

// invoke runs a command to its end.
func invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut lines
	code = run(t.Context(), t.Context(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

// goodConfig is a configuration without mistakes.
const goodConfig = `
kafka: {brokers: [localhost:9092], group: bridge}
inlong: {proxies: [localhost:46801]}
routes:
  - {topics: orders, group: shop, stream: orders}
  - {topics: 'logs\.(?P<app>[a-z]+)', exclude: logs.test, group: logs, stream: '{app}'}
  - {topics: events, group: events, stream: '{header:type}'}
`

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHelpTexts(t *testing.T) {
	for _, command := range []string{"", "run", "migrate", "requeue", "ledger", "decode", "demo", "devproxy", "check", "explain", "offsets", "health", "version"} {
		name := command
		args := []string{command, "--help"}
		if command == "" {
			name, args = "inlong-bridge", []string{"--help"}
		}
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := invoke(t, args...)
			if code != exitClean || stderr != "" {
				t.Errorf("exit %d, stderr %q, want 0 and nothing", code, stderr)
			}
			if !strings.Contains(stdout, "Examples:\n  inlong-bridge ") {
				t.Error("there is no example")
			}
			golden := filepath.Join("testdata", "help", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if stdout != string(want) {
				t.Errorf("help differs from %s (go test -update writes it):\n%s", golden, stdout)
			}
		})
	}
}

func TestBadUsageIsOneSentenceAndExit2(t *testing.T) {
	good := writeFile(t, goodConfig)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"rum"}, `unknown command "rum"; hint: did you mean run?`},
		{[]string{"nonsense"}, `unknown command "nonsense"; hint: see inlong-bridge --help`},
		{[]string{"run", "--confg", "x"}, "unknown flag: --confg; hint: see inlong-bridge run --help"},
		{[]string{"run"}, "no configuration given; hint: inlong-bridge run -c bridge.yaml"},
		{[]string{"run", "bridge.yaml"}, `wrong arguments ["bridge.yaml"]; hint: the form is inlong-bridge run -c FILE [flags]`},
		{[]string{"check", "-c", "/does/not/exist"}, "reading configuration /does/not/exist: no such file; hint: name the configuration file with -c"},
		{[]string{"check", "-c", os.TempDir()}, "reading configuration " + os.TempDir() + ": it is a directory; hint: name a file in it with -c"},
		{[]string{"explain", "-c", good}, "wrong arguments []; hint: the form is inlong-bridge explain -c FILE TOPIC [flags]"},
		{[]string{"explain", "-c", good, "t", "--header", "x"}, `--header "x": want name=value`},
		{[]string{"decode"}, "nothing to decode; hint: name a queue with -c, --brokers or --pulsar, or give a FILE, - or --hex"},
		{[]string{"decode", "-c", good, "--brokers", "x:1", "--topic", "t"}, "more than one of -c, --brokers, --pulsar, --hex and FILE; hint: give one of them"},
		{[]string{"decode", "--brokers", "x:1", "--group", "g"}, "no topic; hint: give --topic, or --group and --stream"},
		{[]string{"decode", "--brokers", "x:1", "--topic", "t", "--from", "soon"}, `--from "soon": want an offset (1234, or ledger:entry for Pulsar), a time such as 2026-01-02T15:04:05Z, or a duration before now such as 15m`},
		{[]string{"decode", "--brokers", "x:1", "--topic", "t", "--grep", "("}, "--grep \"(\": error parsing regexp: missing closing ): `(`"},
		{[]string{"decode", "--brokers", "x:1", "--topic", "t", "--count", "--grep", "x"}, "--count together with --grep; hint: --grep shows the records, and wc -l counts them"},
		{[]string{"demo", "--confirm", "maybe"}, `--confirm "maybe": want ack, settle or queue`},
		{[]string{"demo", "--records", "5"}, "--records 5: want 1000 to 50000000"},
		{[]string{"demo", "--settle", "1ms"}, "--settle 1ms: want 1s to 1h"},
		{[]string{"devproxy", "--proxies", "0"}, "--proxies 0: want at least 1"},
		{[]string{"devproxy", "--listen", "a:1", "--listen", "b:2", "--proxies", "2"}, "--proxies together with several --listen; hint: repeat --listen for each proxy, or give the first port only"},
		{[]string{"devproxy", "--listen", "46801"}, `--listen "46801": want host:port`},
		{[]string{"devproxy", "--listen", "a:65535", "--proxies", "2"}, `--listen "a:65535" with --proxies 2: ports end at 65535`},
		{[]string{"devproxy", "--manager", "x"}, `--manager "x": want host:port`},
		{[]string{"devproxy", "--out-at", "disk"}, `--out-at "disk": want queue or ack`},
		{[]string{"devproxy", "--error-code", "114"}, `--error-code "114": want code:share, such as 114:0.01, with a share above 0 and up to 1`},
		{[]string{"devproxy", "--error-code", "114:2"}, `--error-code "114:2": want code:share, such as 114:0.01, with a share above 0 and up to 1`},
		{[]string{"devproxy", "--queue", "pulsar://x"}, `--queue "pulsar://x": "x" is not host:port`},
		{[]string{"devproxy", "--queue", "tube://x:1"}, `--queue "tube://x:1": want kafka://host:port[,host:port][/topic] or pulsar://host:port[,host:port][/tenant/namespace[/topic]]`},
		{[]string{"devproxy", "--queue", "pulsar://x:1/tenant"}, `--queue "pulsar://x:1/tenant": want kafka://host:port[,host:port][/topic] or pulsar://host:port[,host:port][/tenant/namespace[/topic]]`},
		{[]string{"devproxy", "--queue", "pulsar://x:1", "--queue", "kafka://x:1"}, `--queue "kafka://x:1": a DataProxy writes to clusters of one kind`},
		{[]string{"devproxy", "--queue", "kafka://x"}, `--queue "kafka://x": "x" is not host:port`},
		{[]string{"devproxy", "--kill-every", "-1s"}, "--ack-delay, --kill-every and --queue-delay may not be negative"},
	} {
		if !config.HasPulsar && strings.Contains(strings.Join(tc.args, " "), "pulsar://x") {
			continue // refused for another reason: see TestNoPulsarBehindDemoAndDevproxy
		}
		code, stdout, stderr := invoke(t, tc.args...)
		if want := "inlong-bridge: " + tc.want + "\n"; code != exitUsage || stderr != want || stdout != "" {
			t.Errorf("%q: exit %d, stdout %q, stderr %q, want exit 2, %q", tc.args, code, stdout, stderr, want)
		}
	}
}

func TestNoCommandShowsHelpOnStderrAndExit2(t *testing.T) {
	code, stdout, stderr := invoke(t)
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, "Available Commands:") ||
		!strings.HasSuffix(stderr, "inlong-bridge: no command given\n") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{usagef("x"), exitUsage},
		{fmt.Errorf("running: %w", connector.ErrUnfinished), exitUnfinished},
		{io.ErrUnexpectedEOF, exitFailure},
		{migrateError(connector.Report{Result: connector.Pass}, nil), exitClean},
		{migrateError(connector.Report{Result: connector.Unfinished}, nil), exitUnfinished},
		{migrateError(connector.Report{Result: connector.Unfinished}, connector.ErrUnfinished), exitUnfinished},
		{migrateError(connector.Report{Result: connector.Unproven}, nil), exitUnproven},
		{migrateError(connector.Report{Result: connector.Fail}, nil), exitLost},
		{migrateError(connector.Report{Result: connector.Fail}, connector.ErrUnfinished), exitLost}, // 4 before 3
		{migrateError(connector.Report{Result: connector.Fail}, io.ErrUnexpectedEOF), exitFailure},  // 1 before 4
	} {
		got := exitClean
		if tc.err != nil {
			got = exitCode(tc.err)
		}
		if got != tc.want {
			t.Errorf("exitCode(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestVersionNamesCommitAndGo(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	defer func(d string) { date = d }(date)
	version, commit, date = "v1.2.3", "0123456789ab", "2026-01-02T03:04:05Z"
	code, stdout, _ := invoke(t, "version")
	if code != 0 || !strings.Contains(stdout, "inlong-bridge v1.2.3\n") ||
		!strings.Contains(stdout, "commit        0123456789ab\n") || !strings.Contains(stdout, "date          2026-01-02T03:04:05Z\n") || !strings.Contains(stdout, "go            go1.") {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
	if code, stdout, _ = invoke(t, "--version"); code != 0 || stdout != "inlong-bridge version v1.2.3\n" {
		t.Errorf("--version: exit %d, stdout %q", code, stdout)
	}
	version, commit, date = "", "", ""
	if _, stdout, _ = invoke(t, "version"); strings.Contains(stdout, "inlong-bridge \n") || strings.Contains(stdout, "commit        \n") {
		t.Errorf("without linker flags: %q", stdout)
	}
}

func TestCheckReportsAllMistakesWithLines(t *testing.T) {
	path := writeFile(t, `kafka: {broker: [localhost:9092], group: bridge}
inlong: {proxies: [localhost]}
routes:
  - {topics: orders, group: 'a&b', stream: orders}
delivery: {confirm: quue}
pack: {linger: 20}
`)
	code, stdout, stderr := invoke(t, "check", "-c", path)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit %d, stdout %q, want 2 and nothing", code, stdout)
	}
	for line := 1; line <= 6; line++ {
		if at := fmt.Sprintf("%s:%d: ", path, line); line != 3 && !strings.Contains(stderr, at) {
			t.Errorf("no mistake of line %d in\n%s", line, stderr)
		}
	}
	for _, want := range []string{"did you mean", "mistakes in the configuration\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
}

func TestCheckTellsTheNotes(t *testing.T) {
	text := strings.Replace(goodConfig, "{proxies: [localhost:46801]}", "{cache_dir: /c, manager: {urls: [https://m:1/inlong/manager/openapi/dataproxy/getIpList]}}", 1)
	code, stdout, stderr := invoke(t, "check", "-c", writeFile(t, strings.Replace(text, "topics: events", "topics: 'events-*'", 1)))
	const want = `note: inlong.manager.urls (line 3): https://m:1/inlong/manager/openapi/dataproxy/getIpList is cut to its base https://m:1; the bridge adds the Manager's paths itself
note: routes (line 7): rule 3: "events-*" is a regular expression whose star repeats the "-" before it; write .* to match any text
`
	if code != exitClean || !strings.HasSuffix(stdout, ": ok, confirm: settle, because there is no queue section\n"+want) || stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q, want 0 and\n%s", code, stdout, stderr, want)
	}
}

func TestCheckSaysWhichModeIsInForce(t *testing.T) {
	path := writeFile(t, goodConfig)
	code, stdout, stderr := invoke(t, "check", "-c", path)
	if code != exitClean || !strings.HasPrefix(stdout, path+": ok, confirm: settle, ") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	// What is allowed and worth knowing is said without --print too.
	code, stdout, _ = invoke(t, "check", "-c", writeFile(t, goodConfig+"delivery: {confirm: ack}\n"))
	if code != exitClean || !strings.Contains(stdout, "\nnote: delivery.confirm is ack: a proxy that dies loses the records that it holds in memory\n") {
		t.Errorf("confirm: ack: exit %d, stdout %q", code, stdout)
	}
	code, stdout, _ = invoke(t, "check", "-c", path, "--print")
	if code != exitClean || !strings.Contains(stdout, "settle") || !strings.Contains(stdout, "ack_timeout: 15s") {
		t.Errorf("--print: exit %d, stdout %q", code, stdout)
	}
}

func TestExplain(t *testing.T) {
	path := writeFile(t, goodConfig)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"orders"}, "result  group shop, stream orders\n"},
		{[]string{"logs.web"}, "result  group logs, stream web\n"},
		{[]string{"logs.test"}, `excluded by "logs.test"`},
		{[]string{"events", "--header", "type=a=b"}, `stream "a=b": '=' is not allowed in an id`},
		{[]string{"events", "--header", "type=created"}, "result  group events, stream created\n"},
		{[]string{"events", "--key", "k"}, `the record has no header "type"`},
		{[]string{"nothing"}, "result  not consumed: no rule matches\n"},
	} {
		code, stdout, stderr := invoke(t, append([]string{"explain", "-c", path}, tc.args...)...)
		if code != exitClean || !strings.Contains(stdout, tc.want) {
			t.Errorf("%q: exit %d, stdout %q, stderr %q, want %q", tc.args, code, stdout, stderr, tc.want)
		}
	}
}

func TestExplainTellsWhatIsLeftOut(t *testing.T) {
	path := writeFile(t, `kafka: {brokers: [k1:9092], group: g}
inlong: {proxies: [dp1:46801]}
routes: [{topics: ['.*'], group: g, stream: '{topic}'}]
queue: {kafka: [{brokers: [k1:9092]}]}
`)
	for topic, want := range map[string]string{
		"g.orders": "not consumed, because the bridge writes this topic",
		"_schemas": "does not apply to it: _schemas belongs to the schema registry",
		"orders":   "result  group g, stream orders\n",
	} {
		code, stdout, stderr := invoke(t, "explain", "-c", path, topic)
		if code != exitClean || !strings.Contains(stdout, want) || strings.Contains(stdout, "left out") != strings.Contains(want, "left out") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q, want %q", topic, code, stdout, stderr, want)
		}
	}
}
