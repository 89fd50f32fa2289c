package verify

import (
	"iter"

	"inlong-bridge/connector/resume"
)

// MaxNamed is the most intervals that a verdict names.
const MaxNamed = 100

// Account is what is known of one source partition: what its books say of the offsets from where they begin up to the committed
// one, and what was found of these.
type Account struct {
	Books resume.Books
	End   int64 // the committed offset

	found    *Set  // in the queue
	again    *Set  // more than once
	copies   int64 // copies beyond the first
	requeued *Set  // found in packs that were sent again from a dead-letter topic
	outside  int64 // records of packs before or behind the books

	records *Set // not found in the queue, and records in the source
	late    *Set // of those, the ones that came into the source when the queue already held what it still holds
	dead    *Set // dead letters were found of these

	unknown int64 // offsets not found in the queue, and the source does not tell either
}

// NewAccount returns the account of books that close at end.
func NewAccount(b resume.Books, end int64, m *Memory) *Account {
	a := &Account{Books: b, End: end}
	for _, s := range []**Set{&a.found, &a.again, &a.requeued, &a.records, &a.late, &a.dead} {
		*s = NewSet(m)
	}
	return a
}

// Saw notes records from first to last that were found in the queue.
func (a *Account) Saw(first, last int64, requeued bool) error {
	in := a.within(first, last)
	a.outside += last - first + 1 - max(in.Len(), 0)
	for o := in.First; o <= in.Last; o++ {
		had, err := a.found.Add(o)
		if err == nil && had {
			a.copies++
			_, err = a.again.Add(o)
		}
		if err == nil && requeued {
			_, err = a.requeued.Add(o)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// within is the part of the offsets from first to last that the books account for.
func (a *Account) within(first, last int64) Interval {
	return Interval{max(first, a.Books.From), min(last, a.End-1)}
}

// SawLetter notes that dead letters of the offsets from first to last exist.
func (a *Account) SawLetter(first, last int64) error {
	in := a.within(first, last)
	for o := in.First; o <= in.Last; o++ {
		if _, err := a.dead.Add(o); err != nil {
			return err
		}
	}
	return nil
}

// NotFound goes over the offsets that were not found in the queue.
func (a *Account) NotFound() iter.Seq[Interval] {
	return a.found.Intervals(a.Books.From, a.End, false)
}

// NextNotFound returns the first offset from a given one on that was not found in the queue, or End.
func (a *Account) NextNotFound(from int64) int64 {
	return a.found.Next(max(from, a.Books.From), a.End, false)
}

// IsRecord notes that an offset is a record in the source. late says that it came into the source when the queue already held what it
// still holds.
func (a *Account) IsRecord(offset int64, late bool) error {
	if offset < a.Books.From || offset >= a.End || a.found.Has(offset) {
		return nil
	}
	_, err := a.records.Add(offset)
	if err == nil && late {
		_, err = a.late.Add(offset)
	}
	return err
}

// CannotTell notes that the source does not tell which of the offsets from first to last were records.
func (a *Account) CannotTell(first, last int64) {
	in := a.within(first, last)
	for v := range a.found.Intervals(in.First, in.Last+1, false) {
		a.unknown += v.Len()
	}
}

// ForgetSource forgets what the source said, so that it can be asked again.
func (a *Account) ForgetSource() {
	a.records.Clear()
	a.late.Clear()
	a.unknown = 0
}

// Settled reports whether more packs cannot make the verdict another one: everything was found, or nothing is missing as it is. The
// latter may change while letters are not told by their offsets, since packs that were sent again from their topic count like them.
func (a *Account) Settled() bool {
	return a.NextNotFound(a.Books.From) == a.End || a.dead.Len() >= a.Books.Dead && a.Judge(Doubts{}).Outcome == Found
}

// Outcome says what was found out about a partition.
type Outcome string

const (
	Found    Outcome = "found"    // all records that the books call final are in the queue
	Doubtful Outcome = "doubtful" // not all were found, and something could explain it
	Missing  Outcome = "missing"  // records that the books call final are not in the queue
)

// Doubts are what could explain that records were not found though they arrived; "" for nothing.
type Doubts struct {
	Expired string // the queue has deleted messages, which explains only records that came before
	Other   string // explains any record
}

// Verdict compares books with the queue. As JSON it is part of what ledger --verify prints; see docs/operations.md.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	Found   int64   `json:"found"`    // distinct offsets in the queue
	Missing int64   `json:"missing"`  // records that are not there, at least
	NoProof int64   `json:"no_proof"` // records that were not found, which the doubt could explain
	// AtMost says that not every offset of Intervals is a missing record: the records that are missing are among them.
	AtMost    bool       `json:"at_most"`
	Intervals []Interval `json:"intervals,omitempty"` // that hold the missing records, or those without proof; the first MaxNamed
	More      int64      `json:"more_intervals,omitempty"`
	// ByNumber is how many records that were not found are explained by the books alone: skipped, or dead-lettered without a
	// letter that was found. Nobody can tell which those are.
	ByNumber   int64      `json:"by_number"`
	Duplicates int64      `json:"duplicates"` // copies beyond the first
	Repeated   []Interval `json:"repeated,omitempty"`
	MoreAgain  int64      `json:"more_repeated,omitempty"`
	Outside    int64      `json:"outside"` // records found that are before or behind the books, such as those not committed yet
	Letters    int64      `json:"dead_letters"`
	Unknown    int64      `json:"source_unknown"`   // offsets that were not found, and of which the source does not tell whether they were records
	Source     string     `json:"source,omitempty"` // why it does not tell; set by whoever asked it
	Reason     string     `json:"reason,omitempty"` // what could explain that records were not found
}

// without goes over the offsets of some intervals that a set does not have.
func without(some iter.Seq[Interval], s *Set) iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		for v := range some {
			for part := range s.Intervals(v.First, v.Last+1, false) {
				if !yield(part) {
					return
				}
			}
		}
	}
}

func length(some iter.Seq[Interval]) (n int64) {
	for v := range some {
		n += v.Len()
	}
	return n
}

// named returns the first of some intervals, and how many more there are.
func named(some iter.Seq[Interval]) (list []Interval, more int64) {
	for v := range some {
		if len(list) == MaxNamed {
			more++
			continue
		}
		list = append(list, v)
	}
	return list, more
}

// Judge says what follows from what was found.
func (a *Account) Judge(d Doubts) Verdict {
	b := a.Books
	v := Verdict{Outcome: Found, Found: a.found.Len(), Duplicates: a.copies, Outside: a.outside, Letters: a.dead.Len(), Unknown: a.unknown}
	v.Repeated, v.MoreAgain = named(a.again.All())

	// The source's side: a record that was not found must be skipped or a dead letter. Letters are told by their offsets, the
	// rest by number.
	lettersMissing := max(0, b.Dead-a.dead.Len())
	requeuedUntold := min(lettersMissing, length(without(a.requeued.All(), a.dead)))
	allowed := b.Skipped + b.Hand + lettersMissing - requeuedUntold
	unexplained := length(without(a.records.All(), a.dead))
	bySource := max(0, unexplained-allowed)
	v.ByNumber = min(unexplained, allowed)

	// The books' side: so many different offsets must be in the queue. Of those found, letters that the books do not call final do
	// not count.
	lettersFound := a.dead.Len() - length(without(a.dead.All(), a.found))
	lettersFinal := max(0, a.dead.Len()-b.Dead) // sent and delivered after all
	finalFound := a.found.Len() - max(0, lettersFound-lettersFinal) - requeuedUntold
	byBooks := max(0, b.Final-finalFound)

	missing := max(bySource, byBooks) // neither side is believed alone
	if missing == 0 {
		return v
	}
	in := without(a.records.All(), a.dead)
	if v.AtMost = bySource < byBooks || allowed > 0; bySource < byBooks {
		in = without(a.NotFound(), a.dead)
	}
	late := max(0, length(without(a.late.All(), a.dead))-allowed)
	switch {
	case d.Other != "":
		v.Outcome, v.NoProof, v.Reason = Doubtful, missing, d.Other
	case d.Expired != "" && late == 0:
		v.Outcome, v.NoProof, v.Reason = Doubtful, missing, d.Expired
	case d.Expired != "":
		v.Outcome, v.Missing, v.NoProof, v.AtMost, in = Missing, late, missing-late, allowed > 0, without(a.late.All(), a.dead)
	default:
		v.Outcome, v.Missing = Missing, missing
	}
	v.Intervals, v.More = named(in)
	return v
}
