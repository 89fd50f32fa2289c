package checkpoint

const (
	none       = -1
	pageBits   = 8
	pageSize   = 1 << pageBits
	sparePages = 8 // kept when nothing is held any more

	indexBits = 26
	indexMask = 1<<indexBits - 1
)

// slab holds pieces in pages, so that growing never moves them. A handle is the index in its low bits
// and, above, the number of the take it came from: a place that is used again, also in a page that was
// given back in between, never answers to an old handle.
type slab struct {
	pages []*[pageSize]piece
	free  int32 // first free place, plus one so that the zero slab is empty
	used  int32 // places ever taken in these pages
	live  int
	takes uint64
}

func (s *slab) at(i int32) *piece { return &s.pages[i>>pageBits][i&(pageSize-1)] }

// find returns the place of a handle that is still known.
func (s *slab) find(h Piece) (int32, bool) {
	i := int32(h & indexMask)
	if i >= s.used || h == 0 {
		return 0, false
	}
	return i, s.at(i).handle == h
}

// take returns a cleared place with a fresh handle.
func (s *slab) take() int32 {
	var i int32
	if s.free > 0 {
		i = s.free - 1
		s.free = s.at(i).next
	} else {
		if s.used > indexMask {
			panic("bug: 67 million pieces held for one partition; the limit on unfinal pieces should have stopped it")
		}
		i = s.used
		if int(i>>pageBits) == len(s.pages) {
			s.pages = append(s.pages, new([pageSize]piece))
		}
		s.used++
	}
	s.takes++
	s.live++
	*s.at(i) = piece{handle: Piece(s.takes<<indexBits | uint64(i)), parent: none, next: none}
	return i
}

// drop forgets a piece; its handle is stale from here.
func (s *slab) drop(i int32) {
	x := s.at(i)
	x.handle = 0
	x.next = s.free
	s.free = i + 1
	s.live--
	if s.live == 0 && len(s.pages) > sparePages {
		s.pages = append([]*[pageSize]piece(nil), s.pages[:sparePages]...)
		s.free, s.used = 0, 0
	}
}
