package verify_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/verify"
)

// world is a partition whose every offset has a fate that the books tell truly.
type world struct {
	books   resume.Books
	end     int64
	fate    map[int64]string // final, skipped, dead, gap
	removed []int64          // final, and taken out of the queue
}

func newWorld(r *rand.Rand, fates ...string) *world {
	w := &world{books: resume.Books{From: r.Int64N(50)}, fate: map[int64]string{}}
	w.end = w.books.From + r.Int64N(120)
	for o := w.books.From; o < w.end; o++ {
		f := fates[r.IntN(len(fates))]
		if w.fate[o] = f; f == "final" && r.IntN(12) == 0 {
			w.removed = append(w.removed, o)
		}
		*map[string]*int64{"final": &w.books.Final, "skipped": &w.books.Skipped, "dead": &w.books.Dead, "gap": &w.books.Gap}[f]++
	}
	return w
}

// account tells an account of the world.
func (w *world) account(t *testing.T, r *rand.Rand, source bool) (a *verify.Account, copies int64) {
	t.Helper()
	a = verify.NewAccount(w.books, w.end, verify.NewMemory(1<<30))
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for o := w.books.From; o < w.end; o++ {
		switch {
		case w.fate[o] == "dead":
			check(a.SawLetter(o, o))
		case w.fate[o] != "final" || slices.Contains(w.removed, o):
			continue
		default:
			check(a.Saw(o, o, false))
		}
		if w.fate[o] == "final" && r.IntN(9) == 0 {
			copies++
			check(a.Saw(o, o, false))
		}
	}
	check(a.Saw(w.end, w.end+3, false)) // not committed yet
	if !source {
		a.CannotTell(0, w.end)
		return a, copies
	}
	for v := range a.NotFound() {
		for o := v.First; o <= v.Last; o++ {
			if w.fate[o] != "gap" {
				check(a.IsRecord(o, false))
			}
		}
	}
	return a, copies
}

func intervalsOf(offsets []int64) (out []verify.Interval) {
	for _, o := range offsets {
		if n := len(out); n > 0 && out[n-1].Last == o-1 {
			out[n-1].Last = o
			continue
		}
		out = append(out, verify.Interval{First: o, Last: o})
	}
	return out
}

// Whatever became of the offsets: what was taken out of the queue is missing, and nothing else is.
func TestExactlyWhatWasTakenOutOfTheQueueIsMissing(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 3))
		fates := [][]string{{"final"}, {"final", "gap"}, {"final", "gap", "dead"}, {"final", "gap", "dead", "skipped"}}[r.IntN(4)]
		w := newWorld(r, fates...)
		a, copies := w.account(t, r, true)
		v := a.Judge(verify.Doubts{})
		want := intervalsOf(w.removed)
		switch n := int64(len(w.removed)); {
		case v.Missing != n, (v.Outcome == verify.Found) != (n == 0), v.Duplicates != copies, v.Outside != 4:
			t.Fatalf("seed %d: %+v, want %d missing, %d copies, of %+v", seed, v, n, copies, w)
		case w.books.Skipped == 0 && (v.AtMost || !slices.Equal(v.Intervals, want)):
			t.Fatalf("seed %d: missing are %v, want %v", seed, v.Intervals, want)
		case w.books.Skipped > 0 && n > 0 && !v.AtMost:
			t.Fatalf("seed %d: %v is named as exact among skipped records", seed, v.Intervals)
		}
		for _, i := range want { // of skipped records nobody knows which they are
			if !slices.ContainsFunc(v.Intervals, func(in verify.Interval) bool { return in.First <= i.First && i.Last <= in.Last }) {
				t.Fatalf("seed %d: %v does not lie in %v", seed, i, v.Intervals)
			}
		}
	}
}

// Where the source does not answer, the books still tell how many are missing, and the intervals hold them.
func TestWithoutTheSourceTheNumberIsKnown(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 5))
		w := newWorld(r, "final", "gap", "dead", "skipped")
		a, _ := w.account(t, r, false)
		v := a.Judge(verify.Doubts{})
		if n := int64(len(w.removed)); v.Missing != n || n > 0 && !v.AtMost || n == 0 && v.Intervals != nil {
			t.Fatalf("seed %d: %+v, want %d missing", seed, v, n)
		}
		for _, i := range intervalsOf(w.removed) {
			if !slices.ContainsFunc(v.Intervals, func(in verify.Interval) bool { return in.First <= i.First && i.Last <= in.Last }) {
				t.Fatalf("seed %d: %v does not lie in %v", seed, i, v.Intervals)
			}
		}
	}
}

func TestDoubtsAreNeverAProof(t *testing.T) {
	books := resume.Books{Final: 10}
	tell := func(late ...int64) *verify.Account {
		a := verify.NewAccount(books, 10, verify.NewMemory(1<<20))
		for _, err := range []error{a.Saw(0, 3, false), a.Saw(6, 7, false), a.IsRecord(4, false), a.IsRecord(5, false), a.IsRecord(8, false), a.IsRecord(9, false)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range late {
			if err := a.IsRecord(o, true); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	four := []verify.Interval{{First: 4, Last: 5}, {First: 8, Last: 9}}
	for _, tc := range []struct {
		name             string
		a                *verify.Account
		doubts           verify.Doubts
		outcome          verify.Outcome
		missing, noProof int64
		in               []verify.Interval
	}{
		{"no doubt", tell(), verify.Doubts{}, verify.Missing, 4, 0, four},
		{"the queue has deleted messages", tell(), verify.Doubts{Expired: "x"}, verify.Doubtful, 0, 4, four},
		{"it has, but two came later", tell(8, 9), verify.Doubts{Expired: "x"}, verify.Missing, 2, 2, four[1:]},
		{"packs without lineage", tell(8, 9), verify.Doubts{Expired: "x", Other: "y"}, verify.Doubtful, 0, 4, four},
	} {
		v := tc.a.Judge(tc.doubts)
		if v.Outcome != tc.outcome || v.Missing != tc.missing || v.NoProof != tc.noProof || !slices.Equal(v.Intervals, tc.in) {
			t.Errorf("%s: %+v, want %s, %d missing, %d without proof in %v", tc.name, v, tc.outcome, tc.missing, tc.noProof, tc.in)
		}
	}
	whole := verify.NewAccount(books, 10, verify.NewMemory(1<<20))
	if err := whole.Saw(0, 9, false); err != nil {
		t.Fatal(err)
	}
	if v := whole.Judge(verify.Doubts{Expired: "x", Other: "y"}); v.Outcome != verify.Found {
		t.Errorf("everything was found: %+v, want no doubt", v)
	}
}

// A dead letter that was requeued lies in the queue, and stands for no record that is missing there.
func TestRequeuedRecordsHideNothing(t *testing.T) {
	for _, letters := range []bool{true, false} {
		a := verify.NewAccount(resume.Books{Final: 8, Dead: 2}, 10, verify.NewMemory(1<<20))
		errs := []error{a.Saw(0, 6, false), a.Saw(8, 9, true), a.IsRecord(7, false)} // 7 is missing
		if letters {
			errs = append(errs, a.SawLetter(8, 9))
		}
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		if v := a.Judge(verify.Doubts{}); v.Outcome != verify.Missing || v.Missing != 1 || v.AtMost || !slices.Equal(v.Intervals, []verify.Interval{{First: 7, Last: 7}}) {
			t.Errorf("letters known %v: %+v, want 7 to be missing", letters, v)
		}
	}
}

// The books are not believed where the source knows better: a record that they call a gap is missing.
func TestRecordsThatTheBooksCallGapsAreMissing(t *testing.T) {
	a := verify.NewAccount(resume.Books{Final: 8, Gap: 2}, 10, verify.NewMemory(1<<20))
	for _, err := range []error{a.Saw(0, 7, false), a.IsRecord(9, false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if v := a.Judge(verify.Doubts{}); v.Missing != 1 || v.AtMost || !slices.Equal(v.Intervals, []verify.Interval{{First: 9, Last: 9}}) {
		t.Errorf("%+v, want 9 to be missing", v)
	}
}

// A record that compaction has taken out of the source since it was delivered is missing in the queue all the same.
func TestRecordsThatTheSourceCompactedAwayAreCounted(t *testing.T) {
	a := verify.NewAccount(resume.Books{Final: 10}, 10, verify.NewMemory(1<<20))
	if err := a.Saw(0, 6, false); err != nil {
		t.Fatal(err)
	}
	if err := a.IsRecord(8, false); err != nil { // 7 and 9 are holes by now
		t.Fatal(err)
	}
	if v := a.Judge(verify.Doubts{}); v.Missing != 3 || !v.AtMost || !slices.Equal(v.Intervals, []verify.Interval{{First: 7, Last: 9}}) {
		t.Errorf("%+v, want 3 to be missing, at most at 7-9", v)
	}
}

func TestAVerdictIsBounded(t *testing.T) {
	a := verify.NewAccount(resume.Books{Final: 1000}, 1000, verify.NewMemory(1<<20))
	for o := int64(0); o < 1000; o += 2 {
		if err := a.Saw(o, o, false); err != nil {
			t.Fatal(err)
		}
		if err := a.Saw(o, o, false); err != nil {
			t.Fatal(err)
		}
		if err := a.IsRecord(o+1, false); err != nil {
			t.Fatal(err)
		}
	}
	v := a.Judge(verify.Doubts{})
	if len(v.Intervals) != verify.MaxNamed || v.More != 400 || len(v.Repeated) != verify.MaxNamed || v.MoreAgain != 400 || v.Missing != 500 || v.Duplicates != 500 {
		t.Errorf("%+v, want %d intervals and 400 more", v, verify.MaxNamed)
	}
}
