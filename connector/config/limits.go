package config

import (
	"fmt"
	"io/fs"
	"os"
)

// inflation is the assumed growth of a fetch when it is decompressed. Text usually grows by this factor with lz4,
// snappy or zstd. It sizes requests and guarantees nothing.
const inflation = 4

// autoRate is delivery.proxy_rate: auto where nothing tells how far a proxy is behind its queue: it acks quickly until it runs out
// of memory. With confirm: queue the window does, and auto is no rate.
const autoRate = 32 * mib

// pieceBytes is about the most memory that a piece that is not final takes: when it is alone in its span.
const pieceBytes = 160

// Limits are the numbers that follow from the configuration and the machine.
type Limits struct {
	Budget       int64  // bytes from fetch to ack
	BudgetSource string // where Budget comes from, for people

	FetchBytes             int64 // share of Budget for records that are fetched and not packed
	FetchMaxBytes          int32 // of one fetch request, as on the wire
	FetchMaxPartitionBytes int32
	MaxConcurrentFetches   int

	SenderBytes int64 // the rest of Budget: records in packs that are not acked
	RepairBytes int64 // part of SenderBytes that only records that are read again may use

	MaxUnfinal   int   // pieces that are not final
	UnfinalBytes int64 // the most memory that they take, on top of Budget

	MemoryLimit  int64 // limit of the container or GOMEMLIMIT, 0 when there is none
	GoMemLimit   int64 // suggestion for GOMEMLIMIT, 0 when there is no limit of the container
	ProxyRate    int64 // bytes per second to one proxy, 0 for no limit
	CeilingBytes int64 // bytes per second to all proxies together; 0 when there is no limit, or it is not known
}

// Limits returns the limits on this machine.
func (c *Config) Limits() Limits {
	m := machine(os.DirFS("/"))
	// The variable counts, not the limit in force: once that is set from GoMemLimit, the next answer must not change.
	if l, err := ParseBytes(os.Getenv("GOMEMLIMIT")); err == nil {
		m.goLimit = l.N
	}
	return c.limits(m)
}

// LimitsAt is Limits for the machine whose file system is root, without GOMEMLIMIT.
func (c *Config) LimitsAt(root fs.FS) Limits { return c.limits(machine(root)) }

func (c *Config) limits(m memory) Limits {
	l := Limits{MaxUnfinal: c.Delivery.MaxUnfinal, UnfinalBytes: int64(c.Delivery.MaxUnfinal) * pieceBytes}
	limit, source := m.smallest()
	if m.container > 0 || m.goLimit > 0 {
		l.MemoryLimit = limit
	}
	if m.container > 0 {
		l.GoMemLimit = m.container / 10 * 9
	}

	l.Budget, l.BudgetSource = c.Memory.Budget.N, "memory.budget"
	if c.Memory.Budget.Auto {
		l.Budget = min(max(limit/4, 64*mib), gib)
		// Frames larger than usual need more room than a small machine suggests.
		l.Budget = max(l.Budget, 16*c.InLong.MaxFrame.N)
		l.BudgetSource = source
	}
	l.FetchBytes = l.Budget / 4
	if !c.Memory.FetchBytes.Auto {
		l.FetchBytes = min(c.Memory.FetchBytes.N, l.Budget/4*3)
	}
	l.SenderBytes = l.Budget - l.FetchBytes

	// Enough fetches at a time to keep several brokers busy, each small enough that all of them, decompressed, stay
	// within the share.
	l.MaxConcurrentFetches = 4
	if l.FetchBytes < 32*mib {
		l.MaxConcurrentFetches = 2
	}
	// Small fetches are easier on brokers and caches.
	each := l.FetchBytes / int64(l.MaxConcurrentFetches) / inflation
	l.FetchMaxBytes = int32(min(max(each, 256*kib), 8*mib))
	l.FetchMaxPartitionBytes = int32(min(max(int64(l.FetchMaxBytes)/4, 256*kib), mib))
	if c.Routes != nil && c.Routes.PerRecord() {
		// Where the records of a partition go to many streams, the records of a stream in one fetch are a piece. So a
		// fetch brings much of one partition.
		l.FetchMaxBytes = min(l.FetchMaxBytes, int32(4*mib))
		l.FetchMaxPartitionBytes = l.FetchMaxBytes
	}
	if c.Delivery.Order == "partition" {
		l.FetchMaxPartitionBytes = int32(256 * kib) // a partition moves a pack at a time, and the rest of a fetch waits
	}

	largest := int64(l.FetchMaxBytes) * inflation
	l.RepairBytes = min(max(l.SenderBytes/8, largest), l.SenderBytes/2)

	l.ProxyRate = c.Delivery.ProxyRate.N
	if c.Delivery.ProxyRate.Auto && c.Delivery.Confirm != "queue" {
		l.ProxyRate = autoRate
	}
	if !c.HasManager() {
		l.CeilingBytes = int64(len(c.InLong.Proxies)) * l.ProxyRate
	}
	return l
}

// Ceiling says what the rate to the proxies allows at most, and which key says so.
func (c *Config) Ceiling(l Limits) string {
	rate := &c.Delivery.ProxyRate
	switch {
	case l.ProxyRate == 0 && rate.Auto:
		return "none, because delivery.proxy_rate is auto and confirm is queue: queue.window_bytes bounds what a proxy holds"
	case l.ProxyRate == 0:
		return "none, because delivery.proxy_rate is 0"
	case c.HasManager():
		return fmt.Sprintf("%s/s on the wire per proxy (%s), times the proxies that the Manager names", roundBytes(l.ProxyRate), c.RateKey())
	}
	return fmt.Sprintf("%s/s on the wire: %s at %s/s (%s)", roundBytes(l.CeilingBytes), count(len(c.InLong.Proxies), "proxy", "proxies"), roundBytes(l.ProxyRate), c.RateKey())
}

// RateKey names the key of the rate to a proxy, and says so when nobody has set it.
func (c *Config) RateKey() string {
	if c.Delivery.ProxyRate.Auto {
		return "delivery.proxy_rate: auto with confirm: " + c.Delivery.Confirm
	}
	return "delivery.proxy_rate"
}

// RateReached says that the rate to the proxies holds records back, for people.
func (c *Config) RateReached(l Limits) string {
	return fmt.Sprintf("the proxies get %s/s each, as much as %s allows, and records wait for that; hint: add proxies, or set delivery.proxy_rate to what they keep up with; "+
		"with confirm: queue it needs no limit", roundBytes(l.ProxyRate), c.RateKey())
}

// commitLag says about how far commits lag behind the packs that are sent, in the configured mode.
func (c *Config) commitLag() string {
	switch c.Delivery.Confirm {
	case "settle":
		return durationText(c.Delivery.Settle) + " (delivery.settle)"
	case "queue":
		return "0.5s to 1.5s under steady flow, up to 5s after idling (the proxies' own delay)"
	}
	return "the time until an ack"
}

// memory is what is known about the machine; a value that is not known is 0.
type memory struct{ container, goLimit, physical int64 }

func (m memory) smallest() (int64, string) {
	best, source := 256*mib, "no memory limit is known"
	for _, v := range []struct {
		n      int64
		source string
	}{{m.physical, "the machine's memory"}, {m.container, "the container's memory limit"}, {m.goLimit, "GOMEMLIMIT"}} {
		if v.n > 0 && (source == "no memory limit is known" || v.n < best) {
			best, source = v.n, v.source
		}
	}
	return best, source + " is " + roundBytes(best)
}
