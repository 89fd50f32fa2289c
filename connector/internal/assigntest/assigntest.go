// Package assigntest has what tests of assignments share: a sender that takes what it is told to, records, and routers.
package assigntest

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/internal/route"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/frame"
)

// Sender takes what it is told to and keeps what it took by piece.
type Sender struct {
	Room  int   // records it takes before err; -1 for all
	Err   error // why not more
	Pack  int   // records of a pack, 0 for all of a batch
	Taken map[uint64]Piece
	Order []string
}

type Piece struct {
	Token    sdk.Token
	Payloads []string
	repair   bool
}

func (f *Sender) TrySendBatch(b *sdk.Batch) (int, error) {
	n := len(b.Payloads)
	var err error
	if f.Room >= 0 && f.Room < n {
		n, err = f.Room, f.Err
	}
	if f.Room >= 0 {
		f.Room -= n
	}
	step := f.Pack
	if step == 0 {
		step = max(n, 1)
	}
	for from := 0; from < n; from += step {
		to := min(from+step, n)
		pc := b.Packed(from, to)
		if f.Taken == nil {
			f.Taken = make(map[uint64]Piece)
		}
		fp := Piece{Token: b.Token, repair: b.Repair}
		for _, p := range b.Payloads[from:to] {
			fp.Payloads = append(fp.Payloads, string(p))
			f.Order = append(f.Order, string(p))
		}
		f.Taken[pc] = fp
	}
	return n, err
}

func (f *Sender) Settle(o sdk.Outcome) {
	for pc, p := range f.Taken {
		p.Token.Settled(pc, sdk.Result{Outcome: o})
	}
}

func Records(from, n int) (out []*kgo.Record) {
	for i := range n {
		out = append(out, Record(int64(from+i), []string{"a", "b"}[i%2], 0, fmt.Sprint(from+i)))
	}
	return out
}

// Mapping parses routes.
func Mapping(t testing.TB, text string) *mapping.Table {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	tab, problems := mapping.Parse(n.Content[0])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return tab
}

// RouterByHeader routes topic t by header "s"; without it the record is skipped, or fails when stop is set.
func RouterByHeader(t *testing.T, stop bool) *route.Router {
	t.Helper()
	unmatched := "skip"
	if stop {
		unmatched = "error"
	}
	tab := Mapping(t, "- {topics: [t], group: g, stream: '{header:s}', unmatched: "+unmatched+"}\n")
	rt, err := route.NewRouter(tab.ForTopic("t"), route.NewTable(func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil }, 0))
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func Record(offset int64, stream string, minute int64, value string) *kgo.Record {
	r := &kgo.Record{Topic: "t", Offset: offset, Value: []byte(value), Timestamp: time.Unix(minute*60, 0)}
	if stream != "" {
		r.Headers = []kgo.RecordHeader{{Key: "s", Value: []byte(stream)}}
	}
	return r
}

func RouterBy(tb testing.TB, rule string) *route.Router {
	tb.Helper()
	return RouterOf(tb, rule, func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil })
}

// RouterOf is the router of a rule whose streams open makes.
func RouterOf(tb testing.TB, rule string, open func(group, stream string) (*sdk.Stream, error)) *route.Router {
	tb.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(rule), &n); err != nil {
		tb.Fatal(err)
	}
	tab, problems := mapping.Parse(n.Content[0])
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	rt, err := route.NewRouter(tab.ForTopic("t"), route.NewTable(open, 0))
	if err != nil {
		tb.Fatal(err)
	}
	return rt
}

// KeyedRecords is n records of size bytes whose keys and headers name 1,000 streams in turn.
func KeyedRecords(n, size int) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		id := fmt.Appendf(nil, "%d", i%1000)
		out[i] = &kgo.Record{
			Topic: "t", Offset: int64(i), Key: id, Value: make([]byte, size), Timestamp: time.Unix(6000, 0),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("0af7651916cd43dd")}, {Key: "s", Value: id}},
		}
	}
	return out
}

// Pack is what lies in the queue of a pack with these attributes.
func Pack(t testing.TB, attr string) []byte {
	t.Helper()
	p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Attr: []byte(attr)}
	if _, err := frame.AppendPack(nil, &p, frame.AppendItem(nil, []byte("x")), false); err != nil {
		t.Fatal(err)
	}
	v, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Ways are how the rules of these tests find the stream of a record.
var Ways = []struct{ Name, Rule string }{
	{"fixed", "- {topics: [t], group: g, stream: s}\n"},
	{"key over 1000 streams", "- {topics: [t], group: g, stream: 's{key}'}\n"},
	{"header over 1000 streams", "- {topics: [t], group: g, stream: '{header:s}'}\n"},
}
