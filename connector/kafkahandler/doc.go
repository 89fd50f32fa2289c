// Package kafkahandler writes packs to a Kafka topic as DataProxy's KafkaHandler does, and reads them
// back. demo and devproxy use it as the queue behind their double of a DataProxy, and to count what arrived there.
package kafkahandler
