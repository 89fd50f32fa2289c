package sdk

import "inlong-bridge/sdk/frame"

// class is what the sender does about an answer.
type class uint8

const (
	accepted       class = iota
	elsewhere            // the proxy cannot take anything now: another one at once, this one after a pause
	later                // something unknown: this stream pauses there
	unknownStream        // the proxy does not know the stream: the same, and pauses grow longer while no proxy knows it
	onceMore             // bytes were damaged on the way: once more on a new connection, then refused for good
	refusedForGood       // this very frame will never be accepted
)

// verdict is what one error code means.
type verdict struct {
	code  int
	class class
	name  string // as DataProxy calls it
	hint  string // what a human may do
}

const (
	hintBug     = "this is a bug of the sender; please report it"
	hintStream  = "create the stream in InLong's Manager, or correct the route; a new stream needs a few minutes to reach every proxy"
	hintFull    = "the proxy's memory is full: look at the queue behind it"
	hintStopped = "the proxy was told to stop its service"
)

// verdicts follows DataProxy's table of error codes. A code that is not in it is treated as later:
// nothing is thrown away for a reason nobody knows.
var verdicts = [...]verdict{
	{0, accepted, "SUCCESS", ""},
	{1, elsewhere, "SINK_SERVICE_UNREADY", "the proxy has no queue configured yet; look at its connection to InLong's Manager"},
	{2, elsewhere, "SERVICE_CLOSED", hintStopped},
	{3, elsewhere, "CONF_SERVICE_UNREADY", "the proxy has no mapping of numeric ids yet"},
	{10, elsewhere, "ILLEGAL_VISIT_IP", "this address is not allowed by the proxy's lists"},
	{31, refusedForGood, "HTTP_DECODE", hintBug},
	{32, refusedForGood, "HTTP_METHOD", hintBug},
	{33, refusedForGood, "HTTP_URI_BLANK", hintBug},
	{34, refusedForGood, "HTTP_URI_DECODE", hintBug},
	{35, refusedForGood, "HTTP_URI", hintBug},
	{36, refusedForGood, "HTTP_CONTENT_TYPE", hintBug},
	{94, onceMore, "FIELD_MAGIC_NOT_EQUAL", "something between here and the proxy changes bytes"},
	{95, onceMore, "FIELD_LENGTH_VALUE_NOT_EQUAL", "something between here and the proxy changes bytes"},
	{96, refusedForGood, "UNCOMPRESS_DATA_ERROR", hintBug},
	{100, refusedForGood, "MISS_REQUIRED_GROUPID", hintBug},
	{101, refusedForGood, "MISS_REQUIRED_STREAMID", hintBug},
	{102, refusedForGood, "MISS_REQUIRED_DT", hintBug},
	{103, refusedForGood, "MISS_REQUIRED_BODY", hintBug},
	{104, refusedForGood, "BODY_EXCEED_MAX_LEN", "lower the largest frame (WithMaxFrame) to the proxy's max-msg-length"},
	{105, refusedForGood, "BODY_LENGTH_ZERO", hintBug},
	{106, refusedForGood, "BODY_LENGTH_LESS_ZERO", hintBug},
	{107, refusedForGood, "ATTR_LENGTH_LESS_ZERO", hintBug},
	{108, later, "ERROR_PROCESS_LOGIC", "look into the proxy's log"},
	{109, refusedForGood, "SPLIT_ATTR_ERROR", hintBug},
	{110, refusedForGood, "UNSUPPORTED_MSG_TYPE", hintBug},
	{111, refusedForGood, "EMPTY_MSG", hintBug},
	{112, refusedForGood, "UNSUPPORTED_EXTEND_FIELD_VALUE", hintBug},
	{113, unknownStream, "UNCONFIGURED_GROUPID_OR_STREAMID", hintStream},
	{114, elsewhere, "PUT_EVENT_TO_CHANNEL_FAILURE", hintFull},
	{115, unknownStream, "TOPIC_IS_BLANK", hintStream},
	{116, unknownStream, "NO_AVAILABLE_PRODUCER", "look at the queue behind the proxy"},
	{117, elsewhere, "PRODUCER_IS_NULL", "look at the queue behind the proxy"},
	{118, elsewhere, "SEND_REQUEST_TO_MQ_FAILURE", "look at the queue behind the proxy"},
	{119, elsewhere, "MQ_RETURN_ERROR", "look at the queue behind the proxy"},
	{120, later, "DUPLICATED_MESSAGE", "look into the proxy's log"},
	{121, unknownStream, "GROUPID_OR_STREAMID_NOT_CONFIGURE", hintStream},
	{122, refusedForGood, "GROUPID_OR_STREAMID_INCONSTANT", hintBug},
	{123, refusedForGood, "MSG_BODY_ITEMS_INVALID", hintBug},
	{150, refusedForGood, "ATTR_ORDER_CONTROL_CONFLICT_ERROR", hintBug},
	{151, refusedForGood, "ATTR_PROXY_CONTROL_CONFLICT_ERROR", hintBug},
	{2147483647, later, "UNKNOWN_ERROR", "look into the proxy's log"},
	{frame.CodeUnknown, later, "no number", "look into the proxy's log"},
}

// verdictOf returns what the sender does about an error code.
func verdictOf(code int) verdict {
	for _, v := range verdicts {
		if v.code == code {
			return v
		}
	}
	return verdict{code: code, class: later, hint: "look into the proxy's log"}
}
