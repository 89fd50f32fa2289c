//go:build !race

package model

const fedEvents = 1_800_000
