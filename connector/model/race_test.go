//go:build race

package model

// fedEvents is a sixth under the race detector, which makes the model ten times slower and finds nothing in it: one goroutine plays it.
// `make test-schedules` plays all.
const fedEvents = 300_000
