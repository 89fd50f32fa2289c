// Package pulsarhandler writes packs to a Pulsar topic as DataProxy's PulsarHandler does, and reads them
// back. devproxy and demo use it as the queue behind their double of a DataProxy where the user has a Pulsar.
package pulsarhandler
