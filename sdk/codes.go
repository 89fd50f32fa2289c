package sdk

import (
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
)

// EndpointCode says why a proxy gets nothing, or less than it could. Programs compare codes; the sentences beside
// them are for people and may change.
type EndpointCode string

const (
	EndpointOK             EndpointCode = ""                // nothing speaks against it
	EndpointNotConnected   EndpointCode = "not_connected"   // connections cannot be opened, or the last one ended
	EndpointClosesAtOnce   EndpointCode = "closes_at_once"  // it accepts connections and ends them before it answers anything
	EndpointNoAnswer       EndpointCode = "no_answer"       // it accepts connections and answers nothing
	EndpointRefuses        EndpointCode = "refuses"         // it answered "not now" (1, 2, 114) again and again, and pauses
	EndpointAcksLate       EndpointCode = "acks_late"       // after such a pause it still answers too late
	EndpointWindowFull     EndpointCode = "window_full"     // it holds as much unconfirmed data as it may: the queue behind it is slow
	EndpointSlowAcks       EndpointCode = "slow_acks"       // settle: it gets less until its acks are timely again
	EndpointRateReached    EndpointCode = "rate"            // packs wait because it gets as much as Config.Rate of package finality allows
	EndpointConnectionsCut EndpointCode = "connections_cut" // settle: its connections end before anything settles
	EndpointZombie         EndpointCode = "zombie"          // queue: it acks, and nothing of it is seen in the queue
	EndpointLeft           EndpointCode = "left_list"       // it left the list of proxies and finishes what it has
)

// EndpointCodes returns every code that an endpoint's status may have, but for EndpointOK.
func EndpointCodes() []EndpointCode {
	return []EndpointCode{
		EndpointNotConnected, EndpointClosesAtOnce, EndpointNoAnswer, EndpointRefuses, EndpointAcksLate, EndpointWindowFull, EndpointSlowAcks,
		EndpointRateReached, EndpointConnectionsCut, EndpointZombie, EndpointLeft,
	}
}

// StreamCode says why a stream that has something to send makes no progress, as EndpointCode does of a proxy.
type StreamCode string

const (
	StreamOK              StreamCode = ""                 // it makes progress, or has nothing to send
	StreamEndsConnections StreamCode = "ends_connections" // connections end while its oldest pack is alone on them
	StreamNotInQueue      StreamCode = "not_in_queue"     // queue: its packs are acked and are not seen any more
	StreamTopicMissing    StreamCode = "topic_missing"    // queue: its topic exists in no queue cluster
	StreamNeverSeen       StreamCode = "never_seen"       // queue: none of its packs was ever seen
	StreamNotWatched      StreamCode = "not_watched"      // queue: the reader has not begun to watch its queue yet
	StreamWatchFails      StreamCode = "watch_fails"      // queue: the reader cannot watch its queue
	StreamNoProxyList     StreamCode = "no_proxy_list"    // the Manager has not named any proxies of its group
	StreamNoProxy         StreamCode = "no_proxy"         // no proxy is connected
	StreamUnknown         StreamCode = "unknown_stream"   // no connected proxy knows the stream (113, 115, 116, 121)
	StreamRefused         StreamCode = "refused"          // proxies refuse packs of this stream: for now, or permanently and they are held
	StreamProxiesPaused   StreamCode = "proxies_paused"   // every connected proxy takes nothing from any stream for now
)

// StreamCodes returns every code that a stream's status may have, but for StreamOK.
func StreamCodes() []StreamCode {
	return []StreamCode{
		StreamEndsConnections, StreamNotInQueue, StreamTopicMissing, StreamNeverSeen, StreamNotWatched, StreamWatchFails,
		StreamNoProxyList, StreamNoProxy, StreamUnknown, StreamRefused, StreamProxiesPaused,
	}
}

// endpointCode is the code of what the state machine says of a whole proxy; the others speak of a single pack.
func endpointCode(r finality.Refusal) EndpointCode {
	switch r {
	case finality.WindowFull:
		return EndpointWindowFull
	case finality.InFlightFull:
		return EndpointSlowAcks
	case finality.RateReached:
		return EndpointRateReached
	case finality.EndpointPaused:
		return EndpointConnectionsCut
	case finality.EndpointZombie:
		return EndpointZombie
	case finality.OK, finality.ShareFull, finality.StreamStalled, finality.SlowStart, finality.ConnGone:
	}
	return EndpointOK
}

// failureCode is the code of an outage.
func failureCode(f engine.Failure) EndpointCode {
	switch f {
	case engine.ClosesAtOnce:
		return EndpointClosesAtOnce
	case engine.NoAnswer:
		return EndpointNoAnswer
	case engine.NotConnected, engine.NoFailure:
	}
	return EndpointNotConnected
}
