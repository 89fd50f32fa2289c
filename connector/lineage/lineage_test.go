package lineage_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
)

var cluster = lineage.ClusterOf("4L6g3nShT-eMCtK--X86sw")

func source(topic byte, partition int32) lineage.Source {
	return lineage.SourceOf(cluster, resume.TopicID{0: topic, 15: 1}, "", partition)
}

// told is one record as the oracle knows it: a list that nobody compresses.
type told struct {
	source    lineage.Source
	committed int64
	offset    int64
}

func builder(chars int) *lineage.Builder {
	b := new(lineage.Builder)
	b.Reset(chars, false)
	return b
}

func text(b *lineage.Builder) string { return string(b.AppendTo(nil)) }

func decode(t *testing.T, src string, records int) *lineage.Lineage {
	t.Helper()
	l, err := lineage.Decode(src, records)
	if err != nil {
		t.Fatalf("Decode(%q, %d): %v", src, records, err)
	}
	return l
}

// same fails the test unless a lineage tells exactly the records of the oracle.
func same(t *testing.T, l *lineage.Lineage, want []told) {
	t.Helper()
	i := 0
	for r := range l.Records() {
		at := l.Sources[r.Source]
		if i >= len(want) || at.Source != want[i].source || r.Offset != want[i].offset || at.Committed != want[i].committed {
			t.Fatalf("record %d is %v of %v, want %v", i, r.Offset, at, want[min(i, len(want)-1)])
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("lineage tells of %d records, want %d", i, len(want))
	}
}

// offsets makes n offsets behind at, as one of several kinds of partitions would give them.
func offsets(r *rand.Rand, at int64, n int) (list []int64) {
	for kind := r.IntN(5); len(list) < n; {
		switch kind {
		case 0: // neighbours
			at++
		case 1: // some of many
			at += 1 + r.Int64N(16)
		case 2: // holes now and then
			if at++; r.IntN(20) == 0 {
				at += r.Int64N(1000)
			}
		case 3: // far apart
			at += 1 + r.Int64N(1<<uint(r.IntN(40)))
		case 4: // read again, so backwards too
			if at++; r.IntN(8) == 0 {
				at = max(0, at-r.Int64N(100))
			}
		}
		list = append(list, at)
	}
	return list
}

// fill adds random batches until the pack is full or has had enough. It returns what was taken.
func fill(t *testing.T, r *rand.Rand, b *lineage.Builder, limit int) (want []told, full bool) {
	sources := make([]told, 1+r.IntN(12))
	for i := range sources {
		sources[i] = told{source: source(byte(r.IntN(3)), r.Int32N(40)), committed: lineage.None, offset: r.Int64N(1 << uint(1+r.IntN(45)))}
		if r.IntN(2) == 0 {
			sources[i].committed = max(0, sources[i].offset-r.Int64N(1000))
		}
		if r.IntN(8) == 0 {
			sources[i].source = lineage.SourceOf(cluster, resume.TopicID{}, fmt.Sprint("t", r.IntN(3)), r.Int32N(40))
		}
	}
	committed := map[lineage.Source]int64{} // the first that was told counts
	for range 1 + r.IntN(60) {
		s := &sources[r.IntN(len(sources))]
		batch := offsets(r, s.offset, 1+r.IntN(1+r.IntN(400)))
		before := b.Len()
		n := b.Add(&s.source, s.committed, batch)
		if size := b.Len(); size > limit || n == 0 && size != before {
			t.Fatalf("%d of %d records made %d of at most %d characters out of %d", n, len(batch), size, limit, before)
		}
		if n > 0 {
			if _, ok := committed[s.source]; !ok {
				committed[s.source] = s.committed
			}
			s.offset = batch[n-1]
		}
		for _, o := range batch[:n] {
			want = append(want, told{s.source, committed[s.source], o})
		}
		if n < len(batch) {
			return want, true
		}
	}
	return want, false
}

func TestEveryRecordIsTold(t *testing.T) {
	full := 0
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 15))
		limit := lineage.MaxChars
		if r.IntN(2) == 0 {
			limit = 80 + r.IntN(lineage.MaxChars-80)
		}
		b := builder(limit)
		want, filled := fill(t, r, b, limit)
		if filled {
			full++
		}
		if len(want) == 0 {
			t.Fatalf("seed %d: a pack of at most %d characters took no record", seed, limit)
		}
		said := b.Len()
		src := text(b)
		if len(src) != said || len(src) > limit-8 {
			t.Fatalf("seed %d: %d characters, %d were said and %d allowed", seed, len(src), said, limit-8)
		}
		same(t, decode(t, src, len(want)), want)
		for _, wrong := range []int{0, len(want) - 1, len(want) + 1, 1 << 20} {
			if _, err := lineage.Decode(src, wrong); err == nil {
				t.Fatalf("seed %d: a pack of %d records has the lineage of %d", seed, wrong, len(want))
			}
		}
		cut(t, r, src, want, limit)
	}
	if full < 100 {
		t.Errorf("%d packs were full, so little was tested", full)
	}
}

// cut cuts a lineage again and again, as packs are cut that end connections.
func cut(t *testing.T, r *rand.Rand, src string, want []told, limit int) {
	t.Helper()
	for len(want) > 1 {
		from := r.IntN(len(want))
		to := from + 1 + r.IntN(len(want)-from)
		if from == 0 && to == len(want) {
			continue
		}
		part, err := lineage.Cut(src, len(want), from, to)
		if err != nil {
			t.Fatalf("Cut(%d, %d, %d): %v", len(want), from, to, err)
		}
		if len(part) > limit {
			t.Fatalf("a part has %d characters, %d are allowed", len(part), limit)
		}
		src, want = part, want[from:to]
		same(t, decode(t, src, len(want)), want)
		if _, err := lineage.Decode(src, len(want)+1); err == nil {
			t.Fatalf("a part of %d records is read as one of %d", len(want), len(want)+1)
		}
	}
	for _, bad := range [][3]int{{1, 0, 0}, {1, -1, 1}, {1, 0, 2}, {1, 1, 0}} {
		if part, err := lineage.Cut(src, bad[0], bad[1], bad[2]); err == nil {
			t.Fatalf("Cut%v = %q", bad, part)
		}
	}
}

func TestFullPackTakesNoMore(t *testing.T) {
	b := builder(100)
	s := source(1, 0)
	far := func(n int) int64 { return int64(n) * 1e12 }
	n := 0
	for b.Add(&s, lineage.None, []int64{far(n)}) == 1 {
		n++
	}
	src := text(b)
	if l := decode(t, src, n); n < 2 || len(l.Spans) != n {
		t.Fatalf("%d records, %d spans", n, len(l.Spans))
	}
	other := builder(100)
	if got := other.Add(&s, lineage.None, []int64{far(0), far(1), far(2), far(3), far(4), far(5), far(6), far(7), far(8), far(9)}); got != n {
		t.Errorf("a batch has room for %d records, the same one by one for %d", got, n)
	}
	if got := text(other); got != src {
		t.Errorf("a batch is told as %s, the same records one by one as %s", got, src)
	}
}

func TestPackHasOneCluster(t *testing.T) {
	b := builder(lineage.MaxChars)
	here, there := source(1, 0), lineage.SourceOf(lineage.ClusterOf("another"), resume.TopicID{1}, "", 0)
	if n := b.Add(&here, lineage.None, []int64{1}); n != 1 {
		t.Fatalf("took %d records", n)
	}
	if n := b.Add(&there, lineage.None, []int64{2}); n != 0 {
		t.Fatalf("took %d records of another cluster", n)
	}
	same(t, decode(t, text(b), 1), []told{{here, lineage.None, 1}})
}

func TestPackHasAtMost32767Records(t *testing.T) {
	b := builder(lineage.MaxChars)
	s, list := source(1, 0), make([]int64, 40000)
	for i := range list {
		list[i] = int64(i)
	}
	n := b.Add(&s, lineage.None, list)
	if more := b.Add(&s, lineage.None, list[n:]); n != 32767 || more != 0 {
		t.Fatalf("took %d records, then %d", n, more)
	}
	l := decode(t, text(b), n)
	if want := []lineage.Span{{Source: 0, First: 0, Last: 32766}}; !reflect.DeepEqual(l.Spans, want) {
		t.Errorf("spans %v, want %v", l.Spans, want)
	}
}

func TestRequeuedAndNamesSurvive(t *testing.T) {
	b := new(lineage.Builder)
	b.Reset(lineage.MaxChars, true)
	s := lineage.SourceOf(lineage.ClusterOf(""), resume.TopicID{}, "orders", 7)
	b.Add(&s, lineage.None, []int64{41})
	l := decode(t, text(b), 1)
	if got := l.Sources[0]; !l.Requeued || !got.Named || got.Source != s || got.Cluster != (lineage.Cluster{}) {
		t.Errorf("%+v, want requeued %+v", l, s)
	}
	if again := builder(lineage.MaxChars); again.Add(&s, lineage.None, []int64{41}) != 1 || decode(t, text(again), 1).Requeued {
		t.Error("a pack that is not requeued says so")
	}
}

// TestSizes counts what packs cost beside the sources, which are told once.
func TestSizes(t *testing.T) {
	characters := func(add func(b *lineage.Builder)) float64 {
		b := builder(1 << 20)
		for p := range int32(8) {
			s := source(1, p)
			b.Add(&s, 1000, []int64{1000})
		}
		before := b.Len()
		add(b)
		return float64(b.Len() - before)
	}
	// runs adds 200 runs of neighbours, of 8 partitions in turn.
	runs := func(n int) func(*lineage.Builder) {
		next := [8]int64{1001, 1001, 1001, 1001, 1001, 1001, 1001, 1001}
		return func(b *lineage.Builder) {
			for i := range 200 {
				list := make([]int64, n)
				for k := range list {
					list[k] = next[i%8]
					next[i%8]++
				}
				s := source(1, int32(i%8))
				if b.Add(&s, 1000, list) != n {
					panic("bug: the pack is full")
				}
			}
		}
	}
	for _, n := range []int{1, 4, 16, 100, 160} {
		if got := characters(runs(n)) / 200; got > 4 || n > 4 && got < 2 {
			t.Errorf("a run of %d neighbours costs %.2f characters, want 2 to 4", n, got)
		}
	}
	one := characters(func(b *lineage.Builder) {
		s, list := source(1, 0), make([]int64, 4096)
		for i := range list {
			list[i] = int64(1001 + i)
		}
		b.Add(&s, 1000, list)
	})
	if one > 4 {
		t.Errorf("a run of 4,096 neighbours costs %.0f characters, want at most 4", one)
	}
	// some adds 1,000 records of a partition, of which every record is taken with a chance of one in n.
	some := func(n int, even bool) func(*lineage.Builder) {
		return func(b *lineage.Builder) {
			r, s, at := rand.New(rand.NewPCG(8, 8)), source(1, 0), int64(1000)
			list := make([]int64, 1000)
			for i := range list {
				for at++; !even && r.IntN(n) > 0; at++ {
				}
				if even {
					at += int64(n - 1)
				}
				list[i] = at
			}
			if b.Add(&s, 1000, list) != len(list) {
				panic("bug: the pack is full")
			}
		}
	}
	for _, c := range []struct {
		oneIn int
		even  bool
		most  float64 // bits
	}{{2, false, 2.4}, {8, false, 4.7}, {8, true, 4.3}, {100, false, 8.5}, {1000, false, 12}} {
		if got := 6 * characters(some(c.oneIn, c.even)) / 1000; got > c.most {
			t.Errorf("a record in %d (evenly %v) costs %.2f bits, want at most %.1f", c.oneIn, c.even, got, c.most)
		}
	}
}

// TestRoomOfAPack counts what docs/lineage.md says that fits.
func TestRoomOfAPack(t *testing.T) {
	const at, behind = 1e9, 5000
	count := func(one func(i int) (s lineage.Source, offset int64, n int)) (added, records int) {
		for b := builder(lineage.MaxChars); ; added++ {
			s, offset, n := one(added)
			list := make([]int64, n)
			for i := range list {
				list[i] = offset + int64(i)
			}
			if b.Add(&s, at-behind, list) < n {
				return added, b.Records()
			}
			records += n
		}
	}
	for _, c := range []struct {
		what string
		want int
		one  func(i int) (lineage.Source, int64, int)
	}{
		{"runs of 30 neighbours of two partitions", 200, func(i int) (lineage.Source, int64, int) { return source(1, int32(i%2)), at + int64(i/2*30), 30 }},
		{"records of which one in eight comes", 900, func(i int) (lineage.Source, int64, int) { return source(1, 0), at + int64(i*8), 1 }},
		{"partitions", 50, func(i int) (lineage.Source, int64, int) { return source(1, int32(i)), at, 1 }},
		{"topics", 20, func(i int) (lineage.Source, int64, int) { return source(byte(i), 0), at, 1 }},
	} {
		if got, _ := count(c.one); got < c.want {
			t.Errorf("a pack has room for %d %s, want %d", got, c.what, c.want)
		} else {
			t.Logf("%d %s", got, c.what)
		}
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	b, s := builder(lineage.MaxChars), source(1, 0)
	other := source(1, 1)
	r := rand.New(rand.NewPCG(1, 2))
	list, dst := offsets(r, 0, 1000), make([]byte, 0, lineage.MaxChars)
	if got := testing.AllocsPerRun(100, func() {
		b.Reset(lineage.MaxChars, false)
		b.Add(&s, 5, list)
		b.Add(&other, 5, list)
		dst = b.AppendTo(dst[:0])
	}); got != 0 {
		t.Errorf("%v allocations for a pack", got)
	}
}

// TestExampleOfTheDocs writes and reads the example of docs/lineage.md.
func TestExampleOfTheDocs(t *testing.T) {
	const example = "AWB-hoOVewIBAAECAwQFBgcICQoLDA0ODwPoBxQEBUYDBxYBwf4A"
	page, err := os.ReadFile("../../docs/lineage.md")
	if err != nil || !strings.Contains(string(page), "\n"+example+"\n") {
		t.Fatalf("docs/lineage.md does not have the example: %v", err)
	}
	id := resume.TopicID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	first := lineage.SourceOf(cluster, id, "", 3)
	second := lineage.SourceOf(cluster, id, "", 5)
	b := builder(lineage.MaxChars)
	b.Add(&first, 990, []int64{1000, 1001, 1002, 1003})
	b.Add(&second, lineage.None, []int64{70, 72, 73, 90})
	b.Add(&first, 995, []int64{1004})
	if got := text(b); got != example {
		t.Errorf("written as %s, want %s", got, example)
	}
	same(t, decode(t, example, 9), []told{
		{first, 990, 1000}, {first, 990, 1001}, {first, 990, 1002}, {first, 990, 1003},
		{second, lineage.None, 70}, {second, lineage.None, 72}, {second, lineage.None, 73}, {second, lineage.None, 90}, {first, 990, 1004},
	})
}

// rebuild writes a lineage that was read.
func rebuild(l *lineage.Lineage) string {
	b := new(lineage.Builder)
	b.Reset(1<<20, l.Requeued)
	for _, s := range l.Spans {
		for o := s.First; o <= s.Last; o++ {
			at := l.Sources[s.Source]
			if b.Add(&at.Source, at.Committed, []int64{o}) != 1 {
				panic("bug: the pack is full")
			}
		}
	}
	return string(b.AppendTo(nil))
}

// FuzzDecode checks that reading takes memory by the length of its input, and that what was read can be written.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 15))
		b := builder(lineage.MaxChars)
		b.Reset(lineage.MaxChars, seed%2 == 0)
		s := source(byte(seed), int32(seed))
		n := 0
		for range 3 {
			n += b.Add(&s, 7, offsets(r, int64(seed), 1+r.IntN(30)))
			s.Partition++
		}
		src := b.AppendTo(nil)
		raw, _ := base64.RawURLEncoding.DecodeString(string(src))
		f.Add(raw, n)
		if part, err := lineage.Cut(string(src), n, 0, 1); err == nil {
			raw, _ := base64.RawURLEncoding.DecodeString(part)
			f.Add(raw, 1)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, records int) {
		src := base64.RawURLEncoding.EncodeToString(raw)
		l, err := lineage.Decode(src, records)
		if err != nil {
			return
		}
		if len(l.Spans) > 8*len(raw) || len(l.Sources) > len(raw) {
			t.Fatalf("%d bytes became %d spans of %d sources", len(raw), len(l.Spans), len(l.Sources))
		}
		type record struct {
			s lineage.Source
			o int64
		}
		list := func(l *lineage.Lineage) (all []record) {
			for r := range l.Records() {
				all = append(all, record{l.Sources[r.Source].Source, r.Offset})
			}
			return all
		}
		want := list(l)
		if len(want) != records {
			t.Fatalf("%d records were told, the pack has %d", len(want), records)
		}
		again, err := lineage.Decode(rebuild(l), records)
		if err != nil || !slices.Equal(list(again), want) {
			t.Fatalf("written again: %v, %v", again, err)
		}
		if records > 1 {
			half, err := lineage.Cut(src, records, records/2, records)
			if err != nil {
				t.Fatal(err)
			}
			if got := list(decode(t, half, records-records/2)); !slices.Equal(got, want[records/2:]) {
				t.Fatalf("the second half is %v, want %v", got, want[records/2:])
			}
		}
	})
}
