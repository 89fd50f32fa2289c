package mapping

import "fmt"

// MaxID is the length of the longest group or stream id, in bytes. DataProxy itself only bounds the whole attribute
// string (32,767 bytes, and other parts of InLong expect less than 2 KiB); the Manager's tables hold 256.
const MaxID = 256

// badID returns the mistake in an id, or "".
func badID[T string | []byte](id T) string {
	switch {
	case len(id) == 0:
		return "id is empty"
	case len(id) > MaxID:
		return fmt.Sprintf("id has %d characters or more; at most %d are allowed", len(id), MaxID)
	}
	return badChars(id)
}

// badChars names the first character that is not allowed in an id, or returns "". DataProxy trims blanks, ends values at
// '&' and '=', and closes the connection on anything but ASCII.
func badChars[T string | []byte](id T) string {
	for i := range len(id) {
		switch c := id[i]; {
		case c == '&' || c == '=' || c == ' ':
			return fmt.Sprintf("%q is not allowed in an id", rune(c))
		case c < ' ' || c == 0x7f:
			return fmt.Sprintf("control character 0x%02x is not allowed in an id", c)
		case c > 0x7f:
			return "only ASCII characters are allowed in an id"
		}
	}
	return ""
}
