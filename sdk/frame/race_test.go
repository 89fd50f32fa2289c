//go:build race

package frame_test

// raceEnabled says that the race detector's own allocations make counting them meaningless.
const raceEnabled = true
