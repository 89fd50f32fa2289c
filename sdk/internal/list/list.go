// Package list is a doubly linked list whose links lie in the elements, so that putting an element in and taking it
// out allocate nothing. Every operation is O(1). A list is not safe for concurrent use.
package list

// List holds elements in order. The zero value is empty.
type List[T any] struct {
	front, back *Node[T]
	n           int
}

// Node is the place of one element, and usually a field of it. The zero value is in no list.
type Node[T any] struct {
	Owner *T // the element; whoever puts it into a list sets it before

	prev, next *Node[T]
	in         *List[T] // nil: in no list
}

// Len returns how many elements there are.
func (l *List[T]) Len() int { return l.n }

// Front returns the first element, nil if there is none.
func (l *List[T]) Front() *T { return owner(l.front) }

// Back returns the last element, nil if there is none.
func (l *List[T]) Back() *T { return owner(l.back) }

// PushBack puts n at the end, and takes it out of the list that it was in.
func (l *List[T]) PushBack(n *Node[T]) { l.insert(n, l.back) }

// InsertAfter puts n behind after, and at the front if after is nil. It takes n out of the list that it was in. after
// is in l, and is not n.
func (l *List[T]) InsertAfter(n, after *Node[T]) {
	if after != nil && after.in != l || after == n {
		panic("bug: an element is put behind one of another list")
	}
	l.insert(n, after)
}

func (l *List[T]) insert(n, after *Node[T]) {
	if after == n { // it is the last one already
		return
	}
	n.Remove()
	n.in, n.prev = l, after
	if after == nil {
		n.next, l.front = l.front, n
	} else {
		n.next, after.next = after.next, n
	}
	if n.next == nil {
		l.back = n
	} else {
		n.next.prev = n
	}
	l.n++
}

// Remove takes n out of the list that it is in, if any.
func (n *Node[T]) Remove() {
	l := n.in
	if l == nil {
		return
	}
	if n.prev == nil {
		l.front = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.back = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.in, n.prev, n.next = nil, nil, nil
	l.n--
}

// In returns the list that n is in, nil if there is none.
func (n *Node[T]) In() *List[T] { return n.in }

// Next returns the element behind n, nil if n is the last one or in no list.
func (n *Node[T]) Next() *T { return owner(n.next) }

// Prev returns the element before n, nil if n is the first one or in no list.
func (n *Node[T]) Prev() *T { return owner(n.prev) }

func owner[T any](n *Node[T]) *T {
	if n == nil {
		return nil
	}
	return n.Owner
}
