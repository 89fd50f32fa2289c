//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkahandler"
)

const (
	soakTopics, soakPartitions = 5, 100 // of each topic
	soakMemory                 = 256 << 20
	soakRecord                 = 4 << 10
)

// TestSoakSinkDown: all proxies are gone for SOAK (30m) while 500 partitions fill. The bridge's resident memory
// must stay within what it was given, and flat; nobody may leave the group; and when the proxies are back all
// that was produced arrives. `make soak-sinkdown` runs it.
func TestSoakSinkDown(t *testing.T) {
	text := os.Getenv("SOAK")
	if text == "" {
		t.Skip("SKIPPED: make soak-sinkdown runs it")
	}
	long, err := time.ParseDuration(text)
	if err != nil || long < 20*time.Second {
		t.Fatalf("SOAK=%s: want a duration of 20s or more", text)
	}
	r := need(t, "kafka-"+newest())
	b := newBench(t)
	k := b.startKafka(r, 1)
	const group = "soak"
	var topics []string
	for i := range soakTopics {
		topics = append(topics, fmt.Sprintf("soak-%d", i))
	}
	k.createTopics(soakPartitions, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 2, "--queue-delay", "300ms")
	admin := b.freeAddr()
	// What a container of this size would do: the limit of the garbage collector, and the budget that follows.
	t.Setenv("GOMEMLIMIT", strconv.Itoa(soakMemory*9/10))
	bridge := b.startBridge("bridge", bridgeSettings(k.cluster, group, topics, to).set("admin.listen", admin).
		set("delivery.watchdog", "10s"))
	k.members(group, 1, soakTopics*soakPartitions)
	p := &soakLoad{k: k, topics: topics}
	p.burst(1000)
	k.caughtUp(group, topics, drainLimit, bridge)
	member, before := k.memberIDs(group), b.resident(bridge)

	for _, proxy := range to.proxies {
		proxy.kill()
	}
	p.burst(soakMemory / soakRecord) // four times the budget lies in Kafka at once
	began, first, late := time.Now(), 0, 0
	fetched, stuck := 0, ""
	for n := 0; time.Since(began) < long; n++ {
		p.burst(100)
		b.pause(time.Second)
		now := b.resident(bridge)
		if time.Since(began) < long/2 {
			first = max(first, now)
		} else {
			late = max(late, now)
		}
		if now > soakMemory {
			t.Fatalf("after %v the bridge has %d MiB, and may have %d", time.Since(began), now>>20, soakMemory>>20)
		}
		if ids := k.memberIDs(group); ids != member {
			t.Fatalf("after %v the members are %s, were %s", time.Since(began), ids, member)
		}
		s, err := b.statusAt(admin)
		if err != nil {
			t.Fatalf("asking for the status: %v", err)
		}
		fetched = 0
		for _, part := range s.Parts {
			fetched += int(part.Position)
			if part.StuckCode != "" {
				stuck = part.StuckCode
			}
		}
		if n%30 == 0 {
			t.Logf("%4.0f s: %d MiB resident, %d of %d records fetched %s", time.Since(began).Seconds(), now>>20, fetched, p.made, s.Memory.Hold)
		}
	}
	if fetched > p.made*3/4 {
		t.Errorf("%d of %d records were fetched: the budget was not reached, so this shows nothing", fetched, p.made)
	}
	if stuck != "endpoint" {
		t.Errorf("the watchdog names %q, want endpoint", stuck)
	}
	if late > first+first/10+8<<20 {
		t.Errorf("%d MiB in the second half, %d in the first: the memory grows", late>>20, first>>20)
	}
	t.Logf("sink down for %v: %d MiB before, at most %d in the first half, at most %d in the second; no member left", long, before>>20, first>>20, late>>20)

	for _, proxy := range to.proxies {
		proxy.restart()
	}
	k.caughtUp(group, topics, long+2*drainLimit, bridge)
	if ids := k.memberIDs(group); ids != member {
		t.Errorf("the members are %s after the proxies are back, were %s", ids, member)
	}
	seen := make(map[uint64]int)
	err = kafkahandler.ReadAll(b.Context(), to.queue.opts, to.topics(topics), func(p kafkahandler.Pack) error {
		for _, v := range p.Records {
			if len(v) == soakRecord && bytes.Equal(v, soakValue(binary.BigEndian.Uint64(v))) {
				seen[binary.BigEndian.Uint64(v)]++
			}
		}
		return p.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	twice := 0
	for _, n := range seen {
		twice += n - 1
	}
	t.Logf("%d produced, %d arrived, %d of them twice", p.made, len(seen), twice)
	if len(seen) != p.made {
		t.Errorf("%d of %d records arrived", len(seen), p.made)
	}
}

// soakLoad produces large records that compress to half.
type soakLoad struct {
	k      *kafka
	topics []string
	made   int
}

// soakValue is record n.
func soakValue(n uint64) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, soakRecord), n)
	rnd := rand.NewPCG(n, 1)
	for len(v) < soakRecord/2 {
		v = binary.BigEndian.AppendUint64(v, rnd.Uint64())
	}
	return append(v, make([]byte, soakRecord-len(v))...)
}

func (p *soakLoad) burst(n int) {
	p.k.b.Helper()
	for n > 0 {
		part := min(n, 1000)
		records := make([]*kgo.Record, part)
		for i := range records {
			records[i] = &kgo.Record{Topic: p.topics[p.made%len(p.topics)], Value: soakValue(uint64(p.made))}
			p.made++
		}
		if err := p.k.client.ProduceSync(p.k.b.Context(), records...).FirstErr(); err != nil {
			p.k.b.Fatalf("producing: %v", err)
		}
		n -= part
	}
}

// resident is the memory of a process, in bytes.
func (b *bench) resident(p *process) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatal("no VmRSS in /proc")
	return 0
}
