package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/finality"
)

// schedules is how many random schedules a test run tries; see sdk/dptest/seeds.
func schedules() (fixed, fresh int) {
	if raceEnabled {
		return 40, 20
	}
	return 200, 100
}

// TestRandomFaults: whatever proxies, network and queue do, every message ends in exactly one verdict,
// what is final is known to a proxy (and, in mode queue, lies in the queue), all becomes final once the
// faults are over, and no byte, buffer or goroutine is left.
func TestRandomFaults(t *testing.T) {
	fixed, fresh := schedules()
	seeds.Run(t, fixed, fresh, func(t *testing.T, seed uint64) {
		t.Parallel()
		bubble(t, func(t *testing.T) { randomFaults(t, seed) })
	})
}

// oracle knows what the proxies stored.
type oracle struct {
	mu     sync.Mutex
	stored map[string]int
}

func (o *oracle) stores(t *testing.T) dptest.Option {
	return dptest.WithOnPack(func(p dptest.PackInfo) {
		records, err := recordsOf(&p)
		if err != nil {
			t.Errorf("a proxy stored what cannot be read: %v", err)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, r := range records {
			o.stored[p.Stream+"/"+r]++
		}
	})
}

// recordsOf reads the records of a pack of any type.
func recordsOf(p *dptest.PackInfo) (records []string, err error) {
	if p.Text != nil {
		return textRecords(p.Text)
	}
	items, err := p.Pack.Items(1 << 20)
	for _, i := range items {
		records = append(records, string(i))
	}
	return records, err
}

func (o *oracle) has(stream, payload string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stored[stream+"/"+payload] > 0
}

func randomFaults(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	mode := finality.Mode(seed % 3)
	typ := [...]sdk.MessageType{sdk.Type7, sdk.Type5, sdk.Type7, sdk.Type3}[seed/3%4]
	o := &oracle{stored: make(map[string]int)}
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1+rnd.IntN(2), 1+rnd.IntN(2)), log: newLedger(t), text: typ != sdk.Type7}
	for i := range 1 + rnd.IntN(3) {
		e.addProxy(fmt.Sprintf("dp%d:46801", i+1), dptest.WithSeed(seed), o.stores(t))
	}
	cfg := finality.DefaultConfig(mode)
	if rnd.IntN(3) == 0 {
		cfg.Rate, cfg.WindowPacks = 1<<20, 20
	}
	names := &lists{addrs: map[string][]string{"g": e.addrs()}}
	source := sdk.WithProxies(e.addrs()...)
	if rnd.IntN(2) == 0 {
		source = sdk.WithLister(names.ask)
	}
	opts := []sdk.Option{
		source, sdk.WithRefresh(300 * time.Millisecond), sdk.WithFinality(cfg), sdk.WithInstance("me"),
		sdk.WithConnections(1 + rnd.IntN(3)), sdk.WithMaxFrame(16 << 10),
		sdk.WithPack(1+rnd.IntN(8<<10), 1+rnd.IntN(20), time.Duration(rnd.IntN(20))*time.Millisecond),
		sdk.WithBudget(128<<10, 32<<10), sdk.WithMaxOpenPacks(1 + rnd.IntN(5)), sdk.WithCompression(sdk.Compression(rnd.IntN(3))),
		sdk.WithSeed(seed), sdk.WithIsolation(sdk.Isolation(rnd.IntN(3))), sdk.WithSlowStart(time.Duration(rnd.IntN(3)) * time.Second),
		sdk.WithBacklog(1 + rnd.IntN(1000)), sdk.WithMessageType(typ),
	}
	if rnd.IntN(2) == 0 {
		opts = append(opts, sdk.WithRefusedRetry(time.Second, time.Minute))
	}
	// Their own source, so that the schedules of fixed seeds stay what they are.
	limits := rand.New(rand.NewPCG(seed, 2))
	if limits.IntN(2) == 0 {
		opts = append(opts, sdk.WithMaxProxies(1+limits.IntN(2)))
	}
	if limits.IntN(2) == 0 {
		opts = append(opts, sdk.WithMaxConnLifetime(time.Second+time.Duration(limits.IntN(5000))*time.Millisecond))
	}
	opts = append(opts, sdk.WithHooks(sdk.Hooks{ConnEnded: func(c sdk.ConnEvent) {
		if c.Reason == "drained" && c.Unanswered != 0 {
			t.Errorf("a connection with %d packs in flight was closed as drained", c.Unanswered)
		}
	}}))
	stopReader := func() {}
	if mode == finality.Queue {
		r := &reader{queue: e.queue, at: make(map[[2]int]int64), instance: "me"}
		e.sender = e.newSender(append(opts, sdk.WithConfirmer(r))...)
		r.seen = e.sender.Seen
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
					r.read()
				}
			}
		}()
		stopReader = func() { close(stop); <-stopped }
		e.sender.QueueAnswers(true)
	} else {
		e.sender = e.newSender(opts...)
	}

	// Senders of every kind, while faults come and go.
	const streams = 3
	var senders sync.WaitGroup
	singles := make([]int, streams) // callbacks told per stream
	sentSingles := make([]int, streams)
	var token sdk.Token = e.log
	if rnd.IntN(2) == 0 {
		token = &splitter{ledger: e.log}
	}
	repaired := &repairer{e: e, token: token, from: make(map[uint64]bool)}
	for i := range streams {
		st := e.stream(string(rune('a' + i)))
		own := rand.New(rand.NewPCG(seed, uint64(i+2)))
		senders.Go(func() {
			for range 60 {
				if own.IntN(3) == 0 {
					m := sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh()}
					if own.IntN(4) == 0 && typ == sdk.Type7 {
						m.Attrs = []sdk.Attr{{Key: "k", Value: strconv.Itoa(i)}}
					}
					err := e.sender.SendAsync(context.Background(), m, func(sdk.Result) { singles[i]++ })
					for errors.Is(err, sdk.ErrForgotten) {
						st = e.stream(st.Name())
						m.Stream = st
						err = e.sender.SendAsync(context.Background(), m, func(sdk.Result) { singles[i]++ })
					}
					if err != nil {
						t.Errorf("SendAsync: %v", err)
					}
					sentSingles[i]++
				} else {
					payloads := make([][]byte, 1+own.IntN(20))
					for j := range payloads {
						payloads[j] = e.log.fresh()
					}
					b := e.log.batch(st, payloads)
					b.Token = token
					if own.IntN(4) == 0 && typ == sdk.Type7 {
						b.Attrs = make([][]sdk.Attr, len(payloads))
						b.Attrs[0] = []sdk.Attr{{Key: "k", Value: strconv.Itoa(i)}}
					}
					n, err := e.sender.SendBatch(context.Background(), b)
					for errors.Is(err, sdk.ErrForgotten) { // and what was taken before is final already
						st = e.stream(st.Name())
						payloads = payloads[n:]
						rest := e.log.batch(st, payloads)
						if rest.Token = token; b.Attrs != nil {
							rest.Attrs = b.Attrs[n:]
						}
						b = rest
						n, err = e.sender.SendBatch(context.Background(), b)
					}
					if n != len(payloads) || err != nil {
						t.Errorf("SendBatch = %d, %v", n, err)
					}
				}
				time.Sleep(time.Duration(own.IntN(500)) * time.Millisecond)
			}
		})
	}
	for range 40 {
		fault(e, rnd, mode, names)
		e.sender.ForgetStream(e.stream(string(rune('a' + rnd.IntN(streams)))))
		time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
		repaired.run()
	}
	names.hangs(false)
	names.set("g", nil, e.addrs()...)
	for _, p := range e.proxies {
		heal(p)
	}
	for c := range e.queue.Clusters() {
		e.queue.Resume(c)
	}
	senders.Wait()

	// What is lost is sent anew until all is final.
	// What one proxy rejects may have to wait for another whose connections ended before anything settled: for minutes.
	deadline := time.Now().Add(20 * time.Minute)
	done := func() bool {
		s := e.sender.Status()
		return repaired.allFinal() && s.OpenPacks+s.WaitingPacks == 0
	}
	for !done() && time.Now().Before(deadline) {
		time.Sleep(time.Second)
		repaired.run()
	}
	if !done() {
		t.Errorf("not all is final 20 minutes after the last fault: %+v", e.sender.Status())
	}
	e.log.forget()
	e.close(time.Minute)
	stopReader()
	e.log.mu.Lock()
	e.log.closed = true
	e.log.mu.Unlock()

	for i := range singles {
		if singles[i] != sentSingles[i] {
			t.Errorf("stream %d: %d callbacks for %d messages", i, singles[i], sentSingles[i])
		}
	}
	queued := make(map[string]map[string]int)
	for i := range streams {
		name := string(rune('a' + i))
		queued[name] = make(map[string]int)
		for record, n := range e.arrived(name) {
			for line := range strings.SplitSeq(record, "\n") { // type 3; no record has a line feed
				queued[name][line] += n
			}
		}
	}
	for i, told := range e.log.told {
		for _, r := range told {
			if r.Outcome != sdk.Final {
				continue
			}
			for _, payload := range e.log.pieces[i] {
				name := e.log.streams[i]
				if !o.has(name, payload) {
					t.Errorf("final, but no proxy knows it: %s", payload)
				}
				if mode == finality.Queue && queued[name][payload] == 0 {
					t.Errorf("final, but not in the queue: %s", payload)
				}
			}
		}
	}
	if s := e.sender.Status(); s.UsedBytes != 0 || s.OpenPacks+s.WaitingPacks+s.UnfinalPacks != 0 {
		t.Errorf("left after Close: %+v", s)
	}
}

// repairer sends the records of lost pieces anew, as a reader of the source would. It never waits.
type repairer struct {
	e     *env
	token sdk.Token
	from  map[uint64]bool // pieces that were taken over
	queue []lostRecords
}

type lostRecords struct {
	stream   string
	payloads [][]byte
}

func (r *repairer) run() {
	l := r.e.log
	l.mu.Lock()
	for i, told := range l.told {
		if n := len(told); n > 0 && told[n-1].Outcome == sdk.Lost && !r.from[uint64(i)] {
			r.from[uint64(i)] = true
			var payloads [][]byte
			for _, p := range l.pieces[i] {
				payloads = append(payloads, []byte(p))
			}
			r.queue = append(r.queue, lostRecords{l.streams[i], payloads})
		}
	}
	l.mu.Unlock()
	for len(r.queue) > 0 {
		x := &r.queue[0]
		b := l.batch(r.e.stream(x.stream), x.payloads)
		b.Repair, b.Token = true, r.token
		n, err := r.e.sender.TrySendBatch(b)
		x.payloads = x.payloads[n:]
		if err != nil {
			if !errors.Is(err, sdk.ErrBufferFull) {
				r.e.t.Errorf("sending anew: %v", err)
			}
			return
		}
		r.queue = r.queue[1:]
	}
}

// allFinal: every piece is final, lost and sent anew, split, or refused permanently. That is right for damage, and for
// a record whose answers were cut off so often that it looks like poison, and for nothing else here.
func (r *repairer) allFinal() bool {
	l := r.e.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(r.queue) > 0 {
		return false
	}
	for i, told := range l.told {
		if l.pieces[i] == nil {
			continue // split
		}
		if len(told) == 0 {
			return false
		}
		last := told[len(told)-1]
		var ack *sdk.AckError
		var poison *sdk.PoisonError
		switch {
		case last.Outcome == sdk.Final:
		case last.Outcome == sdk.Lost && r.from[uint64(i)]:
		case last.Outcome == sdk.Refused && errors.As(last.Err, &ack) && (ack.Code == 94 || ack.Code == 104): // twice: permanently
		case last.Outcome == sdk.Refused && errors.As(last.Err, &poison) && poison.Deaths >= 8:
		default:
			return false
		}
	}
	return true
}

// fault does something bad, or ends something bad.
func fault(e *env, rnd *rand.Rand, mode finality.Mode, names *lists) {
	p := e.proxies[rnd.IntN(len(e.proxies))]
	on := rnd.IntN(2) == 0
	share := float64(rnd.IntN(2)) * rnd.Float64() / 2
	switch rnd.IntN(21) {
	case 0:
		p.Kill()
	case 1, 2:
		p.Restart() //nolint:errcheck // fails while it runs
	case 3:
		p.Freeze(on)
	case 4:
		p.ResetConnections()
	case 5:
		p.CloseConnections()
	case 6:
		p.Code(114, share)
	case 7:
		code := 94
		if e.text {
			code = 104 // what damage looks like there
		}
		p.Code(code, share/10)
	case 8:
		p.DenyStream("g", string(rune('a'+rnd.IntN(3))), on)
	case 9:
		p.AckDelay(time.Duration(rnd.IntN(3000)) * time.Millisecond * time.Duration(rnd.IntN(2)))
	case 10:
		p.SwallowAck(rnd.IntN(3))
	case 11:
		p.CloseMidAck(share)
	case 12:
		p.DuplicateAcks(share)
		p.AcksOutOfOrder(share)
	case 13:
		p.WrongUniq(share)
	case 14:
		p.StallQueue(on)
	case 15:
		e.net.Reset("")
	case 16:
		p.Code(2, share)
	case 17:
		if mode == finality.Queue {
			p.DropStream("g", string(rune('a'+rnd.IntN(3))), on)
		} else {
			p.Zombie(on)
		}
	case 18:
		var some []string // perhaps none: an answer that is never applied
		for _, addr := range e.addrs() {
			if rnd.IntN(2) == 0 {
				some = append(some, addr)
			}
		}
		names.set("g", nil, some...)
	case 19:
		names.set("g", errors.New("the Manager is away"))
	case 20:
		names.hangs(on)
	}
}

func heal(p *dptest.Proxy) {
	p.Freeze(false)
	p.Zombie(false)
	p.StallQueue(false)
	p.AckDelay(0)
	p.SwallowAck(0)
	p.CloseMidAck(0)
	p.DuplicateAcks(0)
	p.AcksOutOfOrder(0)
	p.WrongUniq(0)
	for _, code := range []int{2, 94, 104, 114} {
		p.Code(code, 0)
	}
	for _, s := range []string{"a", "b", "c"} {
		p.DenyStream("g", s, false)
		p.DropStream("g", s, false)
	}
	p.Restart() //nolint:errcheck // fails while it runs
}
