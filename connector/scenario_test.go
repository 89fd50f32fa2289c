package connector

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

// expectAll checks that every record of orders arrived: n[i] of partition i.
func (e *env) expectAll(n ...int) map[string]int {
	e.t.Helper()
	got := e.arrived()
	for p, want := range n {
		if m := missing(got, "orders", int32(p), want); len(m) > 0 {
			e.t.Errorf("orders/%d: %d of %d records missing, the first is %d", p, len(m), want, m[0])
		}
	}
	return got
}

func TestDeliversEverything(t *testing.T) {
	for _, confirm := range []string{"ack", "settle", "queue"} {
		t.Run(confirm, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.produce("orders", 0, 0, 500, 0)
			e.produce("orders", 1, 0, 300, 0)
			r := e.start(e.config(confirm))
			e.waitCommitted("orders", 0, 500)
			e.waitCommitted("orders", 1, 300)
			e.produce("orders", 1, 300, 100, 0)
			e.waitCommitted("orders", 1, 400)
			if s := r.b.Status(); !s.Ready.Strict || s.Confirm != confirm || len(s.Parts) != 2 || s.Parts[0].Lag != 0 {
				t.Errorf("status = %+v, want ready, confirm %s, two partitions without lag", s, confirm)
			}
			if err := r.drain(); err != nil {
				t.Fatalf("Run = %v, want a clean drain", err)
			}
			eventually(t, 5*time.Second, func() error { // after a mere ack it may still be on its way
				if n := len(e.arrived()); n < 900 {
					return fmt.Errorf("%d records arrived, want 900", n)
				}
				return nil
			})
			if d := duplicates(e.expectAll(500, 400)); d != 0 {
				t.Errorf("%d duplicates, want none without a fault", d)
			}
		})
	}
}

func TestEmptyAndNullValuesArriveUnchanged(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	recs := []*kgo.Record{
		{Topic: "orders", Value: nil}, {Topic: "orders", Value: []byte{}}, {Topic: "orders", Value: []byte("x\n\x00")},
		{Topic: "orders", Value: []byte("before 1970"), Timestamp: time.UnixMilli(-5000)},
	}
	if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 4)
	got := e.arrived()
	if got[""] != 2 || got["x\n\x00"] != 1 || got["before 1970"] != 1 || len(got) != 3 {
		t.Errorf("arrived %v, want two empty values and two others", got)
	}
}

// A proxy dies with acked packs in its memory. In queue mode they are read again from Kafka.
func TestProxyKilledInQueueModeLosesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxy(dptest.WithQueueDelay(300*time.Millisecond)))
	r := e.start(e.config("queue"))
	e.produce("orders", 0, 0, 2000, 100)
	e.produce("orders", 1, 0, 2000, 100)
	packs := killWithMemory(t, r, e.proxies[0])
	e.produce("orders", 1, 2000, 500, 100)
	if err := e.proxies[0].Restart(); err != nil {
		t.Fatal(err)
	}
	e.waitCommitted("orders", 0, 2000)
	e.waitCommitted("orders", 1, 2500)
	e.expectAll(2000, 2500)
	if s := r.b.Status(); s.Reread.Records == 0 || s.Reread.Pending != 0 {
		t.Errorf("reread = %+v after %d packs were lost, want some read again and none pending", s.Reread, packs)
	}
	if err := r.drain(); err != nil {
		t.Errorf("Run = %v, want a clean drain", err)
	}
}

// killWithMemory kills a proxy as soon as it holds packs whose acks have arrived.
func killWithMemory(t *testing.T, r *running, p *dptest.Proxy) (packs int) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		for _, e := range r.b.Status().Sender.Endpoints {
			if e.Address == p.Addr() && e.AckedPacks > 0 && p.Stats().InMemory > 0 {
				return nil
			}
		}
		return errors.New("the proxy holds nothing that was acked")
	})
	packs, records := p.Kill()
	if records == 0 {
		t.Fatal("the killed proxy lost nothing; the test shows nothing")
	}
	return packs
}

// The same in ack mode must lose: it shows that the double loses and that ack promises less.
func TestProxyKilledInAckModeLosesVisibly(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxies(1), withProxy(dptest.WithQueueDelay(time.Minute)))
	e.start(e.config("ack"))
	e.produce("orders", 0, 0, 200, 0)
	e.waitCommitted("orders", 0, 200)
	_, lost := e.proxies[0].Kill()
	if m := missing(e.arrived(), "orders", 0, 200); len(m) != 200 || lost != 200 {
		t.Errorf("%d records missing and %d lost by the proxy, want all 200", len(m), lost)
	}
}

func TestProxyKilledInSettleModeLosesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxy(dptest.WithQueueDelay(200*time.Millisecond)))
	r := e.start(e.config("settle"))
	e.produce("orders", 0, 0, 1000, 100)
	killWithMemory(t, r, e.proxies[1])
	e.produce("orders", 1, 0, 200, 100)
	e.waitCommitted("orders", 0, 1000)
	e.waitCommitted("orders", 1, 200)
	e.expectAll(1000, 200)
}

func TestKillAndResume(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxy(dptest.WithQueueDelay(200*time.Millisecond)))
	e.produce("orders", 0, 0, 1500, 100)
	r := e.start(e.config("queue"))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
	r.crash()
	before := e.committed("orders", 0)
	e.produce("orders", 0, 1500, 100, 100)
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 1600)
	got := e.expectAll(1600)
	if d := int64(duplicates(got)); d > 1500-max(before, 0) {
		t.Errorf("%d duplicates, want at most what was not committed, %d", d, 1500-max(before, 0))
	}
}

// Two bridges share the group; the second comes and goes under load.
func TestRevokeWithInflight(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(4), withProxy(dptest.WithQueueDelay(100*time.Millisecond)))
	one := e.start(e.config("queue"))
	for i := range 5 {
		for p := range int32(4) {
			e.produce("orders", p, i*100, 100, 100)
		}
		if i == 1 {
			two := e.start(e.config("queue"))
			eventually(t, 20*time.Second, func() error {
				if a, b := len(one.b.Status().Parts), len(two.b.Status().Parts); a != 2 || b != 2 {
					return fmt.Errorf("partitions are shared %d to %d, want 2 to 2", a, b)
				}
				return nil
			})
			for p := range int32(4) {
				e.produce("orders", p, 1000+i*100, 100, 100)
			}
			if err := two.drain(); err != nil {
				t.Errorf("Run = %v, want a clean drain", err)
			}
		}
	}
	for p := range int32(4) {
		e.waitCommitted("orders", p, 600)
	}
	got := e.expectAll(500, 500, 500, 500)
	if len(got) != 2400 {
		t.Errorf("%d different records arrived, want 2400", len(got))
	}
}

// A revoke waits for packs that the queue does not show, but not for ever: the other member gets its share while
// they are still on their way. What is not final is not committed, and the partitions that stay are not touched:
// nothing of theirs is sent again.
func TestRevokeOfWhatIsNotFinalIsBoundedAndTouchesNothingElse(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(4))
	c := e.config("queue")
	c.Queue.Patience = time.Hour // or the bridge would take the stall for a loss
	one := e.start(c)
	for p := range int32(4) {
		e.produce("orders", p, 0, 100, 0)
		e.waitCommitted("orders", p, 100)
	}
	for _, proxy := range e.proxies {
		proxy.StallQueue(true)
	}
	for p := range int32(4) {
		e.produce("orders", p, 100, 100, 0)
	}
	eventually(t, 20*time.Second, func() error {
		for _, p := range one.b.Status().Parts {
			if p.Position < 200 || p.Unfinal == 0 {
				return fmt.Errorf("partition %d is at %d with %d pieces on their way", p.Partition, p.Position, p.Unfinal)
			}
		}
		return nil
	})
	two := e.start(e.config("queue"))
	eventually(t, 20*time.Second, func() error {
		if a, b := len(one.b.Status().Parts), len(two.b.Status().Parts); a != 2 || b != 2 {
			return fmt.Errorf("partitions are shared %d to %d, want 2 to 2", a, b)
		}
		return nil
	})
	for p := range int32(4) {
		if at := e.committed("orders", p); at != 100 {
			t.Errorf("partition %d is committed at %d, and nothing after 100 is final", p, at)
		}
	}
	for _, proxy := range e.proxies {
		proxy.StallQueue(false)
	}
	for p := range int32(4) {
		e.waitCommitted("orders", p, 200)
	}
	got := e.expectAll(200, 200, 200, 200)
	for _, part := range one.b.Status().Parts {
		for i := range 200 {
			if v := payload("orders", part.Partition, i); got[v] != 1 {
				t.Errorf("%q of a partition that stayed arrived %d times", v, got[v])
			}
		}
	}
}

// A record that no rule can route stops its partition; what was before it is delivered and committed, and
// the other partition goes on.
func TestPoisonRecordStopsItsPartitionOnly(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: [orders], group: g, stream: '{header:type}'}\n"
	typed := func(p int32, i int, h ...kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{Topic: "orders", Partition: p, Value: []byte(payload("orders", p, i)), Headers: h}
	}
	s, s2 := kgo.RecordHeader{Key: "type", Value: []byte("s")}, kgo.RecordHeader{Key: "type", Value: []byte("s2")}
	recs := []*kgo.Record{typed(0, 0, s), typed(0, 1, s2), typed(0, 2), typed(0, 3, s), typed(1, 0, s2), typed(1, 1, s)}
	if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 2)
	e.waitCommitted("orders", 1, 2)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.Unrouted) || !strings.Contains(p.Reason, "header") {
		t.Errorf("stopped as %s: %q, want %s naming the header", p.Stall, p.Reason, reason.Unrouted)
	}
	if st := r.b.Status(); st.Ready.Strict || len(st.Routes) != 2 {
		t.Errorf("ready = %+v with %d routes, want not ready and two routes", st.Ready, len(st.Routes))
	}
	if got := e.arrived(); len(got) != 4 {
		t.Errorf("arrived %v, want the four records that are not behind the poison", got)
	}
	if err := r.drain(); !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), "header") {
		t.Errorf("Run = %v, want unfinished with the reason: records behind the poison wait", err)
	}
	if at := e.committed("orders", 0); at != 2 {
		t.Errorf("committed = %d after the drain, want 2", at)
	}
}

func TestTooLargeRecordStopsItsPartitionExactlyBeforeIt(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.produce("orders", 0, 0, 3, 0)
	big := strings.Builder{}
	for i := 0; big.Len() < 600<<10; i++ { // does not shrink below a frame
		fmt.Fprintf(&big, "%x", uint64(i)*0x9e3779b97f4a7c15)
	}
	if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte(big.String())}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e.produce("orders", 0, 3, 3, 0)
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.TooLarge) || !strings.Contains(p.Reason, "offset 3") {
		t.Errorf("stopped as %s: %q, want %s naming offset 3", p.Stall, p.Reason, reason.TooLarge)
	}
	e.waitCommitted("orders", 0, 3)
}

// The proxies take nothing: fetching is held, the membership lives on, and all goes on when they do again.
func TestBudgetFullHoldsFetchingAndKeepsTheGroup(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxies(1))
	c := e.config("queue")
	c.Memory.Budget.N = 4 << 20
	c.Memory.FetchBytes.Auto, c.Memory.FetchBytes.N = false, 1<<20
	c.Pack.Bytes.N = 64 << 10
	e.proxies[0].Freeze(true)
	e.produce("orders", 0, 0, 4000, 2000)
	e.produce("orders", 1, 0, 1000, 2000)
	r := e.start(c)
	eventually(t, 20*time.Second, func() error {
		if s := r.b.Status(); s.Memory.Hold == "" && (len(s.Parts) == 0 || s.Parts[0].Stall == "") {
			return fmt.Errorf("nothing is held: %+v", s.Memory)
		}
		return nil
	})
	s := r.b.Status()
	if used := s.Sender.UsedBytes; used > s.Memory.SenderBytes {
		t.Errorf("the sender holds %d bytes, more than its share of %d", used, s.Memory.SenderBytes)
	}
	e.proxies[0].Freeze(false)
	e.waitCommitted("orders", 0, 4000)
	e.waitCommitted("orders", 1, 1000)
	e.expectAll(4000, 1000)
	if n := r.b.consumer.Counters.Revoked.Load(); n != 0 {
		t.Errorf("%d partitions were revoked meanwhile, want none", n)
	}
}

// One stream's packs are refused for a while: its partition is paused with the reason, the other runs.
func TestStalledStreamPausesItsPartitionOnly(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	c := e.config("queue")
	c.Pack.Compression = "none" // compressed, all of it would fit into the budget
	c.Memory.Budget.N = 4 << 20
	c.Memory.FetchBytes.Auto, c.Memory.FetchBytes.N = false, 1<<20
	for _, p := range e.proxies {
		p.DenyStream("g", "s2", true)
	}
	keyed := func(p int32, key string, from, n int) {
		recs := make([]*kgo.Record, n)
		for i := range recs {
			recs[i] = &kgo.Record{Topic: "orders", Partition: p, Key: []byte(key), Value: []byte(payload("orders", p, from+i) + strings.Repeat(".", 2000))}
		}
		for len(recs) > 0 { // in batches that a small fetch can hold
			some := recs[:min(50, len(recs))]
			if err := e.cl.ProduceSync(t.Context(), some...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			recs = recs[len(some):]
		}
	}
	keyed(0, "s2", 0, 3000)
	r := e.start(c)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == string(reason.StreamFull) })
	if p.Reason == "" || p.Stopped {
		t.Errorf("partition = %+v, want paused with a reason", p)
	}
	keyed(1, "s", 0, 2000)
	e.waitCommitted("orders", 1, 2000)
	for _, p := range e.proxies {
		p.DenyStream("g", "s2", false)
	}
	e.waitCommitted("orders", 0, 3000)
	e.expectAll(3000, 2000)
}

func TestDrainOnSigterm(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxy(dptest.WithQueueDelay(300*time.Millisecond)))
	e.produce("orders", 0, 0, 500, 100)
	r := e.start(e.config("queue"))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
	if err := r.drain(); err != nil {
		t.Fatalf("Run = %v, want a clean drain", err)
	}
	at := e.committed("orders", 0)
	if got := e.arrived(); int64(len(got)) != at || duplicates(got) != 0 {
		t.Errorf("%d records arrived and %d are committed, want the same", len(got), at)
	}
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 500)
	if d := duplicates(e.expectAll(500)); d != 0 {
		t.Errorf("%d duplicates after a clean drain, want none", d)
	}
}

func TestDrainWithUnfinishedWorkSaysSo(t *testing.T) {
	for _, hard := range []bool{false, true} {
		t.Run(fmt.Sprintf("hard=%v", hard), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			for _, p := range e.proxies {
				p.StallQueue(true)
			}
			e.produce("orders", 0, 0, 50, 0)
			c := e.config("queue")
			if !hard {
				c.Delivery.Drain = 300 * time.Millisecond
			}
			r := e.start(c)
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
			if hard {
				r.kill()
			}
			begun := time.Now()
			err := r.drain()
			if !errors.Is(err, ErrUnfinished) {
				t.Errorf("Run = %v, want ErrUnfinished", err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("the drain took %v", took)
			}
			if at := e.committed("orders", 0); at > 0 {
				t.Errorf("committed = %d, want nothing of what is not final", at)
			}
		})
	}
}

// Commits fail for a while: work goes on, and the newest checkpoint is committed once they work again.
func TestFailedCommitsAreTriedAgainAndNeverRewind(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	r := e.start(e.config("queue"))
	e.produce("orders", 0, 0, 10, 0)
	e.waitCommitted("orders", 0, 10)
	var over atomic.Bool
	e.refuseCommits(&over)
	e.produce("orders", 0, 10, 10, 0)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Final == 20 })
	eventually(t, 10*time.Second, func() error {
		if _, failed := r.b.consumer.Committer.Counts(); failed["rebalance"] < 2 {
			return errors.New("no failed commits were counted")
		}
		return nil
	})
	if at := e.committed("orders", 0); at != 10 {
		t.Errorf("committed = %d while commits fail, want 10", at)
	}
	over.Store(true)
	e.waitCommitted("orders", 0, 20)
}

// A partition has stopped at a poison record; what lies before it is still read again when a proxy loses it.
func TestStoppedPartitionStillDeliversWhatLiesBefore(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withProxies(1), withProxy(dptest.WithQueueDelay(300*time.Millisecond)))
	e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	var recs []*kgo.Record
	for i := range 50 {
		recs = append(recs, &kgo.Record{Topic: "orders", Key: []byte("s"), Value: []byte(payload("orders", 0, i))})
	}
	recs = append(recs, &kgo.Record{Topic: "orders", Value: []byte("no key")})
	if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := e.start(e.config("queue"))
	killWithMemory(t, r, e.proxies[0])
	if err := e.proxies[0].Restart(); err != nil {
		t.Fatal(err)
	}
	e.waitCommitted("orders", 0, 50)
	e.expectAll(50)
}

// With an eager balancer each rebalance takes every partition away and gives it back at once, while its packs
// are on their way and a proxy dies.
func TestReassignSamePartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxy(dptest.WithQueueDelay(150*time.Millisecond)))
	c := e.config("queue")
	c.Kafka.Balancer = "range"
	c.Delivery.RevokeWait = 20 * time.Millisecond
	r := e.start(c)
	for i := range 6 {
		e.produce("orders", 0, i*200, 200, 100)
		e.produce("orders", 1, i*200, 200, 100)
		r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
		if i == 3 {
			e.proxies[1].Kill()
		}
		before := r.b.consumer.Counters.Revoked.Load()
		r.b.consumer.Group.ForceRebalance()
		eventually(t, 20*time.Second, func() error {
			if r.b.consumer.Counters.Revoked.Load() == before || len(r.b.Status().Parts) < 2 {
				return errors.New("the partitions were not taken away and given back")
			}
			return nil
		})
	}
	if err := e.proxies[1].Restart(); err != nil {
		t.Fatal(err)
	}
	e.waitCommitted("orders", 0, 1200)
	e.waitCommitted("orders", 1, 1200)
	e.expectAll(1200, 1200)
}

// A static member goes without leaving and comes back to its partitions.
func TestStaticMemberComesBack(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c := e.config("queue")
	c.Kafka.InstanceID = "bridge-0"
	e.produce("orders", 0, 0, 100, 0)
	r := e.start(c)
	e.waitCommitted("orders", 0, 100)
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
	groups, err := e.adm.DescribeGroups(t.Context(), "bridge")
	if err != nil || len(groups["bridge"].Members) != 1 {
		t.Errorf("members after the drain = %+v, %v; want the static one to stay", groups["bridge"].Members, err)
	}
	e.produce("orders", 0, 100, 100, 0)
	e.start(c)
	e.waitCommitted("orders", 0, 200)
	if d := duplicates(e.expectAll(200)); d != 0 {
		t.Errorf("%d duplicates, want none", d)
	}
}

// The group throws the member out: nothing of the old assignments is committed, and it comes back.
func TestLostMembershipStartsAgainFromTheCommit(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withProxy(dptest.WithQueueDelay(200*time.Millisecond)))
	r := e.start(e.config("queue"))
	e.produce("orders", 0, 0, 50, 0)
	e.waitCommitted("orders", 0, 50)
	var thrown atomic.Bool
	e.kafka.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		thrown.Store(true)
		return resp, nil, true
	})
	e.produce("orders", 0, 50, 50, 0)
	eventually(t, 20*time.Second, func() error {
		if !thrown.Load() || r.b.consumer.Counters.Revoked.Load() == 0 {
			return errors.New("the member was not thrown out")
		}
		return nil
	})
	e.produce("orders", 0, 100, 50, 0)
	e.waitCommitted("orders", 0, 150)
	e.expectAll(150)
}

// The queue stands still: fetching is held at max_unfinal, and all goes on when the queue does.
func TestMaxUnfinalHoldsFetching(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, p := range e.proxies {
		p.StallQueue(true)
	}
	c := e.config("queue")
	c.Delivery.MaxUnfinal = 20
	c.Pack.Count = 5
	e.produce("orders", 0, 0, 500, 100)
	e.produce("orders", 1, 0, 500, 100)
	r := e.start(c)
	eventually(t, 10*time.Second, func() error {
		if s := r.b.Status(); s.Memory.Hold != reason.KindOf(reason.MaxUnfinal).Meaning || s.Memory.Unfinal < 20 {
			return fmt.Errorf("memory = %+v, want held by max_unfinal", s.Memory)
		}
		return nil
	})
	// The first fetch may have brought one of the two partitions or both.
	positions := func() (at int64, oldest time.Duration) {
		for _, p := range r.b.Status().Parts {
			at, oldest = at+p.Position, max(oldest, p.OldestUnfinal)
		}
		return at, oldest
	}
	held, _ := positions()
	e.produce("orders", 0, 500, 100, 100)
	eventually(t, 10*time.Second, func() error {
		if _, oldest := positions(); oldest < 500*time.Millisecond {
			return fmt.Errorf("the oldest record waits for %v, want half a second and more", oldest)
		}
		return nil
	})
	if now, _ := positions(); now != held {
		t.Errorf("positions went from %d to %d in all while held", held, now)
	}
	for _, p := range e.proxies {
		p.StallQueue(false)
	}
	e.waitCommitted("orders", 0, 600)
	e.waitCommitted("orders", 1, 500)
	if d := duplicates(e.expectAll(600, 500)); d != 0 {
		t.Errorf("%d duplicates, want none", d)
	}
}
