package sdk

import (
	"errors"
	"fmt"
)

// Errors callers branch on.
var (
	ErrClosed     = errors.New("sender is closed")
	ErrBufferFull = errors.New("no room for the record in the byte budget")
	ErrStreamFull = errors.New("stream holds as many waiting bytes as are free")
	ErrTooLarge   = errors.New("record does not fit into a frame")
	ErrLost       = errors.New("a proxy acked the message and ended before it was safe; send it again")
)

var errNoProxies = errors.New("the Manager names no proxy; hint: look at the group's cluster tag and its proxies in InLong's Manager")

// AckError is a proxy's answer that a pack is refused for good: it must not be sent again unchanged.
type AckError struct {
	Code     int
	Endpoint string
	Group    string
	Stream   string
	Message  string // as the proxy put it
}

func (e *AckError) Error() string {
	v := verdictOf(e.Code)
	text := fmt.Sprintf("sending to %s.%s: proxy %s answered errCode %d", e.Group, e.Stream, e.Endpoint, e.Code)
	if v.name != "" {
		text += " (" + v.name + ")"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if v.hint != "" {
		text += "; hint: " + v.hint
	}
	return text
}

// Retryable reports whether the same bytes may be accepted later.
func (e *AckError) Retryable() bool {
	switch verdictOf(e.Code).class {
	case elsewhere, later:
		return true
	case accepted, onceMore, refusedForGood:
	}
	return false
}
