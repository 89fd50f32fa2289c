// Package deadletter is the form of a dead letter: a Kafka record that keeps another one, which could not be delivered, with
// all that is needed to deliver it later.
//
// A letter has the value, the headers and the timestamp of its original. Its key names where the original lies (Letter.Identity), so
// that compaction keeps one letter per original. Before the original's headers stand those of the letter, in this order:
//
//	inlong-bridge.letter       1, a blank, and how many headers are the letter's own, this one included; " null" behind that
//	                           where the original's value is null: the letter's value is empty then, or compaction would remove it
//	inlong-bridge.reason       code, as in docs/operations.md
//	inlong-bridge.sentence     why, for people; at most 1 KiB
//	inlong-bridge.cluster      id of the Kafka cluster of the original, empty if not known
//	inlong-bridge.topic        its topic
//	inlong-bridge.topic-id     id of the topic as Kafka's tools show it
//	inlong-bridge.partition
//	inlong-bridge.offset       of the original, or of the first record of a batch
//	inlong-bridge.last-offset  the same, or the last offset of a batch that cannot be read: the value is the whole batch then
//	inlong-bridge.timestamp    of the original, in milliseconds since 1970
//	inlong-bridge.time         when it became a letter, RFC 3339 with milliseconds, in UTC
//	inlong-bridge.instance     the bridge's instance, as in the attribute mid of its packs
//	inlong-bridge.attempts     how often the original was tried
//	inlong-bridge.key          key of the original; missing if it has none
//
// The count tells the letter's headers from the original's, whatever those are called: an original that is a letter itself
// keeps its headers behind those of the new one. Numbers are decimal. The package is pure.
package deadletter
