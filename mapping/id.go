package mapping

import (
	"errors"
	"fmt"
)

// MaxID is the longest group or stream id, in bytes. DataProxy itself has no bound but that of the whole
// attribute string (32,767 bytes, of which other parts of InLong want less than 2 KiB); 256 is what the
// Manager's tables hold.
const MaxID = 256

// CheckID says why DataProxy, or what reads behind it, would not take id as a group or stream id.
func CheckID(id string) error {
	if why := badID(id); why != "" {
		return errors.New(why)
	}
	return nil
}

// badID returns what is wrong with an id, or "".
func badID[T string | []byte](id T) string {
	switch {
	case len(id) == 0:
		return "id is empty"
	case len(id) > MaxID:
		return fmt.Sprintf("id has %d characters or more, at most %d are allowed", len(id), MaxID)
	}
	return badChars(id)
}

// badChars returns which character may not stand in an id, or "". A blank is refused because DataProxy
// trims values, '&' and '=' because they end them; it closes the connection on anything but ASCII.
func badChars[T string | []byte](id T) string {
	for i := range len(id) {
		switch c := id[i]; {
		case c == '&' || c == '=' || c == ' ':
			return fmt.Sprintf("%q may not stand in an id", rune(c))
		case c < ' ' || c == 0x7f:
			return fmt.Sprintf("control character 0x%02x may not stand in an id", c)
		case c > 0x7f:
			return "only ASCII characters may stand in an id"
		}
	}
	return ""
}
