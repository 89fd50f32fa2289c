//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// letters reads the dead letters, by the place of their originals. A record that was read again after a kill may have several.
func (r *randomRun) letters() map[place][]letter {
	r.Helper()
	all := make(map[place][]letter)
	for topic, ls := range r.k.letters(recordsLetters) {
		for _, l := range ls {
			for o := l.Offset; o <= l.Last; o++ { // a batch has several
				here := place{topic, l.Partition, o}
				all[here] = append(all[here], l)
			}
		}
	}
	return all
}

// accounted wants each record to have become exactly one thing: the one that its way says.
func (r *randomRun) accounted(f *found, letters map[place][]letter) {
	r.Helper()
	failures, copies, repeats, ways := 0, 0, 0, make(map[string]int)
	got := make(map[fate]int)
	for source, places := range r.produced.places {
		for offset, number := range places {
			if number == none {
				continue
			}
			here := place{source.topic, source.partition, int64(offset)}
			o, odd := r.produced.odd[number]
			want, name := arrives, "good"
			if odd {
				want, name = o.way.fate, o.way.name
				ways[fmt.Sprintf("%s: %s %s", here.topic, name, want)]++
			}
			arrived, dead := f.times[here], letters[here]
			copies += max(0, arrived-1)
			repeats += max(0, len(dead)-1)
			is := skipped
			switch {
			case arrived > 0 && len(dead) == 0:
				is = arrives
			case arrived == 0 && len(dead) > 0:
				is = lettered
			}
			got[is]++
			if is != want || arrived > 0 && len(dead) > 0 {
				if failures++; failures <= 20 {
					r.Errorf("%+v (%s) arrived %d times and has %d letters; want it %s", here, name, arrived, len(dead), want)
					for _, l := range dead {
						r.Logf("letter: %s: %s", l.Reason, l.Sentence)
					}
				}
			}
			for _, l := range dead {
				if odd && (!o.isIn(&l) || l.Reason != o.way.class) {
					failures++
					r.Errorf("the letter of %+v (%s) says %s and holds key %.60q, value %.60q, %d headers, %v", here, name, l.Reason, l.original.Key,
						l.original.Value, len(l.original.Headers), l.original.Timestamp)
				}
			}
			delete(letters, here)
		}
	}
	for here := range letters {
		failures++
		r.Errorf("a letter of %+v, where no record was produced", here)
	}
	r.Logf("%d arrived + %d dead-lettered + %d skipped = %d produced; %d copies beyond the first, %d letters again; %v", got[arrives], got[lettered], got[skipped],
		r.produced.size, copies, repeats, ways)
	if want := len(r.waysHere()); r.n >= 500*oddOneIn && len(ways) != want {
		r.Errorf("%d ways to be odd were drawn, want all %d", len(ways), want)
	}
	if failures > 20 {
		r.Errorf("%d records are not what they must be", failures)
	}
}

// isIn reports whether a letter holds what was produced.
func (o *oddRecord) isIn(l *letter) bool {
	if o.record == nil {
		return l.Offset == o.first && l.Last == o.first+damagedRecords-1 && len(l.original.Value) == len(o.batch) && bytes.Equal(l.original.Value[batchHead:], o.batch[batchHead:])
	}
	return l.Offset == l.Last && sameRecord(l.original, o.record)
}

func sameRecord(a, b *kgo.Record) bool {
	return bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil) && bytes.Equal(a.Key, b.Key) && (a.Key == nil) == (b.Key == nil) &&
		a.Timestamp.Equal(b.Timestamp) && slices.EqualFunc(a.Headers, b.Headers, func(a, b kgo.RecordHeader) bool {
		return a.Key == b.Key && bytes.Equal(a.Value, b.Value)
	})
}
