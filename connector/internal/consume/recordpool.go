package consume

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordPool lends the client the structs of the records that it decodes, in place of 170 new bytes for each record. Their bytes are
// not lent: key, value and headers lie in the fetch, which the garbage collector frees once nothing refers to it. So what is pending,
// and refers to values, is not touched when records are given back.
type recordPool struct {
	lists   sync.Pool // of *[]kgo.Record
	headers sync.Pool // of *[]kgo.Record without a list, so that giving one back does not allocate
}

const (
	// mostLent is how many records a list has at most that is kept.
	mostLent = 64 << 10
	// smallValue is the average size below which giving records back is less work than making new ones: it is some
	// work for each record, and saves a part of the garbage that is small where values are large.
	smallValue = 512
)

// GetRecords implements [kgo.PoolRecords].
func (p *recordPool) GetRecords(n int) []kgo.Record {
	h, _ := p.lists.Get().(*[]kgo.Record)
	if h == nil {
		return make([]kgo.Record, n)
	}
	list := *h
	*h = nil
	p.headers.Put(h)
	if cap(list) < n {
		return make([]kgo.Record, n)
	}
	return list
}

// PutRecords implements [kgo.PoolRecords].
func (p *recordPool) PutRecords(list []kgo.Record) {
	if cap(list) > mostLent {
		return
	}
	poison(list)
	h, _ := p.headers.Get().(*[]kgo.Record)
	if h == nil {
		h = new([]kgo.Record)
	}
	*h = list
	p.lists.Put(h)
}

// giveBack ends the use of records whose values have so many bytes.
func giveBack(recs []*kgo.Record, bytes int64) {
	if bytes > smallValue*int64(len(recs)) {
		return
	}
	for _, r := range recs {
		r.Recycle()
	}
}
