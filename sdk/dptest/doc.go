// Package dptest is a DataProxy and a Manager for tests, the demo and devproxy: an honest double that
// acks from memory and moves packs to its queue later, so that killing it loses what the real one loses.
//
//	net := new(dptest.Network)                    // in-memory; without it the proxy listens on TCP
//	p := dptest.Start(t, dptest.WithNetwork(net)) // ends with the test
//	p.SwallowAck(1)                               // the first pack is stored and not answered
//	...                                           // send to p.Addr() through net.DialContext
//	p.WaitFor(t, func(s dptest.Stats) bool { return s.Packs == 2 }) // both copies
//	packs, records := p.Kill()                    // acked, and gone
//	err := p.Restart()                            // the same address, nothing in memory
//	p.MemoryQueue().WaitFor(t, 1)                 // what did arrive behind it
//
// # What it does
//
// It follows the server of InLong 2.5 for message types 1 to 8: the same checks in the same order,
// the same answers byte for byte, and the end of the connection without an answer wherever the server
// ends it. What it stores is what the server stores, its losses included: of type 5 all that is behind an
// empty record, of lines the line feed at their end. Golden frames captured from InLong's Java SDK and a
// real DataProxy keep it honest.
//
// An ack is sent when the pack is in memory. From there the packs move on as Flume's sink runner moves
// them: whenever it finds nothing it sleeps, for 1 s under steady flow and for up to 5 s after idling.
// WithQueueDelay replaces that. Packs are spread round robin over the clusters of a ClusterQueue, each
// with a line of its own. A Put that fails is tried again without limit.
//
// Faults are methods of Proxy and stay until undone. Those with a share choose the packs by a seeded
// generator (WithSeed). Kill, Term and Restart are the life of the process; a new process is neither
// frozen nor a zombie, and keeps all other faults.
//
// # What it does not do
//
//   - The protobuf form ends the connection as an unknown type.
//   - A node's own trace attributes (ext_field 0x2) are not added, numeric ids have no mapping (code 3),
//     and syncSend is treated as proxySend: stored, never answered.
//   - Memory is limited by the number of packs only, so a stall ends in code 114 and never in
//     OutOfMemoryError; Zombie is that by hand. Channels on disk do not exist.
//   - Texts of errors other than 109 and 115 are not the server's. In the answer to a text pack whose
//     attributes are not ASCII the lengths are right, which nobody has seen the server do.
//   - A client that does not read its answers loses the connection after a second over 64 KiB of them;
//     the real server does not wait.
//
// # Goroutines and time
//
// A running proxy has one goroutine for its port, one for its memory, one per queue cluster, and two per
// connection. Kill, Term and Close wait for all of them. Time is that of package time and all waits are
// on channels, conditions and timers, so with a Network everything runs inside a testing/synctest bubble.
package dptest
