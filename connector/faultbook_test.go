package connector

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

var updateFaults = flag.Bool("update-faults", false, "rewrite testdata/faults")

// A fault as a person on call meets it: what is injected, and then what /status, /readyz?strict=1, the log and the alerts say.
type faultCase struct {
	name   string
	code   reason.Code
	opts   []envOption
	routes string
	tune   func(e *env, c *config.Config)
	before func(e *env)
	after  func(e *env, r *running)
	scope  reason.Scope  // of the reason, where its code has several
	says   string        // in its sentence, where that comes to be only after a while
	down   bool          // /readyz says no too: the bridge itself is at fault, or told to stop
	also   []reason.Code // codes that may come with it; any other would be a wrong culprit
}

func noise(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x", uint64(i)*0x9e3779b97f4a7c15)
	}
	return b.Bytes()[:n]
}

func (e *env) everyProxy(f func(p *dptest.Proxy)) {
	for _, p := range e.proxies {
		f(p)
	}
}

func (e *env) createTopics(names ...string) {
	e.t.Helper()
	if _, err := e.adm.CreateTopics(e.t.Context(), 1, 1, nil, names...); err != nil {
		e.t.Fatal(err)
	}
}

func faultCases() []faultCase {
	ten := func(e *env) { e.produce("orders", 0, 0, 10, 0) }
	arrived := func(e *env, _ *running) { e.waitCommitted("orders", 0, 10) }
	then := func(fs ...func(e *env, r *running)) func(e *env, r *running) {
		return func(e *env, r *running) {
			for _, f := range fs {
				f(e, r)
			}
		}
	}
	more := func(e *env, _ *running) { e.produce("orders", 0, 10, 50, 0) }
	bothConnected := func(e *env, r *running) {
		eventually(e.t, 10*time.Second, func() error {
			for _, p := range r.b.Status().Sender.Endpoints {
				if p.Connections == 0 {
					return fmt.Errorf("proxy %s is not connected", p.Address)
				}
			}
			return nil
		})
	}
	byKey := "  - {topics: [orders], group: g, stream: '{key}'}\n"
	watchSoon := func(_ *env, c *config.Config) { c.Delivery.Watchdog = 400 * time.Millisecond }
	keyedRecord := func(e *env, key string, value []byte) {
		if err := e.cl.ProduceSync(e.t.Context(), &kgo.Record{Topic: "orders", Key: []byte(key), Value: value}).FirstErr(); err != nil {
			e.t.Fatal(err)
		}
	}
	one := []envOption{withPartitions(1)}
	return []faultCase{
		{name: "a record that no rule routes", code: reason.Unrouted, opts: one, routes: byKey, before: ten},
		{name: "a record that fits no frame", code: reason.TooLarge, opts: one, before: func(e *env) { keyedRecord(e, "k", noise(600<<10)) }},
		{name: "both proxies refuse by code", code: reason.Refused, opts: one, before: ten, tune: func(e *env, _ *config.Config) {
			e.everyProxy(func(p *dptest.Proxy) { p.Code(112, 1) })
		}},
		{name: "a record on which proxies close the connection", code: reason.Poison, opts: append([]envOption{withProxy(dptest.WithMaxFrame(64 << 10))}, one...),
			before: func(e *env) { keyedRecord(e, "k", noise(100<<10)) }, also: []reason.Code{reason.Endpoint, reason.NoProxy, reason.StreamStalled}},
		{name: "retention took undelivered offsets", code: reason.Gap, opts: one, before: func(e *env) {
			e.produce("orders", 0, 0, 100, 0)
			e.commitFor("orders", 0, 20)
			e.deleteBefore("orders", 0, 60)
		}},
		{name: "the log ends before the commit", code: reason.Truncated, opts: one, before: func(e *env) { ten(e); e.commitFor("orders", 0, 500) }},
		{name: "the topic was created again", code: reason.Recreated, opts: one, before: ten, after: then(arrived, func(e *env, _ *running) { e.createAgain("orders", 1) }),
			also: []reason.Code{reason.Fault, reason.Deleted}},
		{name: "no commit, and kafka.start is committed", code: reason.NoStart, opts: []envOption{withPartitions(2)}, before: func(e *env) { ten(e); e.commitFor("orders", 1, 0) },
			tune: func(_ *env, c *config.Config) { c.Kafka.Start = "committed" }},
		{name: "a copy of the own queue is among the sources", code: reason.Loop, opts: one, routes: "  - {topics: [orders, copy], group: g, stream: s}\n",
			before: func(e *env) { e.createTopics("copy"); ten(e) },
			after:  then(arrived, func(e *env, _ *running) { e.write("copy", e.read(queueTopic)) })},
		{name: "one stream too many", code: reason.TooManyStreams, opts: one, routes: byKey, tune: func(_ *env, c *config.Config) { c.InLong.MaxStreams = 2; c.Delivery.Confirm = "ack" },
			before: func(e *env) {
				for _, k := range []string{"a", "b", "c"} {
					keyedRecord(e, k, []byte("v"))
				}
			}},
		{name: "the broker answers with an error for a partition", code: reason.Fault, says: "fetching", opts: one, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.answerFetches(kerr.TopicAuthorizationFailed)
		}, more)},
		{name: "the broker returns no records", code: reason.NotFetched, opts: one, tune: watchSoon, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				e.kafka.KeepControl()
				<-time.After(5 * time.Millisecond) // or the client asks all the time
				return req.ResponseKind(), nil, true
			})
		}, more)},
		{name: "a transaction stays open", code: reason.Transaction, opts: one, tune: func(_ *env, c *config.Config) {
			c.Delivery.Watchdog, c.Kafka.Isolation = 400*time.Millisecond, "read_committed"
		}, before: func(e *env) {
			txn, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("orders"))
			if err != nil {
				e.t.Fatal(err)
			}
			e.t.Cleanup(txn.Close)
			if err := txn.BeginTransaction(); err != nil {
				e.t.Fatal(err)
			}
			if err := txn.ProduceSync(e.t.Context(), kgo.StringRecord("open")).FirstErr(); err != nil {
				e.t.Fatal(err)
			}
		}},
		{name: "commits are refused and pieces pile up", code: reason.MaxUnfinal, opts: one, before: ten, tune: func(_ *env, c *config.Config) {
			c.Delivery.MaxUnfinal, c.Pack.Count = 1000, 1
		}, after: then(arrived, func(e *env, _ *running) {
			e.refuseCommitsWith(kerr.GroupAuthorizationFailed, -1, new(atomic.Bool))
			for i := range 20 {
				e.produce("orders", 0, 10+100*i, 100, 0)
				time.Sleep(30 * time.Millisecond)
			}
		}), also: []reason.Code{reason.Commit}},
		{name: "commits are refused", code: reason.Commit, opts: one, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.refuseCommitsWith(kerr.GroupAuthorizationFailed, -1, new(atomic.Bool))
		}, more)},
		{name: "a stream is refused for now", code: reason.Refused, opts: one, routes: byKey, tune: watchSoon, before: func(e *env) {
			e.everyProxy(func(p *dptest.Proxy) { p.Code(120, 1) })
			keyedRecord(e, "s", []byte("v"))
		}, also: []reason.Code{reason.StreamStalled, reason.Endpoint}},
		{name: "a stream is unknown to the proxies", code: reason.UnknownStream, opts: one, tune: watchSoon, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.everyProxy(func(p *dptest.Proxy) { p.DenyStream("g", "s", true) })
		}, more)},
		{name: "the queue topic is another one", code: reason.NotInQueue, says: "is it the topic", opts: one, tune: func(e *env, c *config.Config) {
			e.createTopics("wrong.g.s")
			c.Queue.Kafka[0].Topic = "wrong.{group}.{stream}"
		}, before: func(e *env) { e.produce("orders", 0, 0, 400, 1000) }, also: []reason.Code{reason.NotSeen, reason.Reread, reason.StreamFull, reason.Overdue}},
		{name: "one proxy of two is down", code: reason.Endpoint, opts: one, before: ten, after: then(arrived, bothConnected, func(e *env, _ *running) { e.proxies[0].Kill() }, more),
			also: []reason.Code{reason.Reread}},
		{name: "no proxy is up", code: reason.NoProxy, opts: one, tune: watchSoon, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.everyProxy(func(p *dptest.Proxy) { p.Kill() })
		}, more), also: []reason.Code{reason.Endpoint}},
		{name: "the proxies are frozen", code: reason.NoAck, opts: one, tune: watchSoon, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.everyProxy(func(p *dptest.Proxy) { p.Freeze(true) })
		}, more)},
		{name: "the queue shows nothing", code: reason.NotSeen, opts: one, tune: watchSoon, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.stallQueues(true)
		}, more)},
		{name: "a queue cluster is silent", code: reason.Queue, opts: one, tune: func(_ *env, c *config.Config) {
			c.Delivery.Watchdog, c.Queue.Timeout = 400*time.Millisecond, time.Second
		}, before: ten, after: then(arrived, func(e *env, _ *running) {
			for _, key := range []kmsg.Key{kmsg.ListOffsets, kmsg.Metadata} {
				e.kafka.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
					e.kafka.KeepControl()
					return nil, io.ErrUnexpectedEOF, true
				})
			}
		}, more), also: []reason.Code{reason.Source, reason.Fault, reason.NotFetched}},
		{name: "the group session fails", code: reason.Rebalance, opts: one, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.kafka.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
				e.kafka.KeepControl()
				resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
				resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
				return resp, nil, true
			})
			e.kafka.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
				resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
				resp.ErrorCode = kerr.UnknownMemberID.Code
				return resp, nil, true
			})
		})},
		{name: "a topic that routes name is missing", code: reason.MissingTopics, opts: one, routes: "  - {topics: [orders, payments], group: g, stream: s}\n", before: ten},
		{name: "a pattern matches nothing", code: reason.Unmatched, opts: one, routes: "  - {topics: [orders, 'logs-*'], group: g, stream: s}\n", before: ten},
		{name: "a stream holds what is free", code: reason.StreamFull, opts: one, routes: byKey, tune: func(e *env, c *config.Config) {
			c.Memory.Budget.N = 4 << 20
			c.Memory.FetchBytes.Auto, c.Memory.FetchBytes.N = false, 1<<20
			c.Pack.Compression = "none"
			e.everyProxy(func(p *dptest.Proxy) { p.DenyStream("g", "s", true) })
		}, before: func(e *env) {
			for range 200 {
				keyedRecord(e, "s", noise(20<<10))
			}
		}, also: []reason.Code{reason.UnknownStream, reason.Budget}},
		{name: "the rate to the proxies is reached", code: reason.Rate, opts: one, tune: func(_ *env, c *config.Config) {
			c.Memory.Budget.N = 4 << 20
			c.Memory.FetchBytes.Auto, c.Memory.FetchBytes.N = false, 1<<20
			c.Pack.Compression = "none"
			c.Delivery.Confirm, c.Delivery.ProxyRate = "ack", config.Bytes{N: 512 << 10}
		}, before: func(e *env) {
			for range 400 {
				keyedRecord(e, "s", noise(20<<10))
			}
		}, also: []reason.Code{reason.Budget, reason.StreamFull}},
		{name: "the topic was deleted", code: reason.Deleted, opts: one, tune: func(e *env, c *config.Config) {
			e.tune, c.Kafka.MetadataMaxAge = soon(100*time.Millisecond), 100*time.Millisecond
		}, before: ten, after: then(arrived, func(e *env, r *running) { e.hide(kerr.UnknownTopicOrPartition); r.hurried() }),
			also: []reason.Code{reason.Fault, reason.MissingTopics}},
		{name: "the right to read a topic is taken away", code: reason.Fault, says: "right to read", opts: one, tune: func(e *env, c *config.Config) {
			e.tune, c.Kafka.MetadataMaxAge = soon(0), 100*time.Millisecond
		}, before: ten, after: then(arrived, func(e *env, r *running) { e.hide(kerr.TopicAuthorizationFailed); r.hurried() }),
			also: []reason.Code{reason.Commit, reason.Source}},
		{name: "the bridge is told to stop and something is not final", code: reason.Draining, opts: one, down: true, before: ten, after: then(arrived, func(e *env, _ *running) {
			e.stallQueues(true)
		}, more, func(e *env, r *running) {
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
			r.stop()
		})},
		{name: "pieces of all partitions reach the limit", code: reason.MaxUnfinal, scope: reason.Process, opts: []envOption{withPartitions(4)}, tune: func(e *env, c *config.Config) {
			c.Delivery.MaxUnfinal, c.Pack.Count = 100, 1
			e.stallQueues(true)
		}, before: func(e *env) {
			for p := range int32(4) {
				e.produce("orders", p, 0, 200, 0)
			}
		}},
	}
}

// answerFetches makes every fetch answer with an error for each of its partitions.
func (e *env) answerFetches(with *kerr.Error) {
	e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		in, resp := req.(*kmsg.FetchRequest), req.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range in.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.HighWatermark = p.Partition, with.Code, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

func TestEachFaultIsToldAsAPersonNeedsIt(t *testing.T) {
	alerts := readAlerts(t)
	seen := make(map[string]bool)
	for _, f := range faultCases() {
		file := strings.ReplaceAll(f.name, " ", "-") + ".golden"
		seen[file] = true
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			got := f.play(t, alerts)
			path := filepath.Join("testdata", "faults", file)
			if *updateFaults {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("told as\n%swant\n%s(go test -update-faults accepts it)", got, want)
			}
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "faults"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("testdata/faults/%s is of no fault", f.Name())
		}
	}
}

func (f *faultCase) is(c *Condition) bool {
	return c.Code == f.code && (f.scope == "" || c.Scope == f.scope) && strings.Contains(c.Sentence, f.says)
}

// play injects the fault and returns what is told of it.
func (f *faultCase) play(t *testing.T, alerts []alertRule) string {
	e := newEnv(t, f.opts...)
	if f.routes != "" {
		e.routes = f.routes
	}
	if f.before != nil {
		f.before(e)
	}
	c := e.config("queue")
	c.Delivery.Watchdog = 0
	if f.tune != nil {
		f.tune(e, c)
	}
	log := new(lines)
	r := e.startLogging(c, slog.New(slog.NewJSONHandler(log, nil)))
	if f.after != nil {
		f.after(e, r)
	}
	var s Status
	eventually(t, 40*time.Second, func() error {
		s = r.b.Status()
		for i := range s.Conditions {
			if c := &s.Conditions[i]; c.Code != f.code && !slices.Contains(f.also, c.Code) { // while it starts, a proxy is not connected yet
				return fmt.Errorf("a wrong culprit beside %s: %+v", f.code, c)
			}
		}
		if !slices.ContainsFunc(s.Conditions, func(c Condition) bool { return f.is(&c) }) {
			return fmt.Errorf("conditions = %+v, want %s", s.Conditions, f.code)
		}
		return nil
	})
	var out strings.Builder
	for i := range s.Conditions {
		c := &s.Conditions[i]
		switch {
		case f.is(c):
			fmt.Fprintf(&out, "condition: %s of %s %s\n", c.Code, c.Scope, cmp.Or(c.Object, "-"))
			fmt.Fprintf(&out, "  says:    %s\n", c.Sentence)
			fmt.Fprintf(&out, "  hint:    %s\n", cmp.Or(c.Hint, "-"))
			fmt.Fprintf(&out, "  ends:    %s\n", map[bool]string{true: "never by itself", false: "when its cause does"}[c.Terminal])
		}
	}
	code, body := get(t, "http://"+r.b.AdminAddr()+"/readyz?strict=1")
	if reason.KindOf(f.code).Strict {
		fmt.Fprintf(&out, "readyz?strict=1: %d\n", code)
	} else { // what else may be wrong meanwhile decides
		fmt.Fprintf(&out, "readyz?strict=1: does not report it\n")
	}
	var ready Readiness
	if err := json.Unmarshal([]byte(body), &ready); err != nil {
		t.Fatal(err)
	}
	for _, line := range ready.Reasons {
		if strings.HasPrefix(line, string(f.code)) {
			fmt.Fprintf(&out, "  %s\n", line)
		}
	}
	if code, _ := get(t, "http://"+r.b.AdminAddr()+"/readyz"); (code == http.StatusOK) == f.down {
		t.Errorf("/readyz = %d: what surrounds the bridge is no fault of its own, and the rest is", code)
	}
	if n := log.count("\n"); n > 60 {
		t.Errorf("%d lines of log for one cause:\n%s", n, log.text())
	}
	told := normal(e, out.String())
	for _, a := range alerts {
		if a.matches(f.code) {
			told += fmt.Sprintf("alert: %s (%s)\n", a.name, a.severity)
		}
	}
	return told
}

var (
	durations = regexp.MustCompile(`\b\d+(\.\d+)?(ns|µs|ms|s|m\d+s)\b`)
	topicIDs  = regexp.MustCompile(`\b[A-Za-z0-9_-]{22}\b`)
	addresses = regexp.MustCompile(`\b127\.0\.0\.1:\d+`)
	packCount = regexp.MustCompile(`\b(?:\d+ of )?\d+ (packs|acked|pieces|more)\b`)
	sinceWhen = regexp.MustCompile(`(has not answered for [^:\n]*): [^;\n]*`)
	whyEnded  = regexp.MustCompile(`\(connection (closed|ended)[^)\n]*\)?`)
	messages  = regexp.MustCompile(`: (dialing|dial tcp|read tcp|EOF|connection|unexpected EOF|no answer|closed)[^;\n]*`)
)

// normal takes out what differs from run to run.
func normal(e *env, s string) string {
	for _, p := range e.proxies {
		s = strings.ReplaceAll(s, p.Addr(), "PROXY")
	}
	s = messages.ReplaceAllString(s, ": ERROR")
	s = sinceWhen.ReplaceAllString(s, "$1: ERROR")
	s = whyEnded.ReplaceAllString(s, "(ERROR)")
	s = addresses.ReplaceAllString(s, "ADDRESS")
	s = topicIDs.ReplaceAllString(s, "TOPIC-ID")
	s = durations.ReplaceAllString(s, "TIME")
	return packCount.ReplaceAllString(s, "N $1")
}

// alertRule is one rule of deploy/alerts.
type alertRule struct{ name, severity, code string }

// matches reports whether the rule fires because of a code: each code has a rule of its own.
func (a *alertRule) matches(code reason.Code) bool { return a.code == string(code) }

func readAlerts(t *testing.T) (out []alertRule) {
	t.Helper()
	data, err := os.ReadFile("../deploy/alerts/inlong-bridge.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	labels := regexp.MustCompile(`labels: \{severity: (\w+), code: (\w+)\}`)
	for _, block := range strings.Split(string(data), "- alert: ")[1:] {
		name, rest, _ := strings.Cut(block, "\n")
		if m := labels.FindStringSubmatch(rest); m != nil {
			out = append(out, alertRule{strings.TrimSpace(name), m[1], m[2]})
		}
	}
	if len(out) == 0 {
		t.Fatal("no alert of a reason code found")
	}
	return out
}
