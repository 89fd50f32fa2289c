package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
)

// jsonLines parses a text in which each line must be an object.
func jsonLines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Errorf("%v in line %q", err, line)
		}
		all = append(all, one)
	}
	return all
}

// JSON has a duration as a number of nanoseconds unless it is told otherwise, and nothing says so.
func TestLogHasDurationsWithUnitsAndOneKeyForErrors(t *testing.T) {
	for format, want := range map[string]string{
		"json": `"took":"1.5s","in":{"every":"250ms","n":3},"err":"late","error_code":7}`,
		"text": `took=1.5s in.every=250ms in.n=3 err=late error_code=7`,
	} {
		var out lines
		newLogger(config.Log{Level: "info", Format: format}, &out).With("took", 1500*time.Millisecond).
			Info("x", slog.Group("in", "every", 250*time.Millisecond, "n", 3),
				slog.Any("error", errors.New("late")), //nolint:sloglint // as a library has it
				slog.Int("error_code", 7))
		if got := out.String(); !strings.HasSuffix(got, want+"\n") {
			t.Errorf("%s: %q, want it to end with %q", format, got, want)
		}
	}
}

// Whoever collects a log in JSON saw everything but why the process ended.
func TestLastLineOfAFailedStartIsInTheFormOfTheLog(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, command := range []string{"run", "migrate"} {
		for _, format := range []string{"text", "json"} {
			path := writeFile(t, goodConfig+fmt.Sprintf("admin: {listen: '%s'}\nlog: {format: %s}\n", l.Addr(), format))
			code, stdout, stderr := invoke(t, command, "-c", path)
			if code != exitFailure || stdout != "" || !strings.Contains(stderr, "another process has the port") {
				t.Errorf("%s in %s: exit %d, stdout %q, stderr %q", command, format, code, stdout, stderr)
			}
			if format == "text" {
				if !strings.HasPrefix(stderr, "inlong-bridge: listening on admin.listen") {
					t.Errorf("%s in text: %q", command, stderr)
				}
				continue
			}
			all := jsonLines(t, stderr)
			last := all[len(all)-1]
			if text, _ := last["err"].(string); last["level"] != "ERROR" || last["msg"] != "process ends with an error" || last["exit_code"] != 1.0 || !strings.HasPrefix(text, "listening on admin.listen") {
				t.Errorf("%s in json: last line %v", command, last)
			}
		}
	}
}

func TestLinesOfTheStandardLoggerAreInTheFormOfTheLog(t *testing.T) {
	var out lines
	(&env{stderr: &out, last: &lastWords{stderr: &out}}).startLog(config.Log{Level: "info", Format: "json"})
	log.Print("http: something odd")
	if all := jsonLines(t, out.String()); len(all) != 1 || all[0]["msg"] != "http: something odd" {
		t.Errorf("got %v", all)
	}
}

func TestProgressBesideALogInJSONIsALineOfTheLog(t *testing.T) {
	var out lines
	m := &migrateProgress{log: newLogger(config.Log{Format: "json"}, &out), start: time.Now()}
	for range 3 {
		m.show(connector.Progress{Moved: 5, Offsets: 10, Done: 1, Partitions: 2, Reason: "no proxy is reachable"})
	}
	all := jsonLines(t, out.String())
	if len(all) != 1 || all[0]["offsets_safe"] != 5.0 || all[0]["offsets"] != 10.0 || all[0]["partitions_done"] != 1.0 || all[0]["waiting"] != "no proxy is reachable" {
		t.Errorf("got %v, want one line until the next is due", all)
	}
}

// A whole life, with a drain that a second signal cuts short: no line of it is in another form.
func TestEveryLineOfALogInJSONIsJSON(t *testing.T) {
	t.Parallel()
	src := startSource(t)
	src.produce(t, 0, 100)
	_, proxies, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--queue-delay", "10ms",
		"--queue", "kafka://"+src.brokers+"/queue.{group}.{stream}")
	config := src.bridgeConfig(t, proxies, src.queueSection()+"\nlog: {level: debug, format: json}")
	migrate := startProcess(t, "migrate", "-c", config, "--json")
	if code := migrate.wait(t); code != exitClean {
		t.Errorf("migrate: exit %d", code)
	}
	all := jsonLines(t, migrate.stderr.String()) // with the report on standard output
	var progress bool
	for _, line := range all {
		progress = progress || line["msg"] == "migration progress"
		if line["took"] != nil {
			if _, ok := line["took"].(string); !ok {
				t.Errorf("a duration without a unit: %v", line)
			}
		}
	}
	if !progress {
		t.Error("no line of progress")
	}
}
