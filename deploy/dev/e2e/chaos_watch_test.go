//go:build chaos

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/sdk/frame"
)

// follower sees records arrive in the queue, as they come.
type follower struct {
	reported atomic.Int64 // when the last pack was made, by its bridge's clock

	mu     sync.Mutex
	seen   map[string]time.Time // when an identity came first
	recent []packSize           // of the last packs that came
}

type packSize struct {
	at      time.Time
	records int
}

// follow reads the queue topics of all clusters until the test ends.
func (c *chaosCell) follow() {
	c.b.Helper()
	f := &follower{seen: make(map[string]time.Time)}
	c.arriving = f
	var done sync.WaitGroup
	for _, s := range c.sinks {
		if s.pulsar != nil {
			c.followPulsar(s, f, &done)
			continue
		}
		client, err := kgo.NewClient(append([]kgo.Opt{
			kgo.ConsumeTopics(s.topics(c.topics)...),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchMaxWait(100 * time.Millisecond),
			kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
			kgo.MetadataMinAge(50 * time.Millisecond),
		}, s.queue.opts...)...)
		if err != nil {
			c.b.Fatal(err)
		}
		done.Go(func() {
			for {
				fetches := client.PollFetches(c.b.Context())
				if fetches.IsClientClosed() || c.b.Context().Err() != nil {
					return
				}
				now := time.Now()
				fetches.EachRecord(func(r *kgo.Record) { f.add(now, r.Value) })
			}
		})
		c.b.Cleanup(func() { client.Close(); done.Wait() })
	}
}

func (f *follower) add(now time.Time, value []byte) {
	p, err := frame.OpenInLongMsg(value, 64<<20)
	if err != nil {
		return // the verdict at the end finds it
	}
	if at, ok := reportTime(p.Attr); ok {
		f.reported.Store(at)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recent = append(f.recent, packSize{now, len(p.Records)})
	for now.Sub(f.recent[0].at) > 2*time.Second {
		f.recent = f.recent[1:]
	}
	for _, r := range p.Records {
		if id, ok := identity(r); ok && f.seen[id].IsZero() {
			f.seen[id] = now
		}
	}
}

// reportTime is the attribute rtms.
func reportTime(attr []byte) (millis int64, ok bool) {
	for pair := range strings.SplitSeq(string(attr), "&") {
		if text, found := strings.CutPrefix(pair, "rtms="); found {
			n, err := strconv.ParseInt(text, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// pack is the most records that one of the last packs had.
func (f *follower) pack() (most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.recent {
		most = max(most, p.records)
	}
	return most
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// backAfter says how long after the fault records arrived again, over a second, at 90 % of the rate; or of
// what this machine came to produce in that second, where that is less.
func (c *chaosCell) backAfter() (time.Duration, bool) {
	const window = time.Second
	from := c.over
	c.arriving.mu.Lock()
	var after []time.Duration
	for _, at := range c.arriving.seen {
		if at.After(from) {
			after = append(after, at.Sub(from))
		}
	}
	c.arriving.mu.Unlock()
	slices.Sort(after)
	step := 100 * time.Millisecond
	for begin := time.Duration(0); begin+window <= time.Since(from); begin += step {
		i, _ := slices.BinarySearch(after, begin)
		j, _ := slices.BinarySearch(after, begin+window)
		produced := c.watch.producedBetween(from.Add(begin), from.Add(begin+window))
		if produced > 0 && float64(j-i) >= 0.9*min(float64(c.rate), float64(produced)) {
			return begin, true
		}
	}
	return 0, false
}

// monitor reads the status of the bridges all the time, and adds up what may have to be sent again by the
// rule of the mode: of each connection that ended, what was in flight; in settle, what was acked too.
type monitor struct {
	c *chaosCell

	mu       sync.Mutex
	last     map[string]moment // by bridge and endpoint
	ended    int               // records, over all connections that ended
	endings  int
	inFlight int // records, the most at one time
	notFinal int // records fetched and not committed, the most since forget
	produced []packSize
}

// producedBetween is how many records the source took then.
func (m *monitor) producedBetween(from, to time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(m.produced, t, func(p packSize, t time.Time) int { return p.at.Compare(t) })
		if i == len(m.produced) {
			i--
		}
		return m.produced[max(0, i)].records
	}
	if len(m.produced) == 0 {
		return 0
	}
	return at(to) - at(from)
}

// most is the most that was fetched and not committed at one time since the last call.
func (m *monitor) most() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.notFinal
	m.notFinal = 0
	return n
}

// watching reports whether each bridge was seen once.
func (m *monitor) watching() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.last) < len(m.c.bridges)*m.c.listed {
		return fmt.Errorf("%d connections are known", len(m.last))
	}
	return nil
}

type moment struct {
	instance        string
	ends            uint64
	inFlight, acked int
}

func (m *monitor) run(stop <-chan struct{}) {
	for {
		size, notFinal := m.c.ledger.size(), 0
		m.mu.Lock()
		m.produced = append(m.produced, packSize{time.Now(), size})
		m.mu.Unlock()
		for _, br := range m.c.bridges {
			notFinal += m.look(br)
		}
		m.mu.Lock()
		m.notFinal = max(m.notFinal, notFinal)
		m.mu.Unlock()
		select {
		case <-stop:
			return
		case <-time.After(40 * time.Millisecond):
		}
	}
}

// look asks one bridge, and returns how many records it has fetched and not committed.
func (m *monitor) look(br *chaosBridge) int {
	s, err := m.c.b.statusAt(br.admin)
	if err != nil {
		return 0 // it is down, or busy
	}
	pack := m.c.arriving.pack()
	m.mu.Lock()
	defer m.mu.Unlock()
	inFlight := 0
	for _, e := range s.Sender.Endpoints {
		key := br.name + " " + e.Address + " " + e.Group
		was, now := m.last[key], moment{s.Instance, e.ConnectionsEnded, e.InFlightPacks, e.AckedPacks}
		m.last[key] = now
		inFlight += e.InFlightPacks
		if was.instance != now.instance || now.ends == was.ends {
			if was.instance == now.instance { // a peak between two looks is not forgotten at once
				now.inFlight = max(now.inFlight, was.inFlight*3/4)
				m.last[key] = now
			}
			continue
		}
		m.endings += int(now.ends - was.ends)
		m.ended += was.inFlight * pack
		if m.c.spec.confirm == "settle" {
			m.ended += was.acked * pack
		}
	}
	m.inFlight = max(m.inFlight, inFlight*pack)
	return notCommitted(&s)
}

// notCommitted is how many records a bridge has fetched and not committed.
func notCommitted(s *connector.Status) (n int) {
	for _, p := range s.Parts {
		n += int(max(0, p.Position-max(p.Committed, p.Start)))
	}
	return n
}

// snapshot is what a bridge knew shortly before a fault.
type snapshot struct {
	at          time.Time
	inFlight    map[string]int // records, by proxy
	unseen      map[string]int // records in flight or acked, by proxy
	uncommitted int            // records fetched and not committed
}

// look asks all bridges at once.
func (c *chaosCell) look() snapshot {
	c.b.Helper()
	s := snapshot{at: time.Now(), inFlight: make(map[string]int), unseen: make(map[string]int)}
	pack := c.arriving.pack()
	for _, br := range c.bridges {
		st, err := c.b.statusAt(br.admin)
		if err != nil {
			continue
		}
		for _, e := range st.Sender.Endpoints {
			s.inFlight[e.Address] += e.InFlightPacks * pack
			s.unseen[e.Address] += (e.InFlightPacks + e.AckedPacks) * pack
		}
		s.uncommitted += notCommitted(&st)
	}
	for addr := range s.unseen { // packs are counted as large ones; no more than this can be in them
		s.inFlight[addr], s.unseen[addr] = min(s.inFlight[addr], s.uncommitted), min(s.unseen[addr], s.uncommitted)
	}
	return s
}

// since is how many records may have been sent since the snapshot was taken.
func (c *chaosCell) since(s snapshot) int {
	return int(float64(c.rate) * (time.Since(s.at) + c.scale(200*time.Millisecond)).Seconds())
}

// memoryEmpty waits until the proxies that live hold nothing any more.
func (c *chaosCell) memoryEmpty() {
	c.b.Helper()
	c.b.eventually(drainLimit, func() error {
		for _, p := range c.proxies {
			if p.ended() {
				continue
			}
			n, err := c.inMemory(p)
			if err != nil {
				return err
			}
			if n > 0 {
				return fmt.Errorf("%s holds %d packs", p.name, n)
			}
		}
		return nil
	})
}
