// Package kafkahandler writes packs to a Kafka topic as DataProxy's KafkaHandler does, and reads them
// back. It is the queue behind the double in demo and devproxy, and what their verdicts are made of.
package kafkahandler
