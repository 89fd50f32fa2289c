// Package signal has the two ways in which one goroutine tells others that something happened: [Poke] wakes one,
// [Broadcast] wakes all that wait. Neither carries a value, blocks its sender, or starts a goroutine.
//
// The package serves this module's own packages and promises no stable API.
package signal

import "sync/atomic"

// Poke wakes the goroutine that receives from it. Several pokes that nobody has received yet are one. A nil Poke
// drops all.
type Poke chan struct{}

// NewPoke returns a Poke that holds nothing.
func NewPoke() Poke { return make(Poke, 1) }

// Poke never blocks.
func (p Poke) Poke() {
	select {
	case p <- struct{}{}:
	default:
	}
}

// Broadcast wakes everybody who waits. The zero value is ready; it must not be copied after first use.
type Broadcast struct {
	next atomic.Pointer[chan struct{}] // nil: nobody has waited since the last Wake
}

// Next returns a channel that the next Wake closes. Take it before looking at what is waited for:
//
//  1. the waiter looks and finds nothing  2. it happens, and Wake finds nobody  3. the waiter takes the channel, and
//     waits for what is over.
func (b *Broadcast) Next() <-chan struct{} {
	for {
		if c := b.next.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if b.next.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// Wake closes the channel that Next returned. While nobody waits it costs one atomic load, so it can be called for
// each pack.
func (b *Broadcast) Wake() {
	if b.next.Load() == nil {
		return
	}
	if c := b.next.Swap(nil); c != nil { // another Wake may have been quicker
		close(*c)
	}
}
