// Package forwarded writes and reads what travels with a Kafka record besides its value: key, headers, timestamp, and the place
// that the record came from. There are two forms. In the first they are attributes of the record, which InLong's own readers hand
// out beside its bytes; in the second the record's bytes are a JSON object, the envelope. docs/forwarding.md has both as tables.
//
// A program that reads the queue of the proxies takes the packs apart with package frame, and each record with [FromAttrs] or
// [FromEnvelope]. What these return is what was in Kafka: nil and empty are told apart in keys and in values of headers, and in
// values where there is an envelope.
//
// The package is pure: it knows no Kafka client, starts nothing, and keeps nothing that it was given.
package forwarded
