package lineage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"inlong-bridge/connector/lineage"
)

// world is a stream: a bridge that writes packs into the partitions of a queue, and everything that it may repeat.
type world struct {
	t       *testing.T
	r       *rand.Rand
	told    bool // packs tell the committed offset
	sources []*origin
	queue   [][]packed
}

// origin is one source partition. Its records are the offsets below next that no hole has.
type origin struct {
	lineage.Source
	next      int64
	unwritten []int64        // offsets that were read, and lie nowhere yet; in order
	dead      []int64        // dead-lettered: no pack had them but requeued ones
	written   map[int64]bool // in the stream
	list      []int64        // the same, in the order in which they were first written
}

type packed struct {
	src string
	n   int
}

func newWorld(t *testing.T, r *rand.Rand, told bool) *world {
	w := &world{t: t, r: r, told: told, queue: make([][]packed, 1+r.IntN(4))}
	for i := range 1 + r.IntN(3) {
		w.sources = append(w.sources, &origin{Source: source(1, int32(i)), written: map[int64]bool{}})
	}
	return w
}

// committed is an offset that a bridge may have committed: at most the lowest that lies nowhere.
func (w *world) committed(o *origin) int64 {
	if !w.told {
		return lineage.None
	}
	most := o.next
	if len(o.unwritten) > 0 {
		most = o.unwritten[0]
	}
	return max(0, most-w.r.Int64N(1+w.r.Int64N(40)))
}

// step lets the bridge do one thing.
func (w *world) step() {
	o := w.sources[w.r.IntN(len(w.sources))]
	switch w.r.IntN(8) {
	case 0, 1, 2: // it reads on
		for range 1 + w.r.IntN(30) {
			switch w.r.IntN(12) {
			case 0: // a hole
			case 1:
				o.dead = append(o.dead, o.next)
			default:
				o.unwritten = append(o.unwritten, o.next)
			}
			o.next++
		}
	case 3, 4, 5: // a pack of some of what it has, the rest is sent later
		var list []int64
		o.unwritten = slices.DeleteFunc(o.unwritten, func(x int64) bool {
			if w.r.IntN(4) == 0 {
				return false
			}
			list = append(list, x)
			return true
		})
		c := w.committed(o)
		if len(list) > 0 { // they lie in the queue only after the pack does
			c = min(c, list[0])
		}
		w.write(o, c, list, false)
	case 6: // repeats of anything, in any order
		if len(o.list) > 0 {
			at := w.r.IntN(len(o.list))
			list := slices.Clone(o.list[at:min(len(o.list), at+1+w.r.IntN(20))])
			w.write(o, w.committed(o), list, false)
		}
	case 7:
		if len(o.dead) > 0 {
			at := w.r.IntN(len(o.dead))
			w.write(o, lineage.None, o.dead[at:min(len(o.dead), at+1+w.r.IntN(3))], true)
		}
	}
}

func (w *world) write(o *origin, committed int64, list []int64, requeued bool) {
	if len(list) == 0 {
		return
	}
	b := new(lineage.Builder)
	b.Reset(lineage.MaxChars, requeued)
	n := b.Add(&o.Source, committed, list)
	if n < len(list) {
		w.t.Fatal("bug: the pack is full")
	}
	p := packed{string(b.AppendTo(nil)), n}
	for range 1 + w.r.IntN(5)/4 { // resent now and then: the same bytes
		q := w.r.IntN(len(w.queue))
		w.queue[q] = append(w.queue[q], p)
	}
	for _, x := range list {
		if !o.written[x] {
			o.written[x] = true
			o.list = append(o.list, x)
		}
	}
}

type identity struct {
	s lineage.Source
	o int64
}

// read reads all partitions of the queue in a random interleaving, each in its order, and judges every record.
func (w *world) read(d *lineage.Dedupe) (repeats, unsure int) {
	taken := map[identity]bool{}
	at := make([]int, len(w.queue))
	for {
		var open []int
		for q := range at {
			if at[q] < len(w.queue[q]) {
				open = append(open, q)
			}
		}
		if len(open) == 0 {
			break
		}
		q := open[w.r.IntN(len(open))]
		for range 1 + w.r.IntN(20) {
			if at[q] == len(w.queue[q]) {
				break
			}
			p := w.queue[q][at[q]]
			at[q]++
			l := decode(w.t, p.src, p.n)
			verdicts := d.Pack(fmt.Sprint(q), l, nil)
			i := 0
			for r := range l.Records() {
				id, v := identity{l.Sources[r.Source].Source, r.Offset}, verdicts[i]
				switch i++; {
				case v == lineage.Repeat:
					repeats++
					continue
				case v == lineage.First && taken[id]:
					w.t.Fatalf("a repeat of %d is taken for the first copy", r.Offset)
				case v == lineage.Unsure && !l.Requeued && d.Forgotten() == 0:
					w.t.Fatalf("%d may be a repeat, though nothing was forgotten", r.Offset)
				case v == lineage.Unsure:
					unsure++
				}
				taken[id] = true
			}
		}
	}
	for _, o := range w.sources {
		for x := range o.written {
			if !taken[identity{o.Source, x}] {
				w.t.Fatalf("no copy of %d was taken", x)
			}
		}
	}
	return repeats, unsure
}

func partitionsOf(w *world) (names []string) {
	for q := range w.queue {
		names = append(names, fmt.Sprint(q))
	}
	return names
}

// TestFirstCopiesAreTakenAndRepeatsAreNot reads random queues with repeats, with and without committed offsets, with room and
// without.
func TestFirstCopiesAreTakenAndRepeatsAreNot(t *testing.T) {
	var repeats, unsure, forgot int
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 4))
		w := newWorld(t, r, seed%2 == 0)
		for range 200 {
			w.step()
		}
		limit := 1 << 20
		if seed%3 == 0 {
			limit = 1 + r.IntN(30)
		}
		d := lineage.NewDedupe(limit, partitionsOf(w)...)
		n, u := w.read(d)
		if limit > 30 && d.Forgotten() > 0 || d.Intervals() > limit {
			t.Fatalf("seed %d: %d offsets forgotten, %d intervals of at most %d remembered", seed, d.Forgotten(), d.Intervals(), limit)
		}
		repeats, unsure = repeats+n, unsure+u
		if d.Forgotten() > 0 {
			forgot++
		}
	}
	if repeats < 10000 || unsure < 100 || forgot < 50 {
		t.Errorf("%d repeats, %d unsure, %d runs that forgot: little was tested", repeats, unsure, forgot)
	}
}

func pack(t *testing.T, requeued bool, committed int64, list ...int64) *lineage.Lineage {
	b, s := new(lineage.Builder), source(1, 0)
	b.Reset(lineage.MaxChars, requeued)
	b.Add(&s, committed, list)
	return decode(t, string(b.AppendTo(nil)), len(list))
}

func TestCommittedOffsetSpeaksForItsQueuePartitionAlone(t *testing.T) {
	d := lineage.NewDedupe(100, "a", "b")
	d.Pack("a", pack(t, false, 50, 60), nil)
	for _, c := range []struct {
		name, partition string
		l               *lineage.Lineage
		want            lineage.Verdict
	}{
		{"below, in the same partition", "a", pack(t, false, lineage.None, 49), lineage.Repeat},
		{"below, requeued", "a", pack(t, true, lineage.None, 48), lineage.First},
		{"below, requeued again", "a", pack(t, true, lineage.None, 48), lineage.Repeat},
		{"below, in another partition", "b", pack(t, false, lineage.None, 49), lineage.First},
		{"taken from another partition", "b", pack(t, false, lineage.None, 60), lineage.Repeat},
		{"below what its own pack tells", "b", pack(t, false, 50, 47), lineage.First},
		{"below what both told, requeued", "b", pack(t, true, lineage.None, 46), lineage.Unsure},
		{"the same again", "a", pack(t, true, lineage.None, 46), lineage.Repeat},
		{"below what both told, in a partition that joins late", "c", pack(t, false, lineage.None, 45), lineage.Unsure},
	} {
		if got := d.Pack(c.partition, c.l, nil); got[0] != c.want {
			t.Errorf("%s: %v, want %v", c.name, got[0], c.want)
		}
	}
}

// TestCommittedOffsetsBoundMemory reads a stream to which a partition gives one record in two, so no offset has a neighbour.
func TestCommittedOffsetsBoundMemory(t *testing.T) {
	d := lineage.NewDedupe(1<<20, "a", "b")
	most := 0
	for i := range int64(20000) {
		d.Pack([]string{"a", "b"}[i%2], pack(t, false, max(0, 2*i-100), 2*i), nil)
		most = max(most, d.Intervals())
	}
	if most > 60 || d.Forgotten() > 0 {
		t.Errorf("%d intervals remembered at most, %d offsets forgotten", most, d.Forgotten())
	}
}
