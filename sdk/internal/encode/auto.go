package encode

// Auto decides per stream whether compressing pays: after a few packs in a row that hardly
// shrank it stops, and probes again after many.
type Auto struct {
	useless int16 // packs in a row that hardly shrank
	skip    int16 // packs left to send as they are
	halves  bool  // the last pack became half as long, or shorter
}

const (
	autoFrom    = 256 // bytes of items
	autoUseless = 4
	autoSkip    = 128
)

// Next says whether the next pack is to be compressed.
func (a *Auto) Next(items int) bool {
	if items < autoFrom {
		return false
	}
	if a.skip > 0 {
		a.skip--
		return false
	}
	return true
}

// Result learns from a pack that was compressed, or tried to be.
func (a *Auto) Result(items, body int) {
	a.halves = 2*body <= items
	if body <= items-items/20 {
		a.useless, a.skip = 0, 0
		return
	}
	if a.useless++; a.useless >= autoUseless {
		a.useless, a.skip = autoUseless-1, autoSkip // one probe that fails is enough next time
	}
}

// Halves reports whether packs become half as long.
func (a *Auto) Halves() bool { return a.halves }

// Skips reports whether packs are sent as they are for now.
func (a *Auto) Skips() bool { return a.skip > 0 }
