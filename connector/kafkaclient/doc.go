// Package kafkaclient turns the TLS and SASL sections of the configuration into franz-go options, and
// the errors of a client into sentences that say what to do.
//
// The package keeps nothing that may be rotated: at each new connection and authentication it reads certificates and
// secrets again if their file has changed. An open connection keeps those that it was opened with, as in Kafka.
//
// The package starts no goroutine. A client with its options logs to the given logger: each kind of warning at most
// once in ten seconds, with a count of those left out.
package kafkaclient
