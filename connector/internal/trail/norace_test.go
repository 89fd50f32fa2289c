//go:build !race

package trail

const raceOn = false
