package forwarded

import "fmt"

const hex = "0123456789ABCDEF"

// plain are the bytes that stand for themselves: those that no URI escapes (RFC 3986), and four that are frequent in keys and
// headers. Whatever separates attributes or is special to a reader of InLong's is not among them: '&', '=', '|', white space,
// quotes, backslashes; nor is '+', which decoders of HTML forms take for a blank.
var plain = func() (set [256]bool) {
	for c := range set {
		lower := c | 0x20
		set[c] = c >= '0' && c <= '9' || c < 0x80 && lower >= 'a' && lower <= 'z'
	}
	for _, c := range "-._~/:@," {
		set[c] = true
	}
	return set
}()

// appendEscaped appends text with every byte that is not plain as %XX.
func appendEscaped[T string | []byte](dst []byte, text T) []byte {
	for i := range len(text) {
		if c := text[i]; plain[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&0xf])
		}
	}
	return dst
}

// unescape is the way back. It is never nil without an error.
func unescape(text []byte) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out = append(out, text[i])
			continue
		}
		if i+2 >= len(text) {
			return nil, fmt.Errorf("%q ends within an escape", text)
		}
		high, low := nibble(text[i+1]), nibble(text[i+2])
		if high > 0xf || low > 0xf {
			return nil, fmt.Errorf("%q is no escape; want %% and two hexadecimal digits", text[i:i+3])
		}
		out = append(out, high<<4|low)
		i += 2
	}
	return out, nil
}

// nibble returns the value of a hexadecimal digit, 0xff for anything else.
func nibble(c byte) byte {
	switch lower := c | 0x20; {
	case c >= '0' && c <= '9':
		return c - '0'
	case lower >= 'a' && lower <= 'f':
		return lower - 'a' + 10
	}
	return 0xff
}
