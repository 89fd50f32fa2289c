// Package model holds no product code: its tests run the product's decisions through random schedules of faults against a
// dumb oracle that knows only what lies in the queue, what is committed, and what the source held.
//
// # What is the product's
//
// Everything that decides: sdk/engine and sdk/finality (dispatch, choice, breakers, isolation, splits, retries, refusals, what is
// final or lost), connector/internal/assign with checkpoint, gate and route (chunks, what waits for room, stops, going on),
// connector/internal/replay (what is read again, and when), connector/internal/source and resume (where a partition begins),
// connector/internal/commit (what is committed, with which books), and connector/confirm (positions, barriers, clusters that join
// and leave, damaged entries).
//
// # What the model adds
//
//   - The world: the source and its group (source_test.go), proxies (proxy_test.go), the network to them (links_test.go), the
//     queue behind them (queue_test.go), and the clock, events and copies of packs (world_test.go).
//   - The loops around the decisions, without goroutines, a tick at a time: those of the connector (bridge_test.go, replay_test.go),
//     of the sender, which fills packs and performs effects (sender_test.go), and of the reader of the queue (reader_test.go).
//   - Schedules of faults (schedule_test.go). A set of schedules in which something that is listed in world_test.go never happened
//     is a failure.
//   - The oracle (oracle_test.go): nothing committed is missing, unless the books say why and the world agrees; when faults
//     end everything becomes final within a bounded time; duplicates stay within what the faults explain; a proxy that refuses everything
//     is left alone; packs are refused only for what proxies said, and travel alone when they are suspected; the tables end empty.
//
// The real loops, with their goroutines, locks, contexts and clients, are outside: the tests of their packages, the scenario tests and the
// end-to-end tests run them. deploy/dev/mutations breaks the decisions one by one and shows that each break is caught.
package model
