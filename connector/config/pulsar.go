//go:build !nopulsar

package config

// HasPulsar says whether this program can read and write a queue of Pulsar clusters.
const HasPulsar = true
