// Package kafkaclient turns the TLS and SASL sections of the configuration into franz-go options, and
// the errors of a client into sentences that say what to do.
//
// Nothing that may be rotated is kept: certificates and secrets are read again, when their file has
// changed, at each new connection and authentication. A connection that lives on keeps what it was
// opened with, as Kafka does too.
//
// The package starts no goroutine. A client that is made with its options logs to the given logger:
// warnings at most once in ten seconds for each kind, with a count of those left out.
package kafkaclient
