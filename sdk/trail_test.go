package sdk_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// numbered is trails that are lists: the number of each record, as long as the text has room.
type numbered struct {
	t     *testing.T
	chars int // the most that is used; 0 for what is allowed
	width int // of a number, with zeros before it
	begun int
	least int // of what was allowed
}

func (n *numbered) Begin(chars int) sdk.Trail {
	if n.begun++; n.least == 0 || chars < n.least {
		n.least = chars
	}
	if n.chars > 0 {
		chars = min(chars, n.chars)
	}
	return &numbers{chars: chars, width: n.width}
}

func (n *numbered) Cut(text string, records, from, to int) (string, error) {
	list := strings.Split(text, ".")
	if len(list) != records || from < 0 || to > records || from >= to {
		return "", fmt.Errorf("records [%d, %d) of %d, of which %d are told", from, to, records, len(list))
	}
	return strings.Join(list[from:to], "."), nil
}

type numbers struct {
	chars, width int
	text         []byte
}

func (n *numbers) Add(of any, from, to int) int {
	for i, number := range of.([]int)[from:to] {
		with := n.text
		if len(with) > 0 {
			with = append(with, '.')
		}
		if with = fmt.Appendf(with, "%0*d", n.width, number); len(with) > n.chars {
			return i
		}
		n.text = with
	}
	return to - from
}

func (n *numbers) AppendTo(dst []byte) []byte { return append(dst, n.text...) }

// batches makes numbered records: a record begins with its number.
type batches struct {
	e      *env
	r      *rand.Rand
	next   int
	trails bool
}

func (b *batches) batch(st *sdk.Stream, token sdk.Token, n, most int) *sdk.Batch {
	var payloads [][]byte
	var of []int
	for range n {
		b.next++
		p := make([]byte, 4+b.r.IntN(most))
		binary.BigEndian.PutUint32(p, uint32(b.next))
		payloads, of = append(payloads, p), append(of, b.next)
	}
	batch := b.e.log.batch(st, payloads)
	if batch.Token = token; b.trails {
		batch.Trail = of
	}
	return batch
}

// wantTrails fails the test unless each pack of a stream in the queue names its own records, and all of them are there. It
// returns the number of packs and of repeats.
func wantTrails(t *testing.T, e *env, name string, records int, without map[int]bool) (packs, repeats int) {
	t.Helper()
	seen := make(map[int]bool)
	for c := range e.queue.Clusters() {
		for p := range e.queue.Partitions(c) {
			for _, m := range e.queue.Read(c, p, 0) {
				if m.Stream != name {
					continue
				}
				packs++
				pack, err := frame.DecodeInLongMsg(m.Value)
				if err != nil {
					t.Fatal(err)
				}
				items, err := pack.ItemsAttrs(1 << 20)
				if err != nil {
					t.Fatal(err)
				}
				if len(pack.Attr) > 2<<10 {
					t.Fatalf("attributes of %d bytes", len(pack.Attr))
				}
				src, ok := frame.Attribute(pack.Attr, "src")
				list := strings.Split(string(src), ".")
				if ok && len(list) != len(items) {
					t.Fatalf("a pack of %d records tells of %d: %s", len(items), len(list), pack.Attr)
				}
				for i, item := range items {
					number := int(binary.BigEndian.Uint32(item.Data))
					switch {
					case ok == without[number]:
						t.Fatalf("record %d lies in a pack with trail %v", number, ok)
					case ok && strings.TrimLeft(list[i], "0") != strconv.Itoa(number):
						t.Fatalf("record %d is told as %s", number, list[i])
					case seen[number]:
						repeats++
					}
					seen[number] = true
				}
			}
		}
	}
	if len(seen) != records {
		t.Fatalf("%d records lie in the queue, want %d", len(seen), records)
	}
	return packs, repeats
}

// TestEachPackNamesItsOwnRecords hands over batches of all kinds, with little room for trails, to proxies that kill
// connections and refuse large frames, so that packs are shared, sealed early, sent again and cut.
func TestEachPackNamesItsOwnRecords(t *testing.T) {
	for _, chars := range []int{0, 40, 9} {
		for _, attrs := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d characters, attributes %v", chars, attrs), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					trails := &numbered{t: t, chars: chars}
					e := setupPoison(t, 2, sdk.WithTrails(trails), config(finality.Ack, nil), sdk.WithPack(20000, 400, 20*time.Millisecond))
					b := &batches{e: e, r: rand.New(rand.NewPCG(uint64(chars), 3)), trails: true}
					st, token := e.stream("s"), &splitter{ledger: e.log}
					without := make(map[int]bool)
					for i := range 200 {
						n := 1 + b.r.IntN(60)
						batch := b.batch(st, token, n, 1+b.r.IntN(map[int]int{0: 200, 40: 3000, 9: 8000}[chars]))
						batch.Repair, batch.Alone = i%5 == 0, i%15 == 0
						if i%7 == 0 { // it says nothing, and shares no pack with those that do
							batch.Trail = nil
							for k := range n {
								without[b.next-k] = true
							}
						}
						if attrs && i%3 == 0 {
							batch.Attrs = make([][]sdk.Attr, n)
							batch.Attrs[b.r.IntN(n)] = []sdk.Attr{{Key: "k", Value: "v"}}
						}
						if took, err := e.sender.SendBatch(t.Context(), batch); took != n || err != nil {
							t.Fatalf("SendBatch = %d, %v", took, err)
						}
						if i%50 == 20 {
							e.proxies[i%2].CloseMidAck(1)
						}
						settle(5 * time.Millisecond)
					}
					settle(10 * time.Minute)
					s := e.sender.Status().Streams[0]
					e.close(time.Second)
					settle(10 * time.Second)
					packs, _ := wantTrails(t, e, "s", b.next, without)
					if token.splits.Load() == 0 || (s.PacksTrailFull > uint64(packs)/4) != (chars > 0) {
						t.Errorf("%d packs, %d full of their trail, %d pieces cut: the story tells little", packs, s.PacksTrailFull, token.splits.Load())
					}
				})
			})
		}
	}
}

func TestTrailWithoutRoomForARecordIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithTrails(&numbered{t: t, chars: 1}))
		b := &batches{e: e, r: rand.New(rand.NewPCG(1, 3)), next: 100, trails: true}
		if n, err := e.sender.SendBatch(t.Context(), b.batch(e.stream("s"), e.log, 50, 20)); n != 50 || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		settle(time.Minute)
		e.log.want(sdk.Final, 50)
		without := make(map[int]bool)
		for i := 101; i <= 150; i++ {
			without[i] = true
		}
		wantTrails(t, e, "s", 50, without)
	})
}

// TestTrailLeavesRoomForTheLongestIDs has attributes that take nearly all that DataProxy takes.
func TestTrailLeavesRoomForTheLongestIDs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		trails := &numbered{t: t}
		e := setup(t, 1, sdk.WithTrails(trails), sdk.WithInstance(strings.Repeat("i", 64)))
		if err := e.sender.SetOrigin("0123456789abcdef"); err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("s", 512)
		st, err := e.sender.Stream(strings.Repeat("g", 512), long)
		if err != nil {
			t.Fatal(err)
		}
		b := &batches{e: e, r: rand.New(rand.NewPCG(1, 3)), trails: true}
		batch := b.batch(st, e.log, 300, 20)
		if batch.PackAttrs, err = sdk.NewPackAttrs(sdk.Attr{Key: "k", Value: strings.Repeat("v", 766)}); err != nil {
			t.Fatal(err)
		}
		if n, err := e.sender.SendBatch(t.Context(), batch); n != 300 || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		settle(time.Minute)
		e.log.want(sdk.Final, 300)
		if packs, _ := wantTrails(t, e, long, 300, nil); packs < 5 || trails.least < 80 {
			t.Errorf("%d packs, whose trails had room for %d characters", packs, trails.least)
		}
	})
}

// TestLongestRecordHasATrail hands over the longest record that fits, in a batch of its own and among others, and
// one that is a byte longer.
func TestLongestRecordHasATrail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithTrails(&numbered{t: t, width: 80}), sdk.WithCompression(sdk.None), sdk.WithMaxFrame(16<<10), sdk.WithPack(16<<10, 100, time.Millisecond))
		st := e.stream("s")
		b := &batches{e: e, r: rand.New(rand.NewPCG(1, 3)), trails: true}
		for i := range 4 {
			batch := b.batch(st, e.log, 3, 20)
			number := batch.Payloads[i%3]
			batch.Payloads[i%3] = append(number, make([]byte, st.MaxRecord()-len(number))...)
			if n, err := e.sender.SendBatch(t.Context(), batch); n != 3 || err != nil {
				t.Fatalf("SendBatch = %d, %v", n, err)
			}
		}
		one := e.log.batch(st, [][]byte{make([]byte, st.MaxRecord()+1)})
		one.Trail = []int{1}
		if n, err := e.sender.SendBatch(t.Context(), one); n != 0 || err == nil {
			t.Fatalf("SendBatch of one byte more = %d, %v", n, err)
		}
		settle(time.Minute)
		wantTrails(t, e, "s", 12, nil)
	})
}
