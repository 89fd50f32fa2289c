package engine

import (
	"strconv"

	"inlong-bridge/sdk/frame"
)

// AckClass is what a proxy's answer means for the pack, the stream and the proxy.
type AckClass uint8

const (
	Accepted          AckClass = iota
	ProxyUnavailable           // the proxy takes nothing now: another one at once, this one after a pause
	StreamUnavailable          // for a reason that nobody knows: this stream pauses at this proxy
	StreamUnknown              // the proxy does not know the stream: the same, and pauses grow longer while no proxy knows it
	Damaged                    // bytes changed on the way: once more on another connection, then it counts as rejected
	Rejected                   // the proxy will never take this very frame
)

func (c AckClass) String() string {
	switch c {
	case Accepted:
		return "accepted"
	case ProxyUnavailable:
		return "proxy unavailable"
	case StreamUnavailable:
		return "stream unavailable"
	case StreamUnknown:
		return "stream unknown"
	case Damaged:
		return "damaged"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// Retryable reports whether the same bytes may be taken later.
func (c AckClass) Retryable() bool {
	switch c {
	case ProxyUnavailable, StreamUnavailable, StreamUnknown:
		return true
	case Accepted, Damaged, Rejected:
	}
	return false
}

// AckCode is what one error code means.
type AckCode struct {
	Code  int
	Class AckClass
	Name  string // as DataProxy calls it; empty for a code that is not in its table
	Hint  string // what a person may do
}

// codeFull is the error code of a proxy whose memory is full.
const codeFull = 114

const (
	hintBug      = "this is a bug of the sender; please report it"
	hintStream   = "create the stream in InLong's Manager, or correct the route; a new stream needs a few minutes to reach every proxy"
	hintFull     = "the proxy's memory is full: look at the queue behind it"
	hintStopped  = "the proxy was told to stop its service"
	hintQueue    = "look at the queue behind the proxy"
	hintProxyLog = "look into the proxy's log"
	hintDamage   = "something between here and the proxy changes bytes"
)

// ackCodes follows DataProxy's table of error codes.
var ackCodes = [...]AckCode{
	{0, Accepted, "SUCCESS", ""},
	{1, ProxyUnavailable, "SINK_SERVICE_UNREADY", "the proxy has no queue configured yet; look at its connection to InLong's Manager"},
	{2, ProxyUnavailable, "SERVICE_CLOSED", hintStopped},
	{3, ProxyUnavailable, "CONF_SERVICE_UNREADY", "the proxy has no mapping of numeric ids yet"},
	{10, ProxyUnavailable, "ILLEGAL_VISIT_IP", "this address is not allowed by the proxy's lists"},
	{31, Rejected, "HTTP_DECODE", hintBug},
	{32, Rejected, "HTTP_METHOD", hintBug},
	{33, Rejected, "HTTP_URI_BLANK", hintBug},
	{34, Rejected, "HTTP_URI_DECODE", hintBug},
	{35, Rejected, "HTTP_URI", hintBug},
	{36, Rejected, "HTTP_CONTENT_TYPE", hintBug},
	{94, Damaged, "FIELD_MAGIC_NOT_EQUAL", hintDamage},
	{95, Damaged, "FIELD_LENGTH_VALUE_NOT_EQUAL", hintDamage},
	{96, Rejected, "UNCOMPRESS_DATA_ERROR", hintBug},
	{100, Rejected, "MISS_REQUIRED_GROUPID", hintBug},
	{101, Rejected, "MISS_REQUIRED_STREAMID", hintBug},
	{102, Rejected, "MISS_REQUIRED_DT", hintBug},
	{103, Rejected, "MISS_REQUIRED_BODY", hintBug},
	{104, Rejected, "BODY_EXCEED_MAX_LEN", "lower the largest frame (WithMaxFrame) to the proxy's max-msg-length"},
	{105, Rejected, "BODY_LENGTH_ZERO", hintBug},
	{106, Rejected, "BODY_LENGTH_LESS_ZERO", hintBug},
	{107, Rejected, "ATTR_LENGTH_LESS_ZERO", hintBug},
	{108, StreamUnavailable, "ERROR_PROCESS_LOGIC", hintProxyLog},
	{109, Rejected, "SPLIT_ATTR_ERROR", hintBug},
	{110, Rejected, "UNSUPPORTED_MSG_TYPE", hintBug},
	{111, Rejected, "EMPTY_MSG", hintBug},
	{112, Rejected, "UNSUPPORTED_EXTEND_FIELD_VALUE", hintBug},
	{113, StreamUnknown, "UNCONFIGURED_GROUPID_OR_STREAMID", hintStream},
	{codeFull, ProxyUnavailable, "PUT_EVENT_TO_CHANNEL_FAILURE", hintFull},
	{115, StreamUnknown, "TOPIC_IS_BLANK", hintStream},
	{116, StreamUnknown, "NO_AVAILABLE_PRODUCER", hintQueue},
	{117, ProxyUnavailable, "PRODUCER_IS_NULL", hintQueue},
	{118, ProxyUnavailable, "SEND_REQUEST_TO_MQ_FAILURE", hintQueue},
	{119, ProxyUnavailable, "MQ_RETURN_ERROR", hintQueue},
	{120, StreamUnavailable, "DUPLICATED_MESSAGE", hintProxyLog},
	{121, StreamUnknown, "GROUPID_OR_STREAMID_NOT_CONFIGURE", hintStream},
	{122, Rejected, "GROUPID_OR_STREAMID_INCONSTANT", hintBug},
	{123, Rejected, "MSG_BODY_ITEMS_INVALID", hintBug},
	{150, Rejected, "ATTR_ORDER_CONTROL_CONFLICT_ERROR", hintBug},
	{151, Rejected, "ATTR_PROXY_CONTROL_CONFLICT_ERROR", hintBug},
	{2147483647, StreamUnavailable, "UNKNOWN_ERROR", hintProxyLog},
	{frame.CodeUnknown, StreamUnavailable, "no number", hintProxyLog},
}

// LookUp returns what an error code means. A code that is not in the table makes the stream unavailable: nothing is
// thrown away for a reason that nobody knows.
func LookUp(code int) AckCode {
	for _, c := range ackCodes {
		if c.Code == code {
			return c
		}
	}
	return AckCode{Code: code, Class: StreamUnavailable, Hint: hintProxyLog}
}

// RetryableCodes returns the error codes after which a sound pack is sent again, damage on the way included.
func RetryableCodes() []int {
	var codes []int
	for _, c := range ackCodes {
		if c.Class != Accepted && c.Class != Rejected {
			codes = append(codes, c.Code)
		}
	}
	return codes
}

// Reason is the code in short, for a status that names the proxy already.
func (c AckCode) Reason() string {
	text := "errCode " + strconv.Itoa(c.Code)
	if c.Name != "" {
		text += " (" + c.Name + ")"
	}
	if c.Hint != "" {
		text += ": " + c.Hint
	}
	return text
}
