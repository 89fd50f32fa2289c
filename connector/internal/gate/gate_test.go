package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest/seeds"
)

// client is a Kafka client as far as pausing goes: it keeps pauses by partition, and they outlive assignments.
type client struct {
	mu     sync.Mutex
	paused map[string]bool
	away   map[string]bool // partitions that are not this process's now
	bad    []string        // what the client was told about partitions that are away
	calls  int
}

func newClient() *client {
	return &client{paused: make(map[string]bool), away: make(map[string]bool)}
}

func (c *client) PauseFetchPartitions(m map[string][]int32) map[string][]int32 {
	c.set(m, true)
	return nil
}

func (c *client) ResumeFetchPartitions(m map[string][]int32) { c.set(m, false) }

func (c *client) set(m map[string][]int32, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	for topic, nums := range m {
		for _, num := range nums {
			name := fmt.Sprintf("%s/%d", topic, num)
			if c.away[name] {
				c.bad = append(c.bad, name)
			}
			c.paused[name] = paused
		}
	}
}

func (c *client) is(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused[name]
}

func (c *client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

var t0 = time.Unix(1_700_000_000, 0)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

func own(code reason.Code) reason.Key {
	return reason.Key{Code: code, Scope: reason.Partition, Object: "orders/0"}
}

func shared(code reason.Code) reason.Key { return reason.Key{Code: code, Scope: reason.Process} }

func why(code reason.Code, since time.Time) reason.Reason {
	return reason.New(own(code), since, "it is so; hint: do something")
}

// begun is a gate whose assignment began, and its client.
func begun() (*Gates, *client, *Gate) {
	gs, c := new(Gates), newClient()
	gs.Attach(c)
	g := gs.New("orders", 0)
	gs.Begin(g)
	return gs, c, g
}

func (c *client) want(t *testing.T, paused bool, when string) {
	t.Helper()
	if got := c.is("orders/0"); got != paused {
		t.Errorf("%s: paused = %v, want %v", when, got, paused)
	}
}

func TestPartitionIsPausedWhileAnyReasonClosesAndResumedWhenTheLastOneEnds(t *testing.T) {
	_, c, g := begun()
	c.want(t, false, "without a reason")
	g.Add(why(reason.Fault, at(1)), true)
	c.want(t, true, "with one reason")
	g.Refer(shared(reason.MaxUnfinal), at(2), true)
	g.Refer(shared(reason.Budget), at(3), false)
	before := c.count()
	g.Drop(own(reason.Fault))
	c.want(t, true, "with the second reason left")
	if c.count() != before {
		t.Errorf("the client was told %d times that nothing changed", c.count()-before)
	}
	g.Drop(shared(reason.MaxUnfinal))
	c.want(t, false, "with a reason left that does not close")
	if g.Condition().Closed() || len(g.Condition().Entries()) != 1 {
		t.Errorf("condition = %+v, want one entry that does not close", g.Condition().Entries())
	}
}

func TestReasonThatIsTriedStaysAndNoLongerCloses(t *testing.T) {
	_, c, g := begun()
	g.Add(why(reason.Fault, at(1)), true)
	g.Try(own(reason.Fault))
	c.want(t, false, "tried")
	if e := g.Condition().Get(own(reason.Fault)); e == nil || e.Closes || !e.Since.Equal(at(1)) {
		t.Errorf("entry = %+v, want it there since its beginning and not closing", e)
	}
	if g.Add(why(reason.Fault, at(9)), true) {
		t.Error("the same fault again counts as new")
	}
	c.want(t, true, "failed again")
	g.Add(why(reason.Deleted, at(10)), true)
	g.Drop(own(reason.Fault))
	g.Try(own(reason.Deleted))
	c.want(t, true, "a stop is not tried by reading on")
}

func TestReasonThatNeverEndsByItselfIsNeverDropped(t *testing.T) {
	for _, k := range reason.Kinds() {
		if !slices.Contains(k.Scopes, reason.Partition) {
			continue
		}
		_, c, g := begun()
		g.Add(why(k.Code, at(1)), true)
		_, dropped := g.Drop(own(k.Code))
		if dropped == k.Terminal || c.is("orders/0") != k.Terminal {
			t.Errorf("%s: dropped = %v and paused = %v, want it kept if and only if it is terminal (%v)", k.Code, dropped, c.is("orders/0"), k.Terminal)
		}
	}
	_, _, g := begun()
	g.Refer(own(reason.Loop), at(1), true)
	if _, dropped := g.Drop(own(reason.Loop)); dropped {
		t.Error("a reference to a reason that never ends was dropped")
	}
	_, c, g := begun()
	r := why(reason.Deleted, at(1))
	r.Terminal = true // this one alone
	g.Add(r, true)
	if _, dropped := g.Drop(own(reason.Deleted)); dropped {
		t.Error("a reason that says of itself that it never ends was dropped")
	}
	c.want(t, true, "terminal by itself")
}

func TestReasonThatIsAddedAgainKeepsItsTimeAndIsNotNew(t *testing.T) {
	_, _, g := begun()
	if !g.Add(why(reason.Fault, at(1)), true) {
		t.Error("the first is not new")
	}
	again := reason.New(own(reason.Fault), at(5), "another sentence")
	if g.Add(again, true) {
		t.Error("the second is new")
	}
	e := g.Condition().Entries()
	if len(e) != 1 || !e[0].Since.Equal(at(1)) || !e[0].Own.Since.Equal(at(1)) || e[0].Own.Sentence != "another sentence" {
		t.Errorf("entries = %+v (%+v), want one with the first time and the last sentence", e, e[0].Own)
	}
	if !g.Refer(shared(reason.Budget), at(6), false) || g.Refer(shared(reason.Budget), at(7), false) {
		t.Error("a reference is new the first time, and only then")
	}
	dropped, ok := g.Drop(own(reason.Fault))
	if !ok || !dropped.Since.Equal(at(1)) {
		t.Errorf("dropped %+v, %v, want the entry with its time", dropped, ok)
	}
	if !g.Add(why(reason.Fault, at(8)), true) {
		t.Error("one that ended and comes back is not new")
	}
}

// A pause outlives its assignment inside the client.
func TestPauseLeftByAnEarlierAssignmentIsLiftedWhenTheNextBegins(t *testing.T) {
	gs, c, g := begun()
	g.Add(why(reason.Gap, at(1)), true)
	g.End()
	c.want(t, true, "the client keeps the pause")
	gs.Begin(gs.New("orders", 0))
	c.want(t, false, "the next assignment has no reason")
}

func TestReasonFromBeforeTheBeginningPausesAtTheBeginning(t *testing.T) {
	gs, c := new(Gates), newClient()
	gs.Attach(c)
	g := gs.New("orders", 0)
	g.Add(why(reason.Truncated, at(1)), true)
	if c.count() != 0 {
		t.Error("the client was told of an assignment that it does not know yet")
	}
	gs.Begin(g)
	c.want(t, true, "begun with a reason")
}

func TestEndedAssignmentTellsTheClientNothingMore(t *testing.T) {
	_, c, g := begun()
	g.Add(why(reason.Fault, at(1)), true)
	g.End()
	before := c.count()
	g.Drop(own(reason.Fault))
	g.Add(why(reason.Poison, at(2)), true)
	g.Refer(shared(reason.Draining), at(3), true)
	g.Try(own(reason.Fault))
	g.Stall(nil)
	if c.count() != before || !g.Ended() {
		t.Errorf("told %d times after the end", c.count()-before)
	}
}

// News of the old assignment come late: the new one is neither paused nor resumed by them.
func TestLateNewsOfAnOldAssignmentDoNotTouchTheNewOne(t *testing.T) {
	gs, c, old := begun()
	old.Refer(shared(reason.MaxUnfinal), at(1), true)
	old.End()
	next := gs.New("orders", 0)
	gs.Begin(next)
	old.Add(why(reason.Refused, at(2)), true)
	c.want(t, false, "a refusal of the old one")
	next.Add(why(reason.Fault, at(3)), true)
	old.Drop(shared(reason.MaxUnfinal))
	gs.Refer([]*Gate{old}, shared(reason.Draining), at(4), true)
	c.want(t, true, "the end of a reason of the old one")
}

func TestManyGatesAreToldInOneCall(t *testing.T) {
	gs, c := new(Gates), newClient()
	gs.Attach(c)
	var all []*Gate
	for i := range 5000 {
		all = append(all, gs.New(fmt.Sprint("topic", i%7), int32(i)))
	}
	gs.Begin(all...)
	if c.count() != 1 {
		t.Errorf("%d calls for 5,000 that begin, want 1", c.count())
	}
	gs.Refer(all, shared(reason.Draining), at(1), true)
	if c.count() != 2 {
		t.Errorf("%d calls for the drain of 5,000, want 1", c.count()-1)
	}
	for _, g := range all {
		if !c.is(fmt.Sprintf("%s/%d", g.topic, g.num)) {
			t.Fatalf("%s/%d is fetched while draining", g.topic, g.num)
		}
	}
}

func TestDrainClosesAlsoWhatBeginsLater(t *testing.T) {
	gs, c, g := begun()
	gs.Refer([]*Gate{g}, shared(reason.Draining), at(1), true)
	g.Drop(own(reason.Fault)) // what ends meanwhile opens nothing
	c.want(t, true, "draining")
	g.End()
	late := gs.New("orders", 0)
	late.Refer(shared(reason.Draining), at(2), true)
	gs.Begin(late)
	c.want(t, true, "assigned while draining")
}

// A full stream closes; a full budget does not, because the polling itself stops then.
func TestParkedRecordsCloseForAFullStreamOnly(t *testing.T) {
	_, c, g := begun()
	stream := reason.Key{Code: reason.StreamFull, Scope: reason.Stream, Object: "g/s"}
	g.Refer(shared(reason.Budget), at(1), false)
	c.want(t, false, "budget full")
	g.Refer(stream, at(2), true)
	g.Drop(shared(reason.Budget))
	c.want(t, true, "stream full")
	if e := g.Condition().Find(reason.StreamFull); e == nil || e.Key != stream || e.Own != nil {
		t.Errorf("entry = %+v, want a reference to the stream's reason", e)
	}
	g.Drop(stream)
	c.want(t, false, "room again")
}

func found(k reason.Key, behind time.Time) Entry { return Entry{Key: k, Behind: behind} }

func TestStallDetectionAddsAndRemovesOnlyWhatItFound(t *testing.T) {
	_, c, g := begun()
	g.Refer(shared(reason.MaxUnfinal), at(1), true)
	before := c.count()
	text := why(reason.NotFetched, at(9))
	g.Stall([]Entry{found(shared(reason.MaxUnfinal), at(2)), {Key: text.Key, Own: &text, Behind: at(2), Closes: true}})
	own := g.Condition().Get(own(reason.NotFetched))
	if own == nil || own.Closes || !own.Since.Equal(at(2)) || !own.Own.Since.Equal(at(2)) || !own.Behind.Equal(at(2)) {
		t.Errorf("found entry = %+v, want it since the last progress, not closing", own)
	}
	if e := g.Condition().Behind(); e == nil || e.Key != shared(reason.MaxUnfinal) {
		t.Errorf("behind because of %+v, want the reason that was there", e)
	}
	later := why(reason.NotFetched, at(20))
	later.Sentence = "with another figure"
	g.Stall([]Entry{{Key: later.Key, Own: &later, Behind: at(2)}})
	if e := g.Condition().Get(text.Key); e == nil || e.Own.Sentence != "with another figure" || !e.Own.Since.Equal(at(2)) {
		t.Errorf("found again = %+v, want the new sentence and the old time", e)
	}
	if e := g.Condition().Get(shared(reason.MaxUnfinal)); e == nil || !e.Behind.IsZero() {
		t.Errorf("%+v, want the reason there and no longer a cause of the stall", e)
	}
	g.Stall(nil)
	if e := g.Condition().Entries(); len(e) != 1 || e[0].Key != shared(reason.MaxUnfinal) || !e[0].Closes || !e[0].Behind.IsZero() {
		t.Errorf("entries = %+v, want the reason that was there before alone", e)
	}
	if c.count() != before {
		t.Errorf("the stall detection told the client %d times", c.count()-before)
	}
}

// The proxies refuse the stream to which a partition's oldest piece goes. That stops the partitions whose packs they refused, and
// no other: what is fetched of one that has stopped is dropped, and only who ended a stop goes back for it.
func TestReasonThatIsOnlyFoundDoesNotStop(t *testing.T) {
	_, c, g := begun()
	refused := reason.Key{Code: reason.Refused, Scope: reason.Stream, Object: "g/s"}
	g.Stall([]Entry{found(refused, at(1))})
	if g.Condition().Stop() != nil || g.Condition().Closed() {
		t.Error("a partition that is behind because of a stream has stopped")
	}
	if !g.Refer(refused, at(5), true) {
		t.Error("the stop is no news, because the stall detection named its reason before")
	}
	if s := g.Condition().Stop(); s == nil || !s.Since.Equal(at(5)) {
		t.Errorf("stop = %+v, want it since its own beginning", s)
	}
	g.Stall(nil)
	if g.Condition().Stop() == nil || len(g.Condition().Entries()) != 1 {
		t.Error("the stall detection removed a reason that its owner put there")
	}
	c.want(t, true, "stopped")
}

func TestStopThatNeverEndsComesBeforeOneThatMay(t *testing.T) {
	_, _, g := begun()
	g.Add(why(reason.Fault, at(1)), true)
	if g.Condition().Stop() != nil {
		t.Error("a fault that is tried again is no stop")
	}
	for i, step := range []struct{ add, want reason.Code }{
		{reason.Deleted, reason.Deleted}, {reason.TooLarge, reason.Deleted}, {reason.Recreated, reason.Recreated}, {reason.Gap, reason.Recreated},
	} {
		g.Add(why(step.add, at(2+i)), true)
		if got := g.Condition().Stop(); got == nil || got.Code != step.want {
			t.Errorf("after %s: stop = %+v, want %s", step.add, got, step.want)
		}
	}
}

func TestConditionIsNeverChangedUnderItsReader(t *testing.T) {
	_, _, g := begun()
	g.Add(why(reason.Fault, at(1)), true)
	g.Refer(shared(reason.Budget), at(2), false)
	c := g.Condition()
	was := fmt.Sprint(c.Entries(), c.Closed())
	g.Try(own(reason.Fault))
	g.Stall([]Entry{found(shared(reason.Budget), at(3))})
	g.Drop(own(reason.Fault))
	g.Add(why(reason.Gap, at(4)), true)
	if got := fmt.Sprint(c.Entries(), c.Closed()); got != was {
		t.Errorf("the condition that was read became %s, was %s", got, was)
	}
}

// hasty is a client during whose pause somebody else ends the reason for it.
type hasty struct {
	*client
	meanwhile func()
}

func (h hasty) PauseFetchPartitions(m map[string][]int32) map[string][]int32 {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.meanwhile()
	}()
	select {
	case <-done: // it did not wait for its turn
	case <-time.After(20 * time.Millisecond):
	}
	return h.client.PauseFetchPartitions(m)
}

// 1. a reason closes the gate, and the client is about to be told  2. the reason ends. The client hears of 2 last.
func TestClientIsToldInTheOrderOfTheChanges(t *testing.T) {
	gs, c := new(Gates), newClient()
	g := gs.New("orders", 0)
	var wg sync.WaitGroup
	wg.Add(1)
	gs.Attach(hasty{c, func() {
		defer wg.Done()
		g.Drop(own(reason.Fault))
	}})
	gs.Begin(g)
	g.Add(why(reason.Fault, at(1)), true)
	wg.Wait()
	c.want(t, false, "closed and opened again")
}

func TestStrandedPiecesAreCounted(t *testing.T) {
	_, _, g := begun()
	g.Strand(3)
	g.Strand(-1)
	if g.Stranded() != 2 {
		t.Errorf("stranded = %d, want 2", g.Stranded())
	}
}

// oracle is a gate without any of its tricks.
type oracle struct {
	list []oracleEntry
}

type oracleEntry struct {
	key            reason.Key
	since, behind  time.Time
	closes, gotten bool // gotten: by the stall detection alone
}

func (o *oracle) index(k reason.Key) int {
	return slices.IndexFunc(o.list, func(e oracleEntry) bool { return e.key == k })
}

func (o *oracle) put(k reason.Key, now time.Time, closes bool) bool {
	i := o.index(k)
	if i >= 0 && !o.list[i].gotten {
		o.list[i].closes = closes
		return false
	}
	e := oracleEntry{key: k, since: now, closes: closes}
	if i >= 0 {
		e.behind = o.list[i].behind
		o.list = slices.Delete(o.list, i, i+1)
	}
	o.list = append(o.list, e)
	return true
}

func (o *oracle) drop(k reason.Key) bool {
	i := o.index(k)
	if i < 0 || reason.KindOf(k.Code).Terminal {
		return false
	}
	o.list = slices.Delete(o.list, i, i+1)
	return true
}

func (o *oracle) stall(found []Entry) {
	var list []oracleEntry
	for _, e := range o.list {
		e.behind = time.Time{}
		for _, f := range found {
			if f.Key == e.key {
				e.behind = f.Behind
			}
		}
		if !e.gotten || !e.behind.IsZero() {
			list = append(list, e)
		}
	}
	for _, f := range found {
		if o.index(f.Key) < 0 {
			list = append(list, oracleEntry{key: f.Key, since: f.Behind, behind: f.Behind, gotten: true})
		}
	}
	o.list = list
}

func (o *oracle) closed() bool {
	return slices.ContainsFunc(o.list, func(e oracleEntry) bool { return e.closes })
}

func (o *oracle) stop() (code reason.Code) {
	for _, terminal := range []bool{true, false} {
		for _, e := range o.list {
			if k := reason.KindOf(e.key.Code); code == "" && k.Stops && k.Terminal == terminal && !e.gotten {
				code = e.key.Code
			}
		}
	}
	return code
}

var drawn = []reason.Key{
	own(reason.Fault), own(reason.Deleted), own(reason.TooLarge), own(reason.Gap), own(reason.MaxUnfinal), shared(reason.Budget), shared(reason.Draining),
	{Code: reason.StreamFull, Scope: reason.Stream, Object: "g/s"}, {Code: reason.Refused, Scope: reason.Stream, Object: "g/s"},
}

// draw does something to a gate, and says to the oracle what.
func draw(r *rand.Rand, g *Gate, o *oracle, now time.Time) error {
	k := drawn[r.IntN(len(drawn))]
	closes := r.IntN(3) > 0
	switch r.IntN(7) {
	case 0, 1:
		got, want := g.Refer(k, now, closes), o.put(k, now, closes)
		if got != want {
			return fmt.Errorf("Refer(%v) = %v, want %v", k, got, want)
		}
	case 2:
		got, want := g.Add(reason.New(k, now, "so"), closes), o.put(k, now, closes)
		if got != want {
			return fmt.Errorf("Add(%v) = %v, want %v", k, got, want)
		}
	case 3, 4:
		if _, got := g.Drop(k); got != o.drop(k) {
			return fmt.Errorf("Drop(%v) = %v", k, got)
		}
	case 5:
		g.Try(k)
		if i := o.index(k); i >= 0 && !reason.KindOf(k.Code).Stops {
			o.list[i].closes = false
		}
	default:
		var list []Entry
		for _, i := range r.Perm(len(drawn))[:r.IntN(3)] {
			list = append(list, found(drawn[i], now))
		}
		g.Stall(list)
		o.stall(list)
	}
	return nil
}

func same(g *Gate, o *oracle) error {
	c := g.Condition()
	if len(c.Entries()) != len(o.list) || c.Closed() != o.closed() {
		return fmt.Errorf("condition %+v (closed %v), want %+v (closed %v)", c.Entries(), c.Closed(), o.list, o.closed())
	}
	for i, e := range c.Entries() {
		if w := o.list[i]; e.Key != w.key || !e.Since.Equal(w.since) || !e.Behind.Equal(w.behind) || e.Closes != w.closes {
			return fmt.Errorf("entry %d is %+v, want %+v", i, e, w)
		}
	}
	if s := c.Stop(); s == nil && o.stop() != "" || s != nil && s.Code != o.stop() {
		return fmt.Errorf("stop = %+v, want %q", s, o.stop())
	}
	return nil
}

// Whatever happens to the assignments of a partition one after the other, the client has paused it exactly while the condition of
// the one that is there is closed.
func TestGateIsWhatAListOfReasonsSays(t *testing.T) {
	seeds.Run(t, 100, 50, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		gs, c := new(Gates), newClient()
		gs.Attach(c)
		type pair struct {
			g *Gate
			o *oracle
		}
		var now *pair
		var old []pair
		for step := range 200 {
			switch {
			case now == nil || r.IntN(25) == 0:
				if now != nil {
					now.g.End()
					old = append(old, *now)
				}
				now = &pair{gs.New("orders", 0), new(oracle)}
				for range r.IntN(3) {
					if err := draw(r, now.g, now.o, at(step)); err != nil {
						t.Fatal(err)
					}
				}
				gs.Begin(now.g)
			case len(old) > 0 && r.IntN(4) == 0: // late news
				p := old[r.IntN(len(old))]
				if err := draw(r, p.g, p.o, at(step)); err != nil {
					t.Fatal(err)
				}
			default:
				if err := draw(r, now.g, now.o, at(step)); err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
			}
			if err := same(now.g, now.o); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			if c.is("orders/0") != now.g.Condition().Closed() {
				t.Fatalf("step %d: paused = %v with the condition %+v", step, c.is("orders/0"), now.g.Condition().Entries())
			}
		}
	})
}

// The same from several goroutines, as the poll loop, the sender's dispatcher, the watch loop and the observer do it, while
// assignments end and begin.
func TestClientIsPausedAsTheConditionSaysWhoeverChangesIt(t *testing.T) {
	seeds.Run(t, 10, 5, func(t *testing.T, seed uint64) {
		const partitions = 3
		gs, c := new(Gates), newClient()
		gs.Attach(c)
		var mu sync.Mutex
		var every []*Gate // of all assignments so far
		var now [partitions]*Gate
		begin := func(num int32) {
			g := gs.New("orders", num)
			gs.Begin(g)
			mu.Lock()
			defer mu.Unlock()
			now[num], every = g, append(every, g)
		}
		for num := range int32(partitions) {
			begin(num)
		}
		for round := range 10 {
			var wg sync.WaitGroup
			for w := range 4 {
				r := rand.New(rand.NewPCG(seed, uint64(10*round+w)))
				wg.Go(func() {
					for i := range 60 {
						mu.Lock()
						g := every[len(every)-1-r.IntN(min(len(every), 2*partitions))]
						all := slices.Clone(now[:])
						mu.Unlock()
						if r.IntN(20) == 0 {
							gs.Refer(all, drawn[r.IntN(len(drawn))], at(i), true)
							continue
						}
						_ = draw(r, g, new(oracle), at(i)) // what it returns depends on the others
						if k := g.Condition(); k.Closed() != slices.ContainsFunc(k.Entries(), func(e Entry) bool { return e.Closes }) {
							t.Error("a condition contradicts itself")
						}
					}
				})
			}
			r := rand.New(rand.NewPCG(seed, uint64(10*round+9)))
			wg.Go(func() { // rebalances
				for range 5 {
					num := int32(r.IntN(partitions))
					name := fmt.Sprintf("orders/%d", num)
					mu.Lock()
					g := now[num]
					mu.Unlock()
					g.End()
					c.mu.Lock()
					c.away[name] = true
					c.mu.Unlock()
					for range r.IntN(200) { // others go on meanwhile
						g.Condition()
					}
					c.mu.Lock()
					c.away[name] = false
					c.mu.Unlock()
					begin(num)
				}
			})
			wg.Wait()
			for num, g := range now {
				if name := fmt.Sprintf("orders/%d", num); c.is(name) != g.Condition().Closed() {
					t.Fatalf("%s: paused = %v, closed = %v: %+v", name, c.is(name), g.Condition().Closed(), g.Condition().Entries())
				}
			}
		}
		if len(c.bad) > 0 {
			t.Errorf("the client was told about %v while they were away", c.bad)
		}
	})
}
