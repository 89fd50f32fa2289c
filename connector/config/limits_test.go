package config

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func root(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestBudgetFollowsTheMachine(t *testing.T) {
	const meminfo = "MemTotal:        8000000 kB\nMemFree: 1 kB\n" // 7.6 GiB
	for _, c := range []struct {
		name   string
		files  map[string]string
		budget int64
		goMem  int64
	}{
		{"nothing known", nil, 64 * mib, 0},
		{"physical memory", map[string]string{"proc/meminfo": meminfo}, 1 * gib, 0},
		{"cgroup v2 in a container", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "1073741824\n"}, 256 * mib, gib / 10 * 9},
		{"cgroup v2 seen from the host", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/bridge.service\n",
			"sys/fs/cgroup/system.slice/bridge.service/memory.max": "max\n", "sys/fs/cgroup/system.slice/memory.max": "2147483648\n"}, 512 * mib, 2 * gib / 10 * 9},
		{"cgroup v2 with a path that the container does not show", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/kubepods/pod1/c1\n",
			"sys/fs/cgroup/memory.max": "1073741824\n"}, 256 * mib, gib / 10 * 9},
		{"cgroup v2 without limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "max\n"}, 1 * gib, 0},
		{"cgroup v1", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "7:cpu,cpuacct:/x\n4:memory:/docker/1\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"}, 256 * mib, gib / 10 * 9},
		{"cgroup v1 without limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1 * gib, 0},
		{"a limit above the machine's memory", map[string]string{"proc/meminfo": "MemTotal: 1048576 kB\n", "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "8589934592\n"}, 256 * mib, 8 * gib / 10 * 9},
		{"a small container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, 64 * mib, 128 * mib / 10 * 9},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: -5 kB\nMemTotal:\n", "proc/self/cgroup": "::\nx\n0::/../..\n"}, 64 * mib, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := Default().LimitsAt(root(c.files))
			if l.Budget != c.budget || l.GoMemLimit != c.goMem {
				t.Errorf("budget %s (%s), GOMEMLIMIT %d, want %s and %d", roundBytes(l.Budget), l.BudgetSource, l.GoMemLimit, roundBytes(c.budget), c.goMem)
			}
		})
	}
}

func TestGoMemLimitBoundsTheBudget(t *testing.T) {
	l := Default().limits(memory{physical: 8 * gib, container: 4 * gib, goLimit: 1 * gib})
	if l.Budget != 256*mib || l.BudgetSource != "GOMEMLIMIT is 1GiB" {
		t.Errorf("budget %s, %s", roundBytes(l.Budget), l.BudgetSource)
	}
}

func TestSharesStayWithinTheBudget(t *testing.T) {
	for _, budget := range []Bytes{{Auto: true}, {N: 16 * mib}, {N: 20 * mib}, {N: 64 * mib}, {N: 1 * gib}, {N: 64 * gib}} {
		for _, fetch := range []Bytes{{Auto: true}, {N: 4 * mib}, {N: 8 * mib}, {N: 10 * gib}} {
			for _, container := range []int64{0, 32 * mib, gib, 64 * gib} {
				c := Default()
				c.Memory.Budget, c.Memory.FetchBytes = budget, fetch
				l := c.limits(memory{container: container})
				if l.FetchBytes <= 0 || l.SenderBytes < l.Budget/4 || l.FetchBytes+l.SenderBytes != l.Budget {
					t.Errorf("budget %v fetch %v: shares do not add up: %+v", budget, fetch, l)
				}
				if used := int64(l.FetchMaxBytes) * int64(l.MaxConcurrentFetches) * inflation; used > l.FetchBytes {
					t.Errorf("budget %v fetch %v: %d fetches of %d may take %d of %d", budget, fetch, l.MaxConcurrentFetches, l.FetchMaxBytes, used, l.FetchBytes)
				}
				if l.FetchMaxPartitionBytes > l.FetchMaxBytes || l.FetchMaxPartitionBytes <= 0 {
					t.Errorf("budget %v fetch %v: %d of one partition, %d of a fetch", budget, fetch, l.FetchMaxPartitionBytes, l.FetchMaxBytes)
				}
				if l.RepairBytes < min(l.SenderBytes/8, int64(l.FetchMaxBytes)) || l.RepairBytes > l.SenderBytes/2 {
					t.Errorf("budget %v fetch %v: %d of %d for records read again", budget, fetch, l.RepairBytes, l.SenderBytes)
				}
			}
		}
	}
}

func TestCeilingIsKnownForNamedProxies(t *testing.T) {
	c := parse(t, smallest)
	if l := c.limits(memory{}); l.CeilingBytes != 32*mib || l.MaxUnfinal != 500000 || l.UnfinalBytes != 80_000_000 {
		t.Errorf("%+v", l)
	}
	c.hasManager = true
	if l := c.limits(memory{}); l.CeilingBytes != 0 {
		t.Errorf("a ceiling of %d although the Manager names the proxies", l.CeilingBytes)
	}
	if l := c.Limits(); l.Budget < 64*mib || l.Budget > gib {
		t.Errorf("budget here: %+v", l)
	}
}

func TestRateIsForModesThatCannotSeeHowFarAProxyIsBehind(t *testing.T) {
	const queue = "\nqueue: {kafka: [{brokers: [mq:9092]}]}\n"
	for _, tt := range []struct {
		name, delivery, queue string
		want                  int64
		says                  string
	}{
		{"as it comes", "", "", 32 * mib, "32MiB/s on the wire: 1 proxy at 32MiB/s (delivery.proxy_rate: auto with confirm: settle)"},
		{"ack", "{confirm: ack}", "", 32 * mib, "32MiB/s on the wire: 1 proxy at 32MiB/s (delivery.proxy_rate: auto with confirm: ack)"},
		{"a queue", "", queue, 0, "none, because delivery.proxy_rate is auto and confirm is queue: queue.window_bytes bounds what a proxy holds"},
		{"a queue that is not used", "{confirm: settle}", queue, 32 * mib, "32MiB/s on the wire: 1 proxy at 32MiB/s (delivery.proxy_rate: auto with confirm: settle)"},
		{"a queue and a figure", "{proxy_rate: 8MiB}", queue, 8 * mib, "8MiB/s on the wire: 1 proxy at 8MiB/s (delivery.proxy_rate)"},
		{"a figure", "{proxy_rate: 8MiB}", "", 8 * mib, "8MiB/s on the wire: 1 proxy at 8MiB/s (delivery.proxy_rate)"},
		{"no rate", "{proxy_rate: 0}", "", 0, "none, because delivery.proxy_rate is 0"},
	} {
		text := smallest + tt.queue
		if tt.delivery != "" {
			text += "\ndelivery: " + tt.delivery + "\n"
		}
		c := parse(t, text)
		l := c.limits(memory{})
		if l.ProxyRate != tt.want || l.CeilingBytes != tt.want {
			t.Errorf("%s: %d bytes a second to a proxy and %d to all, want %d", tt.name, l.ProxyRate, l.CeilingBytes, tt.want)
		}
		if got := c.Ceiling(l); got != tt.says {
			t.Errorf("%s: the ceiling is said to be\n%s, want\n%s", tt.name, got, tt.says)
		}
		if got := c.RateReached(l); tt.want > 0 && (!strings.Contains(got, roundBytes(tt.want)) || !strings.Contains(got, "delivery.proxy_rate")) {
			t.Errorf("%s: %q names no figure or no key", tt.name, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "512": 512, "512B": 512, "256KiB": 256 * kib, "32 MiB": 32 * mib, "1GiB": gib, "1536MiB": 1536 * mib} {
		b, err := ParseBytes(text)
		if err != nil || b.N != want || b.Auto {
			t.Errorf("ParseBytes(%q) = %+v, %v, want %d", text, b, err, want)
		}
		if again, err := ParseBytes(b.String()); err != nil || again != b {
			t.Errorf("%q prints as %q, which reads as %+v, %v", text, b, again, err)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1.5GiB", "1GB", "1gib", "KiB", "9223372036854775807KiB", "99999999999999999999", "auto "} {
		if b, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %+v, want an error", text, b)
		}
	}
	if b, err := ParseBytes("auto"); err != nil || !b.Auto || b.String() != "auto" {
		t.Errorf("auto = %+v, %v", b, err)
	}
}

// Where records of a partition go to many streams a fetch brings more of it: the records of a stream in a fetch are a piece.
func TestFetchIsOfOnePartitionWhereRecordsAreRoutedOneByOne(t *testing.T) {
	for stream, want := range map[string][2]int32{
		"s": {1 << 20, 8 << 20}, "'{topic}'": {1 << 20, 8 << 20}, "'{key}'": {4 << 20, 4 << 20}, "'a-{header:type}'": {4 << 20, 4 << 20},
	} {
		c := parse(t, strings.Replace(smallest, "stream: s", "stream: "+stream, 1))
		l := c.limits(memory{physical: 16 << 30})
		if got := [2]int32{l.FetchMaxPartitionBytes, l.FetchMaxBytes}; got != want {
			t.Errorf("stream %s: bytes of a partition and of a fetch are %d, want %d", stream, got, want)
		}
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour + time.Second: "1h0m1s", 20 * time.Millisecond: "20ms", 30 * time.Second: "30s"} {
		if got := durationText(d); got != want {
			t.Errorf("durationText(%d) = %s, want %s", d, got, want)
		}
		if back, err := time.ParseDuration(durationText(d)); err != nil || back != d {
			t.Errorf("%s reads as %s", durationText(d), back)
		}
	}
}
