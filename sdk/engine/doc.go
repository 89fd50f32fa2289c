// Package engine decides everything about a pack from the moment it is sealed: on which connection it travels and when,
// what an answer means, when it is sent again, cut, held or given up, and when it is final or lost. It is pure: events
// with their times come in as method calls, effects come out; it has no clock, does no I/O, starts no goroutine, takes
// no lock and writes no log. Random numbers come from the source in [Config].
//
// The package exists for package sdk, the model test and benchmarks, and promises no stable API.
//
// # How to drive it
//
// An owner holds one [Engine] under one mutex and does four things:
//
//  1. It reports every event in the order in which it happened, with a time that never goes back.
//  2. It calls [Engine.Tick] at least ten times a second.
//  3. It ends each change with [Engine.Progress] and carries out the effects in their order. Sending, heartbeats and
//     news of packs keep their order only if they are passed on before the mutex is let go.
//  4. It calls Progress again when it reported an event while it carried out effects.
//
// # Life of a pack
//
//	              +------------ refused, connection ended ------------+
//	              v                                                   |
//	Sealed --> Waiting --Send--> InFlight --Acked--> Acked --------> Final (Done)
//	              |  ^                                 |
//	      Held <--+  |                                 +--> Lost --seen after all--> Final (Done)
//	        +--------+                                        |
//	                                                          +--Forget--> Done
//	Waiting --Cut or Judge, Parted--> Split (its two parts live on)
//	Waiting --Cut or Judge, Judged--> Done (given up), or Lost until it is forgotten (taken back)
//
// A Waiting pack waits in exactly one place: a queue of its stream (dispatch.go), the isolated packs that travel alone
// (isolate.go), the packs that wait for the opinion of a second proxy (refused.go) or until another one is cut (judge.go), or
// at the owner, which is cutting it or was asked about it.
//
// # Where to look
//
//	which stream and pack is next        dispatch.go, runqueue.go
//	which connection                     choose.go
//	a proxy that says "not now"          breaker.go, ackclass.go
//	a connection that ended, retries     connection.go, retry.go
//	a pack that ends connections         isolate.go
//	a permanent refusal, held packs      refused.go
//	what the owner may say of them       judge.go
//	when an acked pack is final or lost  package finality
package engine
