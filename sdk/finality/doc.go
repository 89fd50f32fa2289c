// Package finality decides what becomes of a pack after it was written: when it is final, when it is
// lost, and where the next one may go. It is a pure state machine: events with their time go in,
// decisions come out; it has no clock, does no I/O and takes no lock.
//
//	waiting --Written--> in flight --Acked--> acked --settled | seen--> final
//	   ^                    |                   |
//	   |  refused, ended,   |                   | Ended (Settle), or the rules of queue.go
//	   +---- timed out -----+                   v
//	                                           lost ---seen after all---> final
//
// A caller that holds one [Machine] under its own mutex does four things: it tells every event in the
// order in which it happened, calls [Machine.Tick] at least ten times a second, asks [Machine.Admit]
// before it hands a pack to a connection, and carries out [Machine.Decisions].
//
// Three rules carry the safety, everything else is about liveness and duplicates:
//
//   - Ack: an ack makes a pack final. A proxy's ack is a promise from its memory, so this survives no
//     crash of a proxy.
//   - Settle: a pack is final when its connection has lived on in health for Config.Settle since the
//     ack, by the connection's own life clock (lifeclock.go), never by wall time.
//   - Queue: a pack is final when it was seen in the queue behind the proxy, and in no other way.
//
// Two clocks are not the caller's. A connection's life clock moves only between timely answers. The
// queue clock moves only while every queue cluster answers: when the queue is down nobody's packs
// arrive, so nothing becomes overdue. Time during which this process did not run (no Tick
// for longer than Config.ClockGap) moves neither.
//
// The package serves package sdk, its engine and the model test, and promises no stable API but Mode, Config and
// DefaultConfig, which sdk.WithFinality takes.
package finality
