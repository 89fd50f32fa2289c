package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

func TestBridgeKilledAtRandomMomentsLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	topics := []string{"orders", "logs", "events"}
	kafka := b.embedded(1)
	kafka.createTopics(4, 1, topics)
	to := b.startSink(kafka, 1, topics, 2, "--queue-delay", "300ms")
	allowed, l := b.killBridge(kafka, topics, to, false)
	b.complete("devproxy --out", l.judge(b.inOutputs(to.outputs()...)), allowed)
}

func TestBridgeAndProxyKilledTogetherLoseNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kafka, topics, to := b.twoProxies()
	b.killBridge(kafka, topics, to, true)
}

// killBridge kills the bridge at random moments, under load, and if asked every other time a proxy with it.
// It returns how many duplicates there may be.
func (b *bench) killBridge(kafka *cluster, topics []string, to *sink, withProxies bool) (allowed int, l *ledger) {
	b.Helper()
	rnd := b.moments()
	const (
		group = "killed-bridge"
		kills = 6
	)
	// A static member comes back at once; a dynamic one would first have to be given up by the group.
	s := bridgeSettings(kafka, group, topics, to).set("kafka.instance_id", "bridge-0")

	l = newLedger()
	l.produce(kafka, 1000, topics...)
	load := l.startLoad(kafka, 2000, topics...)
	before := int64(0)
	for n := range kills {
		bridge := b.startBridge("bridge", s)
		if n%2 == 0 { // the others are killed while they start, or join, or whatever they are at
			b.eventually(drainLimit, func() error {
				if sum := total(kafka.committed(group)); sum > before {
					return nil
				}
				return fmt.Errorf("nothing new is committed; the log ends with\n%s", bridge.tail())
			})
		}
		b.pause(between(rnd, 20*time.Millisecond, 1500*time.Millisecond))
		if bridge.ended() {
			b.Fatalf("bridge ended by itself with %d; its log ends with\n%s", bridge.code, bridge.tail())
		}
		bridge.kill()
		// Nobody is left then who knows what the proxy held; it must not have been committed.
		p := to.proxies[n/2%len(to.proxies)]
		together := withProxies && n%2 == 0 && p.begin != nil
		if together {
			p.kill()
		}
		uncommitted := l.committedIsSafe(kafka, group, to, topics)
		sum := total(kafka.committed(group))
		b.Logf("kill %d: %d committed, %d not; with a proxy: %v", n+1, sum, uncommitted, together)
		if sum < before {
			b.Errorf("kill %d: %d committed after %d", n+1, sum, before)
		}
		allowed += uncommitted
		before = sum
		if together {
			p.restart()
		}
	}
	load.stop()
	bridge := b.startBridge("bridge", s)
	kafka.caughtUp(group, topics, drainLimit, bridge)
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, bridge.tail())
	}
	b.complete("queue", l.judge(to.inQueue(topics)), allowed)
	b.proved(s)
	return allowed, l
}

func total(committed map[string]map[int32]int64) (sum int64) {
	for _, partitions := range committed {
		for _, at := range partitions {
			sum += max(at, 0)
		}
	}
	return sum
}

func TestProxyKilledLosesNothingWithQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kafka, topics, to := b.twoProxies()
	v, allowed := b.killProxies(kafka, topics, to, "queue")
	b.complete("confirm: queue", v, allowed)
}

// The same kills with the guarantee switched off: if nothing is lost here, the test above shows nothing.
func TestProxyKilledLosesWithAck(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kafka, topics, to := b.twoProxies()
	v, _ := b.killProxies(kafka, topics, to, "ack")
	t.Logf("confirm: ack: %v", v)
	if v.missing == 0 || len(v.foreign) > 0 {
		t.Errorf("confirm: ack: %v, want some missing and nothing foreign", v)
	}
}

// held is how long the proxies keep a pack that they have acked.
const held = time.Second

func (b *bench) twoProxies() (*cluster, []string, *sink) {
	b.Helper()
	topics := []string{"orders", "logs"}
	kafka := b.embedded(1)
	kafka.createTopics(4, 1, topics)
	return kafka, topics, b.startSink(kafka, 1, topics, 2, "--queue-delay", held.String())
}

// killProxies kills the proxies in turn, with the packs that they acked and did not put into the queue, and
// lets the bridge finish.
func (b *bench) killProxies(kafka *cluster, topics []string, to *sink, confirm string) (v verdict, allowed int) {
	b.Helper()
	rnd := b.moments()
	group := "killed-proxy-" + confirm
	s := bridgeSettings(kafka, group, topics, to).set("delivery.confirm", confirm)
	admin := b.freeAddr()
	s.set("admin.listen", admin)
	bridge := b.startBridge("bridge", s)

	l := newLedger()
	load := l.startLoad(kafka, 2000, topics...)
	for n := range 4 {
		before := total(kafka.committed(group))
		b.eventually(drainLimit, func() error {
			if total(kafka.committed(group)) > before {
				return nil
			}
			return fmt.Errorf("nothing new is committed; the bridge's log ends with\n%s", bridge.tail())
		})
		b.pause(between(rnd, 0, 500*time.Millisecond))
		p := to.proxies[n%len(to.proxies)]
		p.kill()
		if confirm == "queue" {
			allowed += l.committedIsSafe(kafka, group, to, topics)
		}
		b.pause(between(rnd, 0, 500*time.Millisecond))
		p.restart()
	}
	load.stop()
	kafka.caughtUp(group, topics, drainLimit, bridge)
	if confirm == "queue" {
		status, err := b.statusAt(admin)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d records were read again", status.Reread.Records)
		if status.Reread.Records == 0 {
			b.Error("nothing was read again: the kills took nothing with them, so this shows nothing")
		}
	}
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, bridge.tail())
	}
	if confirm == "queue" {
		b.proved(s)
	} else {
		b.pause(2 * held) // what still lives in a proxy shall arrive
	}
	return l.judge(to.inQueue(topics)), allowed
}
