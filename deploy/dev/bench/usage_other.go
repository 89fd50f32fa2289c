//go:build !unix

package main

import (
	"errors"
	"time"
)

func cpuTime() (time.Duration, error) {
	return 0, errors.New("reading resource usage: not known on this system; use Linux")
}

func peakRSS() int64 { return 0 }
