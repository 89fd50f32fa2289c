package watermark_test

import (
	"slices"
	"testing"

	"inlong-bridge/connector/watermark"
)

func TestWatermarkWaitsForTheRoutesOfOpenPiecesOfTheOldestSpan(t *testing.T) {
	p := watermark.New(0)
	if got := p.WaitingFor(nil); len(got) != 0 {
		t.Errorf("WaitingFor = %v with nothing fetched, want nothing", got)
	}
	first := p.Begin(0, 10)
	a := p.Add(first, watermark.Origin{First: 0, Last: 4, Route: 1, Records: 5})
	p.Add(first, watermark.Origin{First: 5, Last: 5, Route: 2, Records: 1})
	b := p.Add(first, watermark.Origin{First: 6, Last: 9, Route: 2, Records: 4})
	p.End(first)
	second := p.Begin(10, 11)
	p.Add(second, watermark.Origin{First: 10, Last: 10, Route: 3, Records: 1})
	p.End(second)
	check := func(what string, want ...int32) {
		t.Helper()
		got := p.WaitingFor([]int32{9})
		if got = got[1:]; len(got) != len(want) {
			t.Fatalf("%s: WaitingFor = %v, want %v", what, got, want)
		}
		for _, r := range want {
			if !slices.Contains(got, r) {
				t.Errorf("%s: WaitingFor = %v, want %v", what, got, want)
			}
		}
	}
	check("two routes are open", 1, 2)
	p.Final(a)
	check("one became final", 2)
	if _, again := p.Lost(b); !again {
		t.Fatal("the piece cannot be lost")
	}
	repair := p.Replace(b, watermark.Origin{First: 6, Last: 9, Route: 2, Records: 4})
	p.Replaced(b, 0, watermark.Gap)
	check("a piece is replaced", 2)
	p.Final(repair)
	check("the replacement is final, another piece of the route is not", 2)
	p.Revoke()
	if got := p.WaitingFor(nil); len(got) != 0 {
		t.Errorf("WaitingFor = %v after Revoke, want nothing", got)
	}
}
