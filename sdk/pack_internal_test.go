package sdk

import (
	"bytes"
	"testing"

	"inlong-bridge/sdk/frame"
)

// A sweep takes the same records as adding them one by one does, whichever limit ends it.
func TestSweepTakesWhatFits(t *testing.T) {
	s := &Sender{o: defaults()}
	s.budget.Init(64<<20, 0, 0, 0)
	st := &Stream{s: s}
	var records [][]byte
	for i := range 400 {
		records = append(records, bytes.Repeat([]byte{byte(i)}, i*7%90))
	}
	records[0] = make([]byte, 600)
	for _, tt := range []struct {
		name                        string
		limit, packCount, room, all int
	}{
		{"bytes", 5000, 65535, 64 << 10, 0},
		{"records", 64 << 10, 100, 64 << 10, 0},
		{"the first is larger than the limit", 500, 65535, 64 << 10, 1},
		{"the buffer grows", 64 << 10, 65535, 512, 400},
	} {
		s.o.packCount = tt.packCount
		open := func() *pack {
			return &pack{filling: filling{st: st, limit: int32(tt.limit), buf: s.packBuffer(tt.room)}}
		}
		want, n := open(), 0
		for ; n < len(records) && want.fits(len(records[n])); n++ {
			want.add(records[n], &s.bufs)
		}
		if tt.all > 0 && n != tt.all || n == 0 {
			t.Fatalf("%s: %d records fit one by one, want %d", tt.name, n, tt.all)
		}
		got, taken := open(), 0
		for taken < len(records) && got.fits(len(records[taken])) {
			got.add(records[taken], &s.bufs)
			taken += 1 + got.addWhatFits(records[taken+1:])
		}
		if taken != n || got.count != n || got.charge != want.charge || !bytes.Equal(got.buf[frame.PackHeader:], want.buf[frame.PackHeader:]) {
			t.Errorf("%s: %d records of %d bytes are taken at once, %d of %d one by one", tt.name, taken, got.size(), n, want.size())
		}
	}
}
