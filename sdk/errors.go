package sdk

import (
	"errors"
	"fmt"
	"strconv"

	"inlong-bridge/sdk/engine"
)

// Errors callers branch on.
var (
	ErrClosed     = errors.New("sender is closed")
	ErrBufferFull = errors.New("no room for the record in the byte budget (WithBudget), as much waits for the proxies as WithAhead allows, or more news waits for slow callbacks than WithBacklog allows")
	ErrStreamFull = errors.New("stream holds as many waiting bytes as are free in the byte budget (WithBudget), or as WithAhead allows")
	ErrPackFull   = errors.New("the pack that the batch must go into takes no more") // see Batch.OnePack
	ErrTooLarge   = errors.New("record does not fit into a frame")                   // as *TooLargeError, which says by how much
	ErrLost       = errors.New("a proxy acked the message and ended before it was safe; send it again")
)

var errNoProxies = errors.New("the Manager names no proxy; hint: look at the group's cluster tag and its proxies in InLong's Manager")

// TooLargeError is the ErrTooLarge of one record. Size and Limit are in bytes, the record's attributes counted in.
type TooLargeError struct{ Size, Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("record of %d bytes is longer than %d, the most that fits into a frame (see WithMaxFrame)", e.Size, e.Limit)
}

// Is makes errors.Is(err, ErrTooLarge) true.
func (e *TooLargeError) Is(target error) bool { return target == ErrTooLarge }

// InvalidIDError says why a group or stream id cannot be sent.
type InvalidIDError struct {
	Field  string // groupId or streamId
	ID     string
	Reason string
}

func (e *InvalidIDError) Error() string { return e.Field + " " + strconv.Quote(e.ID) + " " + e.Reason }

// RetryError says that a pack was given up after as many tries as WithRetryLimit allows. Some of them
// may have delivered it all the same; see MaybeDelivered.
type RetryError struct {
	Attempts int
	Last     error // what ended the last one: *AckError, or a connection that failed
	maybe    bool
}

func (e *RetryError) Error() string {
	return fmt.Sprintf("gave up after %s: %v", count(e.Attempts, "attempt"), e.Last)
}

func (e *RetryError) Unwrap() error { return e.Last }

// MaybeDelivered reports whether a connection ended, or an answer did not come, while a proxy may have had the pack.
func (e *RetryError) MaybeDelivered() bool { return e.maybe }

// AckError is a proxy's answer that a pack is refused permanently: it must not be sent again unchanged.
type AckError struct {
	Code     int
	Endpoint string
	Group    string
	Stream   string
	Message  string // as the proxy put it
}

func (e *AckError) Error() string {
	c := engine.LookUp(e.Code)
	text := fmt.Sprintf("sending to %s.%s: proxy %s answered errCode %d", e.Group, e.Stream, e.Endpoint, e.Code)
	if c.Name != "" {
		text += " (" + c.Name + ")"
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if c.Hint != "" {
		text += "; hint: " + c.Hint
	}
	return text
}

// Retryable reports whether the same bytes may be accepted later.
func (e *AckError) Retryable() bool { return engine.LookUp(e.Code).Class.Retryable() }
