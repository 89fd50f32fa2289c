//go:build race

package sdk

const raceInside = true
