package observe

import (
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// watched drives the stall detection over one partition with a clock of its own.
type watched struct {
	w    stalls
	now  time.Time
	part PartitionStatus
	code reason.Code
}

func watch() *watched {
	return &watched{
		w: stalls{after: time.Minute}, now: time.Unix(1_700_000_000, 0), code: reason.NotSeen,
		part: PartitionStatus{Topic: "orders", Assignment: 1, Condition: new(gate.Gates).New("orders", 0).Condition()},
	}
}

// pass lets time go by in looks of ten seconds and returns what was found at the last, and what was to be logged.
func (k *watched) pass(d time.Duration) (last []stall, logged int) {
	for end := k.now.Add(d); k.now.Before(end); {
		k.now = k.now.Add(10 * time.Second)
		last = k.w.look(k.now, []PartitionStatus{k.part}, func(*PartitionStatus) ([]gate.Entry, string) {
			return []gate.Entry{{Key: reason.Key{Code: k.code, Scope: reason.Process}}}, ""
		})
		for _, v := range last {
			if v.tell || v.lasted > 0 {
				logged++
			}
		}
	}
	return last, logged
}

func TestStallsAreFoundByTheLagNeverByTraffic(t *testing.T) {
	k := watch()
	if last, logged := k.pass(24 * time.Hour); len(last)+logged != 0 {
		t.Fatalf("an idle partition at its end was found stuck: %+v", last)
	}
	k.part.Behind = 5 // the lag begins now, however long nothing moved before
	if last, _ := k.pass(50 * time.Second); len(last) != 0 {
		t.Errorf("found stuck %+v before the time has passed", last)
	}
	if last, logged := k.pass(30 * time.Second); len(last) != 1 || last[0].part.Behind != 5 || logged != 1 {
		t.Errorf("found %+v and logged %d times, want one partition with lag 5, logged once", last, logged)
	}
}

func TestNoStallIsFoundWhileTheFinalOffsetMoves(t *testing.T) {
	k := watch()
	k.part.Behind = 1000
	for range 30 {
		k.part.Final++
		if last, _ := k.pass(50 * time.Second); len(last) != 0 {
			t.Fatalf("a partition that moves every 50 s was found stuck: %+v", last)
		}
	}
}

func TestStallIsLoggedOnceAndItsEndOnce(t *testing.T) {
	k := watch()
	k.part.Behind = 10
	if _, logged := k.pass(9 * time.Minute); logged != 1 {
		t.Errorf("logged %d times in nine minutes, want once", logged)
	}
	k.code = reason.NoProxy
	if last, logged := k.pass(time.Minute); logged != 1 || last[0].code != reason.NoProxy {
		t.Errorf("a new reason was logged %d times: %+v", logged, last)
	}
	if _, logged := k.pass(time.Hour); logged != 6 {
		t.Errorf("logged %d times in an hour, want every %v", logged, tellAgain)
	}
	k.part.Final++
	last, logged := k.pass(10 * time.Second)
	if len(last) != 1 || last[0].lasted < 70*time.Minute || last[0].code != reason.NoProxy || logged != 1 {
		t.Errorf("its end was told as %+v, want one with how long it took", last)
	}
	if last, _ := k.pass(50 * time.Second); len(last) != 0 {
		t.Errorf("found %+v after it moved", last)
	}
}

func TestAssignmentsThatEndedAreForgotten(t *testing.T) {
	k := watch()
	k.part.Behind = 10
	k.pass(2 * time.Minute)
	k.part.Assignment++ // assigned again, at the same offset
	if last, logged := k.pass(50 * time.Second); len(last)+logged != 0 {
		t.Errorf("the new assignment was found stuck at once: %+v", last)
	}
	if len(k.w.marks) != 1 {
		t.Errorf("%d assignments are remembered, want 1", len(k.w.marks))
	}
}

func TestReasonOfAStallIsTheOneNearestToItsRoot(t *testing.T) {
	up := sdk.EndpointStatus{Address: "a", Connections: 1}
	full := sdk.EndpointStatus{Address: "a", Connections: 1, Code: sdk.EndpointWindowFull}
	slow := sdk.EndpointStatus{Address: "a", Connections: 1, Code: sdk.EndpointSlowAcks, Reason: "slow acks"}
	gone := sdk.EndpointStatus{Address: "a", LastError: "connection refused"}
	memory := sdk.EndpointStatus{Address: "a", Connections: 1, Code: sdk.EndpointRefuses, Reason: "errCode 114"}
	frozen := sdk.EndpointStatus{Address: "a", Connections: 1, InFlightPacks: 150, AckedPacks: 14}
	holds := sdk.EndpointStatus{Address: "a", Connections: 1, InFlightPacks: 1, AckedPacks: 14}
	denied := sdk.StreamStatus{Group: "g", Stream: "s", Stall: "errCode 115"}
	other := sdk.StreamStatus{Group: "g", Stream: "else", Stall: "errCode 115"}
	answers, silent := &confirm.Status{Answers: true}, &confirm.Status{Clusters: []confirm.ClusterStatus{{Name: "mq", LastError: "refused"}}}
	routes := []RouteStatus{{"g", "s"}, {"g", "else"}}
	sender := func(eps ...sdk.EndpointStatus) sdk.Status { return sdk.Status{Endpoints: eps} }
	streams := func(s sdk.Status, list ...sdk.StreamStatus) sdk.Status { s.Streams = list; return s }
	toS, toElse := &RouteStatus{"g", "s"}, &RouteStatus{"g", "else"}
	for _, tt := range []struct {
		name   string
		want   reason.Code
		detail string
		s      Status
		part   PartitionStatus
		own    reason.Code // in its condition
		posted reason.Code // on the board
		held   bool
	}{
		{name: "group session", want: reason.Rebalance, detail: "Rebalance", part: PartitionStatus{Unfinal: 3}, posted: reason.Rebalance},
		{name: "broker's error", want: reason.Fault, detail: "no leader", own: reason.Fault},
		{name: "nothing is fetched", want: reason.NotFetched, detail: "returns none"},
		{name: "open transaction", want: reason.Transaction, detail: "transaction", part: PartitionStatus{OpenTransaction: true}},
		{name: "fetching is held by the budget", want: reason.Budget, held: true, posted: reason.Budget, s: Status{Sender: sender(up)}},
		{name: "fetching is held by max_unfinal", want: reason.MaxUnfinal, held: true, posted: reason.MaxUnfinal, s: Status{Sender: sender(up)}},
		{name: "fetching was held because the queue is silent", want: reason.Queue, detail: "mq", held: true, s: Status{Queue: silent, Sender: sender(up)}},
		{name: "no proxy", want: reason.NoProxy, detail: "connection refused", part: PartitionStatus{Unfinal: 3}, posted: reason.Budget,
			s: Status{Queue: silent, Sender: streams(sender(gone), denied)}},
		{name: "silent queue under full windows", want: reason.Queue, detail: "mq does not answer", part: PartitionStatus{Unfinal: 3}, s: Status{Queue: silent, Sender: sender(full)}},
		{name: "its stream stalls", want: reason.StreamStalled, detail: "g.s: errCode 115", part: PartitionStatus{Unfinal: 3, Oldest: toS}, s: Status{Queue: answers, Sender: streams(sender(up), other, denied)}},
		{name: "another stream stalls", want: reason.NotSeen, part: PartitionStatus{Unfinal: 3, Oldest: toS}, s: Status{Queue: answers, Sender: streams(sender(up), other)}},
		{name: "of two streams that stall, the one of its oldest piece", want: reason.StreamStalled, detail: "g.else", part: PartitionStatus{Unfinal: 3, Oldest: toElse},
			s: Status{Queue: answers, Sender: streams(sender(up), denied, other)}},
		{name: "lost pieces cannot be read again", want: reason.Reread, detail: "not read again", part: PartitionStatus{Unfinal: 3, Repair: true}, s: Status{Queue: answers, Sender: sender(full)}},
		{name: "windows full", want: reason.WindowFull, part: PartitionStatus{Unfinal: 3}, posted: reason.Budget, s: Status{Queue: answers, Sender: sender(full, gone)}},
		{name: "slow proxy", want: reason.Endpoint, detail: "slow acks", part: PartitionStatus{Unfinal: 3}, s: Status{Sender: sender(full, slow)}},
		{name: "every proxy refuses, and the stream says so too", want: reason.Endpoint, detail: "114", part: PartitionStatus{Unfinal: 3, Oldest: toS},
			s: Status{Queue: answers, Sender: streams(sender(memory, memory), denied)}},
		{name: "one proxy of two refuses, the stream is refused", want: reason.StreamStalled, detail: "115", part: PartitionStatus{Unfinal: 3, Oldest: toS},
			s: Status{Queue: answers, Sender: streams(sender(memory, up), denied)}},
		// Two proxies were frozen, and the reason pointed at their queue.
		{name: "proxies that do not answer", want: reason.NoAck, detail: "300 packs are in flight", part: PartitionStatus{Unfinal: 3}, posted: reason.Budget, s: Status{Queue: answers, Sender: sender(frozen, frozen)}},
		{name: "proxies that answer and do not deliver", want: reason.NotSeen, detail: "not seen", part: PartitionStatus{Unfinal: 3}, s: Status{Queue: answers, Sender: sender(holds, holds)}},
		{name: "acked and not seen", want: reason.NotSeen, detail: "not seen", part: PartitionStatus{Unfinal: 3}, s: Status{Queue: answers, Sender: sender(up)}},
		{name: "no acks", want: reason.NoAck, part: PartitionStatus{Unfinal: 3}, s: Status{Sender: sender(up)}},
	} {
		now := time.Unix(1_700_000_000, 0)
		g := new(gate.Gates).New("orders", 0)
		if tt.own != "" {
			g.Add(reason.New(reason.Key{Code: tt.own, Scope: reason.Partition, Object: "orders/0"}, now, "no leader"), true)
		}
		tt.part.Topic, tt.part.Condition = "orders", g.Condition()
		tt.s.Routes = routes
		var board reason.Board
		if tt.posted != "" {
			k := reason.KindOf(tt.posted)
			board.Set(reason.New(reason.Key{Code: tt.posted, Scope: k.Scopes[0]}, now, "Rebalance or "+k.Meaning))
		}
		board.Replace("snapshot", derived(&tt.s, now))
		assemble(&tt.s, board.Snapshot(), now)
		found, text := whyStuck(&tt.s, indexOf(tt.s.Conditions), &tt.part, tt.held, now)
		if len(found) == 0 || found[0].Code != tt.want || text == "" || !strings.Contains(text, tt.detail) {
			t.Errorf("%s: %+v (%s), want %s with %q", tt.name, found, text, tt.want, tt.detail)
		}
	}
}
