package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"inlong-bridge/mapping/suggest"
)

// start is kafka.start, which is two fields.
type start Kafka

// set reads one scalar into the entry's field. It returns the mistake and its remedy, "" if there is none.
func (e *entry) set(text string) string {
	switch dst := e.dst.(type) {
	case *string:
		if e.oneOf != nil && !slices.Contains(e.oneOf, text) {
			if guess := suggest.Closest(text, e.oneOf); guess != "" {
				return fmt.Sprintf("%q is not known; did you mean %s?", text, guess)
			}
			return fmt.Sprintf("%q is not known; write %s", text, choice(e.oneOf))
		}
		if msg := unseenProblem(text); msg != "" {
			return msg
		}
		*dst = text
	case *[]string:
		*dst = nil
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*dst = append(*dst, part)
			}
		}
		if len(*dst) == 0 {
			return "the list is empty; add at least one entry"
		}
	case *bool:
		switch text {
		case "true", "false":
			*dst = text == "true"
		default:
			return fmt.Sprintf("%q is not true or false", text)
		}
	case *int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Sprintf("%q is not a whole number; write one from %d to %d", text, e.min, e.max)
		}
		if n < e.min || n > e.max || n > math.MaxInt {
			return fmt.Sprintf("%d is out of range; write a number from %d to %d", n, e.min, e.max)
		}
		*dst = int(n)
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Sprintf("%q is not a duration; write a number with a unit, such as 500ms, 10s or 5m", text)
		}
		if int64(d) < e.min || int64(d) > e.max {
			return fmt.Sprintf("%s is out of range; write a duration from %s to %s", text, durationText(time.Duration(e.min)), durationText(time.Duration(e.max)))
		}
		*dst = d
	case *Bytes:
		b, err := ParseBytes(text)
		if err != nil {
			return fmt.Sprintf("%q is %s", text, err)
		}
		if b.Auto && e.def != "auto" {
			return "auto is not allowed here; write a size such as 256KiB"
		}
		if !b.Auto && (b.N < e.min || b.N > e.max) {
			return fmt.Sprintf("%s is out of range; write a size from %s to %s", text, Bytes{N: e.min}, Bytes{N: e.max})
		}
		*dst = b
	case *Secret:
		*dst = NewSecret(trimLineEnd(text))
	case *start:
		return dst.set(text)
	default:
		panic(fmt.Sprintf("bug: key %s has a field of type %T", e.key, e.dst))
	}
	return ""
}

var startWords = []string{"earliest", "latest", "committed", "file"}

func (s *start) set(text string) string {
	if slices.Contains(startWords, text) {
		s.Start, s.StartTime = text, time.Time{}
		return ""
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		if guess := suggest.Closest(text, startWords); guess != "" {
			return fmt.Sprintf("%q is not known; did you mean %s?", text, guess)
		}
		return fmt.Sprintf("%q is neither %s nor a time; write a time with its zone, such as 2026-01-02T15:04:05Z", text, strings.Join(startWords, ", "))
	}
	if t.Before(time.Unix(0, 0)) {
		return fmt.Sprintf("%q is before 1970; write earliest", text)
	}
	s.Start, s.StartTime = "timestamp", t
	return ""
}

// text returns the value as set would read it; shown is false for a value that is not given.
func (e *entry) text() (_ string, shown bool) {
	switch v := e.dst.(type) {
	case *string:
		return *v, *v != "" || e.def != ""
	case *[]string:
		return strings.Join(*v, ", "), len(*v) > 0
	case *bool:
		return strconv.FormatBool(*v), true
	case *int:
		return strconv.Itoa(*v), true
	case *time.Duration:
		return durationText(*v), true
	case *Bytes:
		return v.String(), true
	case *Secret:
		return mask, v.Set()
	case *start:
		if v.Start == "timestamp" {
			return v.StartTime.Format(time.RFC3339Nano), true
		}
		return v.Start, true
	}
	panic(fmt.Sprintf("bug: key %s has a field of type %T", e.key, e.dst))
}

func (e *entry) list() bool {
	_, ok := e.dst.(*[]string)
	return ok
}

func (e *entry) secret() *Secret {
	s, _ := e.dst.(*Secret)
	return s
}

func choice(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
