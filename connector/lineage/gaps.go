package lineage

// gaps is the state of the code of gaps, which writer and reader keep in step. A gap is how far an offset lies from the one that
// follows the offset before it of the same source: 0 for a neighbour. It is an adaptive Golomb code with runs
// (Malvar, Adaptive run-length/Golomb-Rice encoding, 2006). With k = run/4:
//
//	k = 0   each gap is a Rice code
//	k > 0   0: as many neighbours as are left of the run of records, at most 1<<k
//	        1: a number of k bits, so many neighbours, then the Rice code of a gap less 1
//
// A Rice code of v with r = rice/4 is v>>r ones, a zero, and the lowest r bits of v. Twelve ones mean that the gap follows,
// not less 1, as a signed number.
type gaps struct {
	run, rice int
	zeros     int // of the writer: neighbours that no bit tells yet
}

const (
	scale     = 4
	maxRun    = 12*scale + scale - 1
	maxRice   = 20*scale + scale - 1
	escapeLen = 12
)

// freshGaps is the state at the beginning of a pack.
var freshGaps = gaps{run: 1 * scale, rice: 2 * scale}

func (g *gaps) k() int      { return g.run / scale }
func (g *gaps) longer()     { g.run = min(g.run+scale, maxRun) }
func (g *gaps) shorter()    { g.run = max(g.run-scale-1, 0) }
func (g *gaps) single0()    { g.run = min(g.run+2, maxRun) }
func (g *gaps) singleHole() { g.run = max(g.run-2, 0) }

// coded adapts the Rice parameter to a quotient.
func (g *gaps) coded(q int) {
	switch {
	case q == 0:
		g.rice = max(g.rice-1, 0)
	case q > 1:
		g.rice = min(g.rice+q, maxRice)
	}
}

// putZeros appends n neighbours.
func (g *gaps) putZeros(w *bitWriter, at *int, n int) {
	for n > 0 {
		k := g.k()
		if k == 0 {
			g.putRice(w, at, 0, 0)
			g.single0()
			n--
			continue
		}
		take := min(n, 1<<k-g.zeros)
		g.zeros += take
		n -= take
		if g.zeros == 1<<k {
			g.endZeros(w, at)
		}
	}
}

// endZeros tells the neighbours that no bit tells yet: the run of records ends, or there are as many as one bit tells.
func (g *gaps) endZeros(w *bitWriter, at *int) {
	if g.zeros > 0 {
		w.put(at, 0, 1)
		g.zeros = 0
		g.longer()
	}
}

// putHole appends a gap that is not 0.
func (g *gaps) putHole(w *bitWriter, at *int, gap int64) {
	k := g.k()
	if k == 0 {
		g.putRice(w, at, gap, uint64(gap))
		g.singleHole()
		return
	}
	w.put(at, 1, 1)
	w.put(at, uint64(g.zeros), k)
	g.zeros = 0
	g.putRice(w, at, gap, uint64(gap)-1)
	g.shorter()
}

func (g *gaps) putRice(w *bitWriter, at *int, gap int64, v uint64) {
	r := g.rice / scale
	q := v >> r
	if gap < 0 || q >= escapeLen {
		w.put(at, 1<<escapeLen-1, escapeLen)
		w.putNibbles(at, zigzag(gap))
		g.coded(escapeLen)
		return
	}
	w.put(at, 1<<(q+1)-2, int(q)+1)
	w.put(at, v, r)
	g.coded(int(q))
}

// get reads how many neighbours come next, of the left records of a run, and the gap of the record behind them if there is one.
func (g *gaps) get(r *bitReader, left int) (zeros int, gap int64, hole bool) {
	k := g.k()
	switch {
	case k == 0:
		if gap = g.getRice(r, 0); gap == 0 {
			g.single0()
			return 1, 0, false
		}
		g.singleHole()
		return 0, gap, true
	case r.get(1) == 0:
		g.longer()
		return min(left, 1<<k), 0, false
	}
	zeros = int(r.get(k))
	gap = g.getRice(r, 1)
	g.shorter()
	return zeros, gap, true
}

func (g *gaps) getRice(r *bitReader, less int64) int64 {
	q := 0
	for q < escapeLen && r.get(1) == 1 {
		q++
	}
	width := g.rice / scale
	g.coded(q)
	if q == escapeLen {
		return unzigzag(r.getNibbles())
	}
	return int64(uint64(q)<<width|r.get(width)) + less
}
