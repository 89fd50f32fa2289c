package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSigtermDrains(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rnd := b.moments()
	const group = "drained"
	topics := []string{"orders", "logs"}
	kafka := b.embedded(1)
	kafka.createTopics(4, 1, topics)
	to := b.startSink(kafka, 1, topics, 1, "--queue-delay", "300ms")
	s := bridgeSettings(kafka, group, topics, to)

	l := newLedger()
	load := l.startLoad(kafka, 2000, topics...)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGTERM} {
		before := total(kafka.committed(group))
		bridge := b.startBridge("bridge", s)
		b.eventually(drainLimit, func() error {
			if total(kafka.committed(group)) > before {
				return nil
			}
			return fmt.Errorf("nothing new is committed; the bridge's log ends with\n%s", bridge.tail())
		})
		b.pause(between(rnd, 0, time.Second))
		bridge.signal(sig)
		if code := bridge.wait(drainLimit); code != 0 {
			t.Fatalf("exit %d after %v, want 0; the log ends with\n%s", code, sig, bridge.tail())
		}
		// Nothing is left: what is in the queue is what is committed, to the record.
		l.committedIsSafe(kafka, group, to, topics)
		committed := kafka.committed(group)
		produced := l.all()
		for id := range to.inQueue(topics).times {
			if at, ok := produced[id]; ok && at.offset >= committed[at.topic][at.partition] {
				t.Fatalf("after %v %s is in the queue and not committed (%v): it will be sent again", sig, id, at)
			}
		}
	}
	load.stop()
	bridge := b.startBridge("bridge", s)
	kafka.caughtUp(group, topics, drainLimit, bridge)
	b.complete("queue", l.judge(to.inQueue(topics)), 0)
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const group = "stopped"
	topics := []string{"orders"}
	kafka := b.embedded(1)
	kafka.createTopics(2, 1, topics)
	to := b.startSink(kafka, 1, topics, 1, "--queue-delay", "1h", "--out-at", "ack")
	bridge := b.startBridge("bridge", bridgeSettings(kafka, group, topics, to))
	l := newLedger()
	l.produce(kafka, 100, topics...)
	b.eventually(drainLimit, func() error {
		if v := l.judge(b.inOutputs(to.outputs()...)); v.missing > 0 {
			return fmt.Errorf("not acked yet: %v; the bridge's log ends with\n%s", v, bridge.tail())
		}
		return nil
	})
	bridge.signal(syscall.SIGTERM)
	b.pause(time.Second)
	if bridge.ended() {
		t.Fatalf("ended with %d although nothing is in the queue; the log ends with\n%s", bridge.code, bridge.tail())
	}
	second := time.Now()
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(20 * time.Second); code != 3 {
		t.Errorf("exit %d, want 3: there was work left; the log ends with\n%s", code, bridge.tail())
	}
	if took := time.Since(second); took > 5*time.Second {
		t.Errorf("stopped %v after the second signal, want at once", took)
	}
	if sum := total(kafka.committed(group)); sum != 0 {
		t.Errorf("%d records are committed and not in the queue", sum)
	}
}

func TestDrainThatRunsOutOfTimeSaysSo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const group = "out-of-time"
	topics := []string{"orders"}
	kafka := b.embedded(1)
	kafka.createTopics(2, 1, topics)
	to := b.startSink(kafka, 1, topics, 1, "--queue-delay", "1h", "--out-at", "ack")
	bridge := b.startBridge("bridge", bridgeSettings(kafka, group, topics, to).set("delivery.drain", "1s"))
	l := newLedger()
	l.produce(kafka, 10, topics...)
	b.eventually(drainLimit, func() error {
		if v := l.judge(b.inOutputs(to.outputs()...)); v.missing > 0 {
			return fmt.Errorf("not acked yet: %v; the bridge's log ends with\n%s", v, bridge.tail())
		}
		return nil
	})
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(20 * time.Second); code != 3 {
		t.Errorf("exit %d, want 3; the log ends with\n%s", code, bridge.tail())
	}
	if !strings.Contains(bridge.output(), "drained with unfinished work") {
		t.Errorf("the log does not say that work is left:\n%s", bridge.tail())
	}
}

// Each way not to start is one clear sentence and an exit code, or a retry that can be seen.
func TestStartsThatCannotWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kafka := b.embedded(1)
	kafka.createTopics(1, 1, []string{"orders"})
	to := b.startSink(kafka, 1, []string{"orders"}, 1)
	good := func() settings { return bridgeSettings(kafka, "start", []string{"orders"}, to) }

	t.Run("bad configuration", func(t *testing.T) {
		b := b.on(t)
		bridge := b.startBridge("bad-config", good().set("delivery.confirm", "quue").set("kafka.brokrs", "x"))
		if code := bridge.wait(20 * time.Second); code != 2 {
			t.Errorf("exit %d, want 2", code)
		}
		text := bridge.output()
		for _, want := range []string{"bad-config.yaml:", "quue", "did you mean brokers?", "2 mistakes in the configuration"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	})
	t.Run("port in use", func(t *testing.T) {
		b := b.on(t)
		var lc net.ListenConfig
		taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		bridge := b.startBridge("port-in-use", good().set("admin.listen", taken.Addr().String()))
		if code := bridge.wait(20 * time.Second); code != 1 {
			t.Errorf("exit %d, want 1; the log is\n%s", code, bridge.tail())
		}
		oneSentence(t, bridge, taken.Addr().String(), "in use", "admin.listen")
	})
	t.Run("unreachable broker", func(t *testing.T) {
		b := b.on(t)
		nobody := b.freeAddr()
		s := good().set("kafka.brokers", []string{nobody})
		bridge := b.startBridge("no-broker", s)
		endsOrRetries(t, bridge, nobody)
	})
	t.Run("unreachable queue", func(t *testing.T) {
		b := b.on(t)
		nobody, admin := b.freeAddr(), b.freeAddr()
		s := good().set("admin.listen", admin).set("queue.kafka", []any{map[string]any{"brokers": []string{nobody}, "topic": "{group}.{stream}"}})
		bridge := b.startBridge("no-queue", s)
		b.notReady(admin, "queue")
		endsOrRetries(t, bridge, "queue cluster "+nobody)
	})
	t.Run("unreachable proxy", func(t *testing.T) {
		b := b.on(t)
		nobody, admin := b.freeAddr(), b.freeAddr()
		s := good().set("admin.listen", admin).set("inlong.proxies", []string{nobody})
		bridge := b.startBridge("no-proxy", s)
		b.notReady(admin, "prox")
		endsOrRetries(t, bridge, nobody)
	})
	t.Run("topic that does not exist", func(t *testing.T) {
		b := b.on(t)
		s := good()
		s["routes"] = []any{map[string]any{"topics": "no-such-topic", "group": "g", "stream": "s"}}
		bridge := b.startBridge("no-topic", s)
		endsOrRetries(t, bridge, "no-such-topic")
	})
}

// notReady waits until /readyz says no and names these things.
func (b *bench) notReady(admin string, want ...string) {
	b.Helper()
	b.eventually(30*time.Second, func() error {
		text, code, err := b.get("http://" + admin + "/readyz?strict=1")
		if err != nil {
			return err
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				return fmt.Errorf("no %q in /readyz: %d %s", w, code, text)
			}
		}
		if code != http.StatusServiceUnavailable {
			return fmt.Errorf("/readyz answers %d: %s", code, text)
		}
		b.Logf("/readyz says: %s", text)
		return nil
	})
}

// oneSentence checks the last line of the output: it names these things and is no stack trace.
func oneSentence(t *testing.T, p *process, want ...string) {
	t.Helper()
	text := strings.TrimSpace(p.output())
	last := text[strings.LastIndexByte(text, '\n')+1:]
	for _, w := range want {
		if !strings.Contains(last, w) {
			t.Errorf("no %q in the last line of\n%s", w, text)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Errorf("a stack trace:\n%s", text)
	}
}

// warnsOf reports whether a warning of the log, other than a note on the configuration, contains what.
func warnsOf(log, what string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, what) && !strings.Contains(line, "note on the configuration") {
			return true
		}
	}
	return false
}

// endsOrRetries expects either an end with one clear sentence, or a process that goes on and says what it
// cannot reach; never silence.
func endsOrRetries(t *testing.T, p *process, what string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.ended() {
			if p.code != 1 {
				t.Errorf("exit %d, want 1", p.code)
			}
			oneSentence(t, p, what)
			t.Logf("it ends and says:\n%s", p.tail())
			return
		}
		if warnsOf(p.output(), what) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 30 s no word about %s; the log is\n%s", what, p.tail())
		}
	}
	t.Logf("it goes on and says:\n%s", p.tail())
	p.signal(syscall.SIGTERM)
	// 3 is right where something was fetched that could not be delivered.
	if code := p.wait(40 * time.Second); code != 0 && code != 1 && code != 3 {
		t.Errorf("exit %d after SIGTERM, want 0, 1 or 3; the log ends with\n%s", code, p.tail())
	}
	if strings.Contains(p.output(), "goroutine ") {
		t.Errorf("a stack trace:\n%s", p.tail())
	}
}
