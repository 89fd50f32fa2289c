package connector

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/consume"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
)

// joins hangs the group's joins while on, and counts those of the bridge.
type joins struct {
	hang    atomic.Bool
	release chan struct{}
	asked   atomic.Int64
	hung    atomic.Int64
}

// control looks at the JoinGroup requests of k.
func (j *joins) control(k *kfake.Cluster) {
	j.release = make(chan struct{})
	k.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if len(req.(*kmsg.JoinGroupRequest).Protocols) > 1 { // of bubble.other
			return nil, nil, false
		}
		j.asked.Add(1)
		if j.hang.Load() {
			j.hung.Add(1)
			k.SleepControl(func() { <-j.release })
		}
		return nil, nil, false
	})
}

func (j *joins) free() {
	if j.hang.Swap(false) {
		close(j.release)
	}
}

func TestReadyOnlyAfterTheFirstJoin(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		var j joins
		j.hang.Store(true)
		j.control(k)
		defer j.free()
		w.start()
		<-w.b.Ready()
		time.Sleep(5 * time.Second)
		if code, body := w.says("/readyz"); code != 503 || !strings.Contains(body, "starting: the bridge has not joined its group yet") {
			t.Errorf("/readyz = %d %s", code, body)
		}
		j.free()
		w.until("it is ready", func() bool { code, _ := w.says("/readyz"); return code == 200 })
	})
}

func TestSignalWhileTheFirstJoinHangs(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		var j joins
		j.hang.Store(true)
		j.control(k)
		defer j.free()
		w.start()
		w.until("it joins", func() bool { return j.asked.Load() > 0 })
		time.Sleep(5 * time.Second)
		asked := j.asked.Load()
		w.stop()
		if err := w.wait(time.Second); err != nil {
			t.Errorf("Run = %v, want nil: nothing was moved", err)
		}
		j.free()
		time.Sleep(time.Minute)
		if n := j.asked.Load() - asked; n != 0 {
			t.Errorf("%d joins came after the signal", n)
		}
		if g := k.GroupInfo("bridge"); g != nil && g.NumAssigned() > 0 {
			t.Errorf("the group assigned %d partitions to a bridge that is gone", g.NumAssigned())
		}
	})
}

// other is another member of the group; its joins are not counted.
func (w *bubble) other() *kgo.Client {
	w.t.Helper()
	return w.client(otherMember()...)
}

// shared reports whether the group has come to rest with one partition for each of two members.
func shared(k *kfake.Cluster) bool {
	g := k.GroupInfo("bridge")
	return g != nil && g.State == "Stable" && len(g.Members) == 2 && g.Members[0].NumAssigned() == 1 && g.Members[1].NumAssigned() == 1
}

func otherMember() []kgo.Opt {
	return []kgo.Opt{kgo.ConsumerGroup("bridge"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.StickyBalancer())}
}

// holds is how many partitions of orders the bridge has begun.
func (w *bubble) holds(n int) bool { return w.b.Status().Ready.Ready && len(w.b.table.Assigned()) == n }

// underWay puts ten records into a partition that the bridge holds. They are in flight until the proxy thaws.
func (w *bubble) underWay(cl *kgo.Client, partition int32) {
	w.t.Helper()
	w.proxy.Freeze(true)
	w.produce(cl, partition, 10)
	w.until("all is under way", func() bool { return w.b.table.Lookup(part.ID{Topic: "orders", Num: partition}).Expects() == 10 })
}

// A rebalance begins while the bridge drains. It waits for the drain, and the member leaves instead of joining again.
func TestNothingIsJoinedWhileTheBridgeStops(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		var j joins
		j.control(k)
		w.start()
		cl := w.client()
		w.until("it has both partitions", func() bool { return w.holds(2) })
		w.underWay(cl, 0)
		w.stop()
		time.Sleep(time.Second)
		asked := j.asked.Load()
		w.other()
		time.Sleep(10 * time.Second)
		w.proxy.Freeze(false)
		if err := w.wait(10 * time.Second); err != nil {
			t.Errorf("Run = %v, want a clean drain", err)
		}
		if at := w.committed(cl, 0); at != 10 {
			t.Errorf("committed offset %d, want 10", at)
		}
		w.until("the other member has both partitions", func() bool {
			g := k.GroupInfo("bridge")
			return g != nil && len(g.Members) == 1 && g.NumAssigned() == 2
		})
		if n := j.asked.Load() - asked; n != 0 {
			t.Errorf("%d joins came after the signal", n)
		}
	})
}

// rejoining is a bridge that holds one partition, with records under way, and whose join for the other one hangs.
func (w *bubble) rejoining(k *kfake.Cluster, j *joins, cl *kgo.Client) (kept, late int32) {
	w.t.Helper()
	j.control(k)
	w.start()
	w.until("it has both partitions", func() bool { return w.holds(2) })
	other := w.other()
	w.until("each has one", func() bool { return w.holds(1) && shared(k) })
	kept = w.b.table.Assigned()[0].Partition.Num
	late = 1 - kept
	w.underWay(cl, kept)
	w.produce(cl, late, 10)
	j.hang.Store(true)
	other.Close()
	w.until("it joins again", func() bool { return j.hung.Load() > 0 })
	return kept, late
}

// 1. a join hangs  2. the signal comes  3. the join ends and assigns a partition, while the bridge drains
// Nothing of that partition is fetched.
func TestPartitionsOfALateJoinAreNotBegun(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		cl := w.client()
		var j joins
		kept, late := w.rejoining(k, &j, cl)
		defer j.free()
		w.stop()
		time.Sleep(2 * time.Second)
		sessions := w.b.consumer.Sessions()
		j.free()
		w.until("the join has ended", func() bool { return w.b.consumer.Sessions() > sessions })
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			if w.b.table.Lookup(part.ID{Topic: "orders", Num: late}) != nil {
				t.Fatal("a partition was begun after the signal")
			}
		}
		w.proxy.Freeze(false)
		if err := w.wait(10 * time.Second); err != nil {
			t.Errorf("Run = %v, want a clean drain", err)
		}
		if at := w.committed(cl, kept); at != 10 {
			t.Errorf("committed offset %d, want 10", at)
		}
		if at := w.committed(cl, late); at > 0 {
			t.Errorf("offset %d of the late partition was committed", at)
		}
		if n := w.log.lines("partitions assigned while the bridge stops", "partitions=1"); n != 1 {
			t.Errorf("%d lines say that a partition is not begun, want 1", n)
		}
	})
}

// A join hangs for ever. What was under way is committed all the same, and the member leaves.
func TestSignalWhileAJoinHangsCommitsAndLeaves(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		cl := w.client()
		var j joins
		kept, _ := w.rejoining(k, &j, cl)
		defer j.free()
		w.stop()
		time.Sleep(5 * time.Second)
		w.proxy.Freeze(false)
		if err := w.wait(10 * time.Second); err != nil {
			t.Errorf("Run = %v, want a clean drain", err)
		}
		if at := w.committed(cl, kept); at != 10 {
			t.Errorf("committed offset %d, want 10", at)
		}
		if g := k.GroupInfo("bridge"); g != nil && len(g.Members) > 0 {
			t.Errorf("the group still has members: %+v", g.Members)
		}
	})
}

// 1. a join hangs, and the client holds a commit back until it ends  2. the signal comes
// The commit is made another way. In real time: the client's lock would stop a bubble's clock.
func TestCommitThatAJoinHoldsBackIsMadeAfterTheSignal(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var j joins
	j.control(e.kafka)
	defer j.free()
	c := e.config("ack")
	c.Kafka.CommitTimeout = time.Minute
	r := e.start(c)
	holds := func(n int) {
		t.Helper()
		eventually(t, 20*time.Second, func() error {
			if s := r.b.Status(); !s.Ready.Ready || len(s.Parts) != n {
				return fmt.Errorf("%d partitions, ready %+v", len(s.Parts), s.Ready)
			}
			return nil
		})
	}
	holds(2)
	other, err := kgo.NewClient(append(otherMember(), kgo.SeedBrokers(e.kafka.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() error {
		if !shared(e.kafka) {
			return errors.New("the group does not share the partitions")
		}
		return nil
	})
	holds(1)
	kept := r.b.table.Assigned()[0].Partition.Num
	j.hang.Store(true)
	other.Close()
	eventually(t, 20*time.Second, func() error {
		if j.hung.Load() == 0 {
			return errors.New("it does not join again")
		}
		return nil
	})
	e.produce("orders", kept, 0, 10, 0)
	r.part("orders", kept, func(p PartitionStatus) bool { return p.Final == 10 })
	eventually(t, 20*time.Second, func() error {
		if !r.b.consumer.Committer.Busy() {
			return errors.New("no commit is under way")
		}
		return nil
	})
	if err := r.drain(); err != nil {
		t.Errorf("Run = %v, want a clean drain", err)
	}
	if at := e.committed("orders", kept); at != 10 {
		t.Errorf("committed offset %d, want 10", at)
	}
}

// A second signal ends what the first one began, with a join that hangs and a proxy that does not answer.
func TestSecondSignalWhileAJoinHangs(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		var j joins
		w.rejoining(k, &j, w.client())
		defer j.free()
		w.stop()
		time.Sleep(time.Second)
		w.kill()
		if err := w.wait(2500 * time.Millisecond); !errors.Is(err, ErrUnfinished) {
			t.Errorf("Run = %v, want ErrUnfinished", err)
		}
	})
}

// Leaving itself hangs: the coordinator does not answer.
func TestLeavingAGroupThatDoesNotAnswerIsCutOff(t *testing.T) {
	inBubble(t, nil, func(w *bubble) {
		k := w.kafka(nil, "orders")
		k.ControlKey(int16(kmsg.LeaveGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			k.KeepControl()
			return nil, nil, true // read, and never answered
		})
		w.start()
		w.until("it has both partitions", func() bool { return w.holds(2) })
		w.stop()
		if err := w.wait(consume.LeaveBound + 2*consume.CloseBound + time.Second); err != nil {
			t.Errorf("Run = %v, want a clean drain", err)
		}
		if n := w.log.lines("level=WARN", "leaving the group takes too long and is cut off"); n != 1 {
			t.Errorf("%d lines say that leaving was cut off, want 1", n)
		}
	})
}

// 1. a letter cannot be written, and its partition stops  2. the topic is mended, and the letter is written  3. the signal comes before the
// watch loop has looked. Nothing is left to do, and nothing stands in the way.
func TestSignalRightAfterADeadLetterTopicIsMendedEndsClean(t *testing.T) {
	letters := func(c *config.Config) {
		other, err := config.Parse("t.yaml", []byte("kafka: {brokers: ['k:1'], group: g}\ninlong: {proxies: ['p:1']}\nroutes:\n"+keyed("dead_letter")), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		c.Routes, c.DeadLetter = other.Routes, other.DeadLetter
	}
	inBubble(t, letters, func(w *bubble) {
		w.kafka(nil, "orders")
		cl := w.client()
		w.produce(cl, 0, 1) // without a key
		w.start()
		w.until("the partition is stopped", func() bool { return len(w.b.table.Stopped()) == 1 })
		if _, err := kadm.NewClient(cl).CreateTopic(w.t.Context(), 1, 1, nil, "letters"); err != nil {
			w.t.Fatal(err)
		}
		w.until("the letter is written", func() bool {
			return slices.ContainsFunc(w.b.Status().Counters.DeadLetters, func(s observe.SetAside) bool { return s.N > 0 })
		})
		if len(w.b.table.Stopped()) == 0 {
			w.t.Fatal("the watch loop was quicker; this is no test")
		}
		w.stop()
		if err := w.wait(10 * time.Second); err != nil {
			w.t.Errorf("Run = %v, want nil: the letter is written", err)
		}
		if at := w.committed(cl, 0); at != 1 {
			w.t.Errorf("committed = %d, want 1", at)
		}
	})
}
