package checkpoint

import "testing"

// What a long outage needed is given back once it is committed: the pages of the pieces and the ring of the spans.
func TestPagesAndSpansAreGivenBackAfterAnOutage(t *testing.T) {
	p := New(0)
	const n = 20 * pageSize
	var pieces []Piece
	for i := range int64(n) {
		s := p.Begin(i, i+1)
		pieces = append(pieces, p.Add(s, Origin{First: i, Last: i, Records: 1}))
		p.End(s)
	}
	for _, pc := range pieces {
		p.Final(pc)
	}
	if _, ok := p.BeginCommit(); !ok {
		t.Fatal("nothing to commit")
	}
	p.EndCommit(true)
	if len(p.pieces.pages) > sparePages {
		t.Errorf("%d pages of pieces are kept, want at most %d", len(p.pieces.pages), sparePages)
	}
	if len(p.spans.buf) > 16*smallRing {
		t.Errorf("room for %d spans is kept, want at most %d", len(p.spans.buf), 16*smallRing)
	}
}
