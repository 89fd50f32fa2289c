package engine

import (
	"time"
)

// Kind is what an effect asks of the owner, or tells it.
type Kind uint8

// Orders: the owner does something, and reports what came of it as an event.
const (
	Send       Kind = iota // hand Pack to the writer of Conn, which asks Take before it writes the first byte
	Heartbeat              // write a heartbeat on Conn, ahead of the packs that are not taken yet; report it with Beat
	CloseConn              // close Conn because of Reason; Ended follows when its reader is done
	Connect                // begin to keep connections to Endpoint
	Disconnect             // dial Endpoint no more; its connections finish what they have
	Redial                 // do not wait any longer before the next dial to Endpoint
	Barrier                // begin a barrier over all queue clusters; report BarrierPassed or BarrierFailed
	Cut                    // make two packs of Pack, which ended Times connections; report Parted, NotParted or Judged
	Judge                  // Pack is refused permanently, as Err says; report Parted or Judged

	// News of a pack.
	PackAcked     // by Endpoint; its bytes are not needed any more
	PackFinal     // Again: it was lost before. The last news
	PackLost      // by Endpoint because of Reason: read it again. The last news unless Pack.Followed
	PackHeld      // every proxy refuses it permanently, as Err says; it is kept and tried again
	PackReleased  // it is held no more and goes out as usual
	PackRefused   // it is given up; see Cause. The last news
	PackTakenBack // as the owner wanted; see Cause. The last news unless it is remembered: it may be seen
	PackAbandoned // the owner stops. Again: it was lost before, which was told. Err: it was held because of that. The last news
	PackForgotten // a pack that was cut, and of whose parts nothing more will be heard. The last news

	// News of connections and proxies, for logs, hooks and whoever waits for a connection.
	ConnReady       // Conn takes packs from now on
	ConnEnded       // Conn ended with Packs in flight and Acked packs that are not final: Reason is why it was closed, else Err is the reader's error
	ConnLost        // the same, to be logged: neither drained nor part of an outage
	EndpointFails   // Endpoint cannot be used, as Failure says: Times failures since For ago; not told for each failure
	EndpointBack    // the outage of Endpoint is over after Times failures and For
	EndpointRefuses // Endpoint answered Err, which means that it takes nothing now
	EndpointTakes   // Endpoint takes packs again after Times pauses

	// News of streams, for logs.
	StreamRefuses // Endpoint answered Err, which means that it takes nothing of Stream now
	StreamTakes   // Endpoint takes Stream again after Times pauses
	StreamRejects // Endpoint alone refuses packs of Stream permanently, as Reason says; it is avoided for a pause
	PackEndsConns // Times connections ended in a row while Pack was their oldest unanswered pack
	HoldingBegins // the first pack that is held for the code of Err
	HoldingEnds   // Endpoint took the held Pack: it and the others, Packs together, go out after For
	kinds         = iota
)

var kindNames = [kinds]string{
	"send", "heartbeat", "close", "connect", "disconnect", "redial", "barrier", "cut", "judge",
	"acked", "final", "lost", "held", "released", "refused", "taken back", "abandoned", "forgotten",
	"conn ready", "conn ended", "conn lost", "endpoint fails", "endpoint back", "endpoint refuses", "endpoint takes",
	"stream refuses", "stream takes", "stream rejects", "pack ends connections", "holding begins", "holding ends",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Effect is one thing that the owner does, in the order of the list. Kind says which of the fields are set.
type Effect struct {
	Kind     Kind
	Cause    Cause   // Judge, PackRefused, PackTakenBack
	Failure  Failure // EndpointFails
	Again    bool
	Pack     *Pack
	Conn     *Conn
	Endpoint *Endpoint
	Stream   *Stream
	Err      error  // as the owner gave it with an event
	Reason   string // constant text, or as the owner gave it
	Times    int
	Packs    int
	Acked    int
	For      time.Duration
}

// Cause says why a pack is refused or taken back.
type Cause uint8

const (
	NoCause     Cause = iota
	ByProxies         // two proxies, or all there are, refused it permanently: Err is the last answer
	ByRetries         // Times tries failed, more than Config.RetryLimit allows: the last one with Err, or if that is nil at Endpoint for Reason
	ByIsolation       // the record was alone on Times connections that ended, to the proxies of Pack.EndedBy
	ByEncoder         // it cannot be encoded: Err
)

func (c Cause) String() string {
	switch c {
	case NoCause:
		return "none"
	case ByProxies:
		return "proxies refuse it"
	case ByRetries:
		return "retries are used up"
	case ByIsolation:
		return "it ends connections"
	case ByEncoder:
		return "it cannot be encoded"
	}
	return "unknown"
}

// emit appends an effect.
func (e *Engine) emit(f Effect) { *e.add(f.Kind) = f }

// add appends an effect of which only the kind is set. It spares the effects that every pack has the copy of a large
// struct.
func (e *Engine) add(k Kind) *Effect {
	n := len(e.effects)
	if n < cap(e.effects) {
		e.effects = e.effects[:n+1] // zero: see takeEffects
	} else {
		e.effects = append(e.effects, Effect{})
	}
	f := &e.effects[n]
	f.Kind = k
	return f
}

// takeEffects returns what was emitted since the last call. The list is valid until the next call.
func (e *Engine) takeEffects() []Effect {
	taken := e.effects
	clear(e.spare) // Invariant: effects and spare are zero behind their lengths
	e.effects, e.spare = e.spare[:0], taken
	return taken
}
