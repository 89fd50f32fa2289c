//go:build race

package model

// Under the race detector a sixth of the events is played, in which some fault may not happen: it makes the model ten times slower and finds
// nothing in it, because one goroutine plays it. `make test-schedules` plays all.
const fedEvents, playsAll = 300_000, false
