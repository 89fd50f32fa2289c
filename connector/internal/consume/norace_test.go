//go:build !race

package consume

const raceOn = false
