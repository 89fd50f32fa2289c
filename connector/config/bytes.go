package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size such as 256KiB; Auto is set for "auto", and N is 0 then.
type Bytes struct {
	N    int64
	Auto bool
}

var units = []struct {
	name string
	n    int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the size with the largest unit that keeps it exact; ParseBytes reads it back.
func (b Bytes) String() string {
	if b.Auto {
		return "auto"
	}
	for _, u := range units {
		if b.N != 0 && b.N%u.n == 0 && u.n > 1 {
			return strconv.FormatInt(b.N/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(b.N, 10)
}

var errBytes = errors.New("not a size; write a whole number with KiB, MiB or GiB, such as 256KiB")

// ParseBytes reads a size: a whole number of bytes, or one with B, KiB, MiB or GiB, or auto.
func ParseBytes(s string) (Bytes, error) {
	if s == "auto" {
		return Bytes{Auto: true}, nil
	}
	digits, unit := s, int64(1)
	for _, u := range units {
		if d, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = strings.TrimSpace(d), u.n
			break
		}
	}
	for _, r := range digits {
		if r < '0' || r > '9' {
			return Bytes{}, errBytes
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return Bytes{}, errBytes
	}
	return Bytes{N: n * unit}, nil
}

// roundBytes is for people: 1.5GiB, 96MiB.
func roundBytes(n int64) string {
	for _, u := range units {
		if n < u.n || u.n == 1 {
			continue
		}
		return strings.TrimSuffix(strconv.FormatFloat(float64(n)/float64(u.n), 'f', 1, 64), ".0") + u.name
	}
	return strconv.FormatInt(n, 10)
}

// durationText is Duration.String without the zeros nobody writes: 1m, not 1m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
