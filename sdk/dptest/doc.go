// Package dptest is a DataProxy and a Manager for tests, the demo and devproxy: a double that acks packs in memory and
// moves them to its queue later, so that it loses the same packs as the real one when it is killed.
//
//	net := new(dptest.Network)                    // in-memory; without it the proxy listens on TCP
//	p := dptest.Start(t, dptest.WithNetwork(net)) // ends with the test
//	p.SwallowAck(1)                               // the first pack is stored and not answered
//	...                                           // send to p.Addr() through net.DialContext
//	p.WaitFor(t, func(s dptest.Stats) bool { return s.Packs == 2 }) // both copies
//	packs, records := p.Kill()                    // acked, and gone
//	err := p.Restart()                            // the same address, nothing in memory
//	p.MemoryQueue().WaitFor(t, 1)                 // the pack that did arrive behind it
//
// # What it does
//
// The double follows the server of InLong 2.5 for message types 1 to 8. It makes the same checks in the same order,
// sends the same answers byte for byte, and closes the connection without an answer wherever the server does. It stores
// what the server stores, with the same losses: of type 5 everything behind an empty record, and of lines the line feed
// at their end. Tests compare it with golden frames captured from InLong's Java SDK and a real DataProxy.
//
// The double acks a pack when it is in memory. From there packs move on as with Flume's sink runner, which sleeps
// whenever it finds nothing: for 1 s under steady flow, and for up to 5 s after idling. WithQueueDelay replaces that.
// Packs are distributed round robin over the clusters of a ClusterQueue, and wait in one line per cluster. A Put that
// fails is repeated without limit.
//
// Faults are methods of Proxy and last until they are undone. Faults with a share choose packs by a seeded generator
// (WithSeed). Kill, Term and Restart end and start the process. A new process is neither frozen nor a zombie, and keeps
// all other faults.
//
// # What it does not do
//
//   - It treats the protobuf form as an unknown type, and closes the connection.
//   - It does not add a node's trace attributes (ext_field 0x2), has no mapping for numeric ids (code 3), and treats
//     syncSend like proxySend: it stores the pack and never answers.
//   - Only the number of packs limits its memory, so a stall ends in code 114 and never in OutOfMemoryError; Zombie
//     simulates that. There are no channels on disk.
//   - The texts of errors other than 109 and 115 differ from the server's. In the answer to a text pack whose attributes
//     are not ASCII the lengths are right; whether the server does that is not known.
//   - It closes the connection of a client that leaves more than 64 KiB of answers unread for a second; the real server
//     does not wait.
//
// # Goroutines and time
//
// A running proxy has one goroutine for its port, one for its memory, one per queue cluster, and two per connection.
// Kill, Term and Close wait for all of them. All time comes from package time, and goroutines wait only on channels,
// conditions and timers, so with a Network everything runs inside a testing/synctest bubble.
package dptest
