package list_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"inlong-bridge/sdk/internal/list"
)

type element struct {
	name int
	at   list.Node[element]
}

func newElement(name int) *element {
	e := &element{name: name}
	e.at.Owner = e
	return e
}

func forwards(l *list.List[element]) (names []int) {
	for e := l.Front(); e != nil; e = e.at.Next() {
		names = append(names, e.name)
	}
	return names
}

func backwards(l *list.List[element]) (names []int) {
	for e := l.Back(); e != nil; e = e.at.Prev() {
		names = append(names, e.name)
	}
	return names
}

// Two lists and slices that do the same, step by step.
func TestListsAgreeWithSlices(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	elements := make([]*element, 8)
	for i := range elements {
		elements[i] = newElement(i)
	}
	var lists [2]list.List[element]
	var want [2][]int
	drop := func(name int) {
		for i := range want {
			want[i] = slices.DeleteFunc(want[i], func(n int) bool { return n == name })
		}
	}
	for step := range 20_000 {
		e, which := elements[rnd.IntN(len(elements))], rnd.IntN(2)
		l := &lists[which]
		switch rnd.IntN(4) {
		case 0, 1:
			drop(e.name)
			want[which] = append(want[which], e.name)
			l.PushBack(&e.at)
		case 2:
			drop(e.name)
			e.at.Remove()
			if e.at.In() != nil || e.at.Next() != nil || e.at.Prev() != nil {
				t.Fatalf("step %d: an element that was removed is still linked", step)
			}
		case 3:
			i := rnd.IntN(len(want[which])+1) - 1
			if i >= 0 && want[which][i] == e.name {
				continue
			}
			var after *list.Node[element]
			behind := -1
			if i >= 0 {
				behind = want[which][i]
				after = &elements[behind].at
			}
			drop(e.name)
			want[which] = slices.Insert(want[which], slices.Index(want[which], behind)+1, e.name)
			l.InsertAfter(&e.at, after)
		}
		for i := range lists {
			reversed := slices.Clone(want[i])
			slices.Reverse(reversed)
			if got := forwards(&lists[i]); !slices.Equal(got, want[i]) {
				t.Fatalf("step %d: list %d is %v, want %v", step, i, got, want[i])
			}
			if got := backwards(&lists[i]); !slices.Equal(got, reversed) {
				t.Fatalf("step %d: list %d backwards is %v, want %v", step, i, got, reversed)
			}
			if lists[i].Len() != len(want[i]) {
				t.Fatalf("step %d: list %d has %d elements, want %d", step, i, lists[i].Len(), len(want[i]))
			}
			for _, name := range want[i] {
				if elements[name].at.In() != &lists[i] {
					t.Fatalf("step %d: element %d does not know its list", step, name)
				}
			}
		}
	}
}

func TestInsertAfterAnElementOfAnotherListPanics(t *testing.T) {
	var l, other list.List[element]
	a, b := newElement(1), newElement(2)
	other.PushBack(&a.at)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	l.InsertAfter(&b.at, &a.at)
}

func TestMovingAnElementDoesNotAllocate(t *testing.T) {
	var a, b list.List[element]
	e := newElement(1)
	if n := testing.AllocsPerRun(100, func() { a.PushBack(&e.at); b.PushBack(&e.at); e.at.Remove() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
