// Package pulsarhandler writes packs to a Pulsar topic as DataProxy's PulsarHandler does, and reads them
// back. It is the queue behind the double in devproxy and demo where the user has a Pulsar.
package pulsarhandler
