package frame

import (
	"bytes"
	"strconv"
)

// AppendMid appends the value of the attribute mid: `<instance>.<seq in hex>`. The instance names the
// process that made the pack, the sequence the pack in it.
func AppendMid(dst []byte, instance string, seq uint64) []byte {
	dst = append(dst, instance...)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, seq, 16)
}

// ParseMid takes the value of a mid apart. It accepts only what AppendMid writes, that is lower case
// digits without leading zeros, so that two values are equal exactly when their parts are. The
// instance refers to value. It does not allocate.
func ParseMid(value []byte) (instance []byte, seq uint64, ok bool) {
	dot := bytes.LastIndexByte(value, '.')
	if dot <= 0 {
		return nil, 0, false
	}
	digits := value[dot+1:]
	if len(digits) == 0 || len(digits) > 16 || (digits[0] == '0' && len(digits) > 1) {
		return nil, 0, false
	}
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			seq = seq<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			seq = seq<<4 | uint64(c-'a'+10)
		default:
			return nil, 0, false
		}
	}
	return value[:dot:dot], seq, true
}
