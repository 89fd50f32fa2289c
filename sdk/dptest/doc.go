// Package dptest is a DataProxy and a Manager for tests, the demo and devproxy: an honest double that
// acks from memory and moves packs to its queue later, so that killing it loses what the real one loses.
package dptest
