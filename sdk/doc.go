// Package sdk sends records to InLong through DataProxy's TCP protocol: one message at a time, or whole
// batches whose records share one token.
//
//	s, err := sdk.New(ctx, sdk.WithProxies("dp1:46801", "dp2:46801"))
//	stream, err := s.Stream("group", "stream")
//	err = s.Send(ctx, sdk.Message{Stream: stream, Time: time.Now(), Payload: payload})
//	err = s.Close(ctx)
//
// # What it promises
//
//   - At least once: a record that was taken is sent until a proxy acks it or refuses it permanently, on
//     another proxy first, without limit unless WithRetryLimit sets one. Only an answer of the pack's type that names
//     the pack, by its number or in the types 3 and 5 by its mid, and has no error code is an ack. A connection that ends, or an answer that does not come in time,
//     means "maybe delivered": the pack is sent again, and a possible duplicate is counted.
//   - Every message and every piece of a batch ends in a verdict: Final, Lost, or Refused, or ErrClosed
//     when the sender was closed before. What Final means is chosen with WithFinality:
//     finality.Ack (a proxy holds it in memory), finality.Settle (and has lived on in health for a
//     while), finality.Queue (it was seen in the queue behind the proxy).
//   - An ack is no more than "in that proxy's memory". What a proxy takes with it when it dies is told as
//     Lost, in the modes that can tell. Its bytes are gone here by then: the owner sends it anew.
//   - What one proxy refuses permanently is refused when a second one says so too, or there is no other. With
//     WithRefusedRetry it is held even then, and tried again (engine/refused.go).
//   - One bad stream or pack does not stop the others. A stream that a proxy does not know pauses there
//     alone. The pack that was the oldest one unanswered when a connection ended travels alone next time;
//     when that ends connections to two proxies, it is cut in halves, down to the one record that does it,
//     which is refused with a PoisonError (engine/isolate.go, split.go).
//   - A proxy that says "not now" gets less, then nothing, then one pack per growing pause; one that comes
//     back gets a growing share (engine/choose.go).
//   - A proxy that is back is used within 2 s, and all are dialled at once when none is connected. After a connection that
//     ended before it had answered anything, the next one there has to answer a heartbeat before it gets packs, and
//     nothing is held against those that the first one had (engine/outage.go). A name with several addresses is several
//     proxies (internal/names).
//   - Memory is bounded by a byte budget, from append to ack, of which a stream may hold as much as is
//     free. A stream takes about a kilobyte of it until it is forgotten (ForgetStream). A record takes its bytes until its pack is encoded, and its share of the frame from then on.
//     "Full" is an error value (TrySend, TrySendBatch) or a wait bounded by the context, never a drop. From the
//     ack on, what waits for slow callbacks is bounded by WithBacklog in the same way.
//   - Bytes arrive in the queue as they were given, empty records too (InLong Sort's row and rowdata formats drop those
//     there). What another message type than 7 would change is refused (WithMessageType).
//
// # What it does not promise
//
// No order beyond "packs of a stream go out in the order they were sealed, unless they are sent again":
// DataProxy itself spreads packs over its channels and partitions. No exactly once: consumers see
// duplicates after faults. No protection on the wire: DataProxy's TCP port has neither TLS nor
// authentication, so sender and proxies belong into one trusted network.
//
// # Event time
//
// Records of one minute share packs, and a pack carries one time, in seconds: that of its first record. So the
// minute of a record is exact, its second is not. A Message or Batch without a Time has the time at which it is handed
// over. Readers take a time as seconds from 1970 to 2038; what lies outside becomes the nearest end of that.
//
// # Life of a record
//
// Its bytes are appended once to the open pack of its stream and event-time minute (batch.go,
// message.go), which is sealed by size, count, linger, or Seal (seal.go), turned into a frame by an
// encoder (encode.go), handed to one of the connections that package finality admits (engine/dispatch.go),
// of two random ones the one with fewer bytes in flight (engine/choose.go), entered into that connection's table before
// its first byte is written (conn.go), and answered (acks.go, engine/ackclass.go). From the ack on only its pieces are
// known, until package finality says that it is final or lost, and they are told (perform.go).
//
// From the seal on package engine decides what happens to a pack. It is pure: the sender tells it every event under
// Sender.mu (sealed, encoded, opened, written, answered, ended, seen, a tick) and carries out its effects (perform.go).
//
// # Goroutines, locks and callbacks
//
// DESIGN.md lists all goroutines with their ends, and all locks in their order (section 6). Whoever changes something under
// Sender.mu ends with Sender.progressLocked, which carries out the engine's effects, and performs what that returned after
// it let go of the lock.
//
// Callbacks, tokens and hooks are called by one goroutine, in the order things happened, never under a lock,
// never after Close returned. One that panics harms only itself, one that is slow delays the others'
// news, and new records once more than WithBacklog wait. Close must not be called from one.
//
// # Buffers
//
// Payloads are not kept once a call returned. Packs and frames live in pooled buffers; the build tag
// poison overwrites each one that is given back, and the tests run with it. The open packs of many streams
// are sealed earlier, so that their buffers take no more than the budget.
//
// # Pace
//
// Long before the budget is full, new records wait for encoders that are some 2 MiB behind, and calls that
// wait also when so much of their stream is sealed and not handed to a connection yet (pace.go): what
// runs further ahead is cold when its turn comes. TrySendBatch and TrySend return ErrBufferFull for the
// first and know nothing of the second. When nothing moves, only the budget counts. WithAhead bounds what waits
// for the connections in all cases, by time.
package sdk
