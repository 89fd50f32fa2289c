package checkpoint

import "testing"

func TestOldestIsTheOpenPieceThatHoldsTheCheckpointBack(t *testing.T) {
	p := New(0)
	if o, ok := p.Oldest(); ok {
		t.Fatalf("Oldest = %+v of an empty partition", o)
	}
	a := p.Begin(0, 10)
	late := p.Add(a, Origin{First: 5, Last: 9, Route: 2})
	early := p.Add(a, Origin{First: 0, Last: 4, Route: 1})
	p.End(a)
	b := p.Begin(10, 20)
	next := p.Add(b, Origin{First: 10, Last: 19, Route: 3})
	p.End(b)
	for _, tt := range []struct {
		final Piece
		want  int32
	}{{0, 1}, {next, 1}, {early, 2}} {
		p.Final(tt.final)
		if o, ok := p.Oldest(); !ok || o.Route != tt.want {
			t.Errorf("Oldest = route %d, %v, want %d", o.Route, ok, tt.want)
		}
	}
	o, _ := p.Lost(late)
	r := p.Replace(late, o)
	if got, ok := p.Oldest(); !ok || got.Route != 2 {
		t.Errorf("Oldest = route %d, %v while a lost piece is open, want 2", got.Route, ok)
	}
	p.Final(r)
	p.Replaced(late, 0, Gap)
	if o, ok := p.Oldest(); ok {
		t.Errorf("Oldest = %+v when all are final", o)
	}
}
