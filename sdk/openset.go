package sdk

// openSet is the packs of a stream that are being filled, by key. Most streams have one at a time, and thousands are idle,
// so there is a map only while there are several. Guarded by Stream.mu.
type openSet struct {
	one  *pack
	more map[openKey]*pack // without one; nil when empty
}

func (o *openSet) len() int {
	if o.one == nil {
		return 0
	}
	return 1 + len(o.more)
}

// get returns the pack of a key, nil if there is none.
func (o *openSet) get(key *openKey) *pack {
	if o.one != nil && o.one.key == *key {
		return o.one
	}
	return o.more[*key]
}

func (o *openSet) add(p *pack) {
	if o.one == nil {
		o.one = p
		return
	}
	if o.more == nil {
		o.more = make(map[openKey]*pack)
	}
	o.more[p.key] = p
}

func (o *openSet) remove(p *pack) {
	if o.one != p {
		delete(o.more, p.key)
	} else {
		o.one = nil
		for key, other := range o.more {
			o.one = other
			delete(o.more, key)
			break
		}
	}
	if len(o.more) == 0 {
		o.more = nil
	}
}

// all calls f for each pack; f may remove it.
func (o *openSet) all(f func(*pack)) {
	for _, p := range o.more {
		f(p)
	}
	if p := o.one; p != nil {
		f(p)
	}
}
