package commit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// Whatever became final of a log that is not there any more: its offsets mean nothing in the one that is.
func TestStoppedPartitionCommitsNothingMore(t *testing.T) {
	for _, code := range []reason.Code{reason.Recreated, reason.Truncated, reason.NoStart, reason.Gap} {
		p := anAssignment(t)
		s := &assigntest.Sender{Room: -1}
		p.Take(s, &assign.Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}, assigntest.Records(0, 10))
		s.Settle(sdk.Final)
		p.Stop(part.Stop(p.ID(), code, -1, "test"))
		r := beginRound([]*assign.Assignment{p}, &idCheck{all: true}, time.Now())
		if got, want := len(r.parts), map[bool]int{true: 1}[code == reason.Gap]; got != want {
			t.Errorf("stopped as %s: %d partitions are committed, want %d", code, got, want)
		}
	}
}

// An offset that the books do not prove is not committed, and the operator hears of it.
func TestBooksThatDoNotAddUpStopThePartition(t *testing.T) {
	p := anAssignment(t)
	p.From.Books.From = 3 // three offsets are in no book
	s := &assigntest.Sender{Room: -1}
	p.Take(s, &assign.Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}, assigntest.Records(0, 10))
	s.Settle(sdk.Final)
	if r := beginRound([]*assign.Assignment{p}, &idCheck{all: true}, time.Now()); len(r.parts) != 0 {
		t.Error("an offset is committed that the books do not add up to")
	}
	if h := p.Stopped(); h == nil || h.Code != reason.Unbalanced || !strings.Contains(h.Own.Text(), "begin at 3 and account for 10 offsets, which is not offset 10") {
		t.Errorf("the partition is stopped as %v, want unbalanced with the sums", h)
	}
	if Wants(p) {
		t.Error("it is offered again")
	}
}

// A deleted topic's offsets are committed only once the same topic is there again.
func TestDeletedTopicCommitsOnlyAfterItsIDIsConfirmed(t *testing.T) {
	p := anAssignment(t)
	s := &assigntest.Sender{Room: -1}
	p.Take(s, &assign.Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}, assigntest.Records(0, 10))
	s.Settle(sdk.Final)
	p.Stop(part.Deleted(p.ID()))
	if r := beginRound([]*assign.Assignment{p}, &idCheck{all: true}, time.Now()); len(r.parts) != 0 {
		t.Error("a deleted topic's offset is committed without asking")
	}
	if r := beginRound([]*assign.Assignment{p}, &idCheck{all: true, agreed: map[string]bool{"t": true}}, time.Now()); len(r.parts) != 1 {
		t.Error("the topic is back under its id, and nothing is committed")
	}
}

// quiet is told nothing.
type quiet struct{}

func (quiet) Moved()                                                        {}
func (quiet) Lost(*assign.Assignment, checkpoint.Piece, checkpoint.Origin)  {}
func (quiet) Halve(*assign.Assignment, checkpoint.Piece, checkpoint.Origin) {}
func (quiet) Stopped(*assign.Assignment, *reason.Reason)                    {}
func (quiet) Freed(*assign.Assignment)                                      {}

func anAssignment(t *testing.T) *assign.Assignment {
	t.Helper()
	return assign.New(assign.Spec{Partition: part.ID{Topic: "t"}, Topic: &assign.Topic{Name: "t"}, Router: assigntest.RouterByHeader(t, false), Limit: -1},
		quiet{}, new(gate.Gates).New("t", 0), new(assign.PendingBytes))
}

// Where an assignment begins is offered until the coordinator has taken it: another process would begin elsewhere.
func TestStartThatTheCoordinatorRefusedIsOfferedAgain(t *testing.T) {
	p := anAssignment(t)
	p.From.CommitFirst = true
	for _, taken := range []bool{false, true} {
		if !Wants(p) {
			t.Fatal("the start is not offered, though the coordinator has not taken it")
		}
		o, ok := NewOffer(p, time.Now())
		if !ok || !o.start || o.Offset != 0 {
			t.Fatalf("the offer is %+v, %v; want the start", o, ok)
		}
		o.Ended(taken, time.Now())
	}
	if Wants(p) {
		t.Error("the start is offered again, though the coordinator took it")
	}
}

func TestCommitClassesAreBounded(t *testing.T) {
	if got := classOf(errors.New("?")); got != "other" {
		t.Errorf("class of an unknown error = %q, want other", got)
	}
}

func TestCommitErrorClassesAreKnown(t *testing.T) {
	for _, err := range []error{
		kerr.RebalanceInProgress, kerr.FencedInstanceID, kerr.IllegalGeneration, kerr.NotCoordinator, kerr.GroupAuthorizationFailed,
		kerr.UnknownTopicID, context.DeadlineExceeded, errors.New("anything"),
	} {
		if class := classOf(err); !slices.Contains(Classes, class) {
			t.Errorf("%v is of the class %s, which is not among %v", err, class, Classes)
		}
	}
}
