//go:build !race

package model

const fedEvents, playsAll = 1_800_000, true
