package manager

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// number is a JSON number, or a string that holds one. Anything else is 0: a useless field must not spoil the rest of the
// answer.
type number struct{ value int }

func (n *number) UnmarshalJSON(b []byte) error {
	n.value = 0
	s := string(bytes.Trim(b, `" `))
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		n.value = int(i)
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32 {
		n.value = int(f)
	}
	return nil
}

// text is a JSON string, or the literal of a number or boolean. Null, objects and arrays give "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case 'n', '{', '[':
	default:
		*t = text(b)
	}
	return nil
}

// refusal returns ErrRefused with the Manager's message, shortened.
func refusal(message string) error {
	message = strings.TrimSpace(message)
	if message == "" {
		return fmt.Errorf("%w without a reason", ErrRefused)
	}
	const most = 300
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	return fmt.Errorf("%w: %q", ErrRefused, message)
}
