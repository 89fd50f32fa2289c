package sdk

import (
	"bytes"
	"fmt"

	"inlong-bridge/sdk/frame"
)

// MessageType says in what form packs travel, by DataProxy's number for it.
type MessageType uint8

const (
	// Type3 is lines: records joined by line feeds into one body. No record may be empty, have a line
	// feed in it, or attributes of its own.
	Type3 MessageType = frame.TypeAckService
	// Type5 is records with their lengths and nothing else. No record may be empty or have attributes of its own.
	Type5 MessageType = frame.TypeMultiBody
	// Type7 is the default and takes every record.
	Type7 MessageType = frame.TypePack
)

// WithMessageType chooses the form of packs: Type7, or Type5 or Type3 for a DataProxy, or readers behind it,
// that know no other. Those two are text: what they cannot carry is refused with a *MessageTypeError.
//
// An answer to them has no number. It is for the pack whose mid DataProxy sends back with the other
// attributes. An error found before the attributes were read brings none: then the connection ends, the
// oldest pack on it goes out again alone, and the next such answer can only be about that one.
func WithMessageType(t MessageType) Option { return optionFunc(func(o *options) { o.messageType = t }) }

func (t MessageType) valid() bool { return t == Type3 || t == Type5 || t == Type7 }

// MessageTypeError says why a record cannot travel in a pack of the chosen message type.
type MessageTypeError struct {
	Type   MessageType
	Reason string
}

func (e *MessageTypeError) Error() string {
	return fmt.Sprintf("a pack of message type %d cannot carry %s", e.Type, e.Reason)
}

const (
	reasonEmpty    = "an empty record: DataProxy loses what is behind it"
	reasonLineFeed = "a record with a line feed, which would become two; use type 5 or 7"
	reasonAttrs    = "attributes of single records; use type 7, or attributes of the pack"
)

// check says why a record cannot travel.
func (t MessageType) check(record []byte) error {
	switch {
	case t == Type7:
	case len(record) == 0:
		return &MessageTypeError{t, reasonEmpty}
	case t == Type3 && bytes.IndexByte(record, '\n') >= 0:
		return &MessageTypeError{t, reasonLineFeed}
	}
	return nil
}

// checkAll returns the records before the first one that cannot travel, and why that one cannot.
func (t MessageType) checkAll(records [][]byte) (good [][]byte, unfit error) {
	for i, r := range records {
		if err := t.check(r); err != nil {
			return records[:i], err
		}
	}
	return records, nil
}

// unfitAttrs says why a record with attributes of its own cannot travel.
func (t MessageType) unfitAttrs() error {
	if t == Type7 {
		return nil
	}
	return &MessageTypeError{t, reasonAttrs}
}
