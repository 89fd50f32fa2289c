package frame

import "errors"

// Errors of the decoders. They are wrapped with what was decoded and found where that costs nothing
// to say; callers compare with errors.Is.
var (
	// ErrShort means that the bytes end before the frame's fixed fields do.
	ErrShort = errors.New("frame is too short")
	// ErrLength means that the frame's lengths do not add up, or that one is negative.
	ErrLength = errors.New("lengths of the frame do not add up")
	// ErrType means that the frame is of another type than the one asked for.
	ErrType = errors.New("frame is of another type")
	// ErrMagic means that the two bytes at the end are not EE01. DataProxy answers such a pack with
	// code 94, and so Uniq is set beside this error.
	ErrMagic = errors.New("frame does not end in its magic")
	// ErrAttrLength means that the length of the attributes does not fit the signed 16 bits that
	// every reader takes it for.
	ErrAttrLength = errors.New("attributes are longer than 32767 bytes")
	// ErrTooLarge means that a frame or a body is larger than the limit that was given.
	ErrTooLarge = errors.New("larger than the limit")
	// ErrCorrupt means that a body is not the snappy block or the sequence of records it should be.
	ErrCorrupt = errors.New("body is corrupt")
	// ErrEmptyItem means that a record is empty, or has no attributes, where InLong's readers lose what
	// is behind it.
	ErrEmptyItem = errors.New("an empty record, or one without attributes, does not fit this form of pack")
	// ErrNotInLongMsg means that a value of the queue is not an InLongMsg, or not of a version the
	// decoder is for.
	ErrNotInLongMsg = errors.New("not an InLongMsg of this version")
)
