// Package manager asks InLong's Manager for the DataProxy nodes of a group and keeps the last good
// answer on disk.
//
// A [Client] asks; it tries each Manager in turn, beginning with the one that answered last, and takes
// an answer for what it is: malformed entries are left out, an empty list is an error, because nobody
// can act on it. A [Store] remembers, so that a bridge can start while no Manager answers.
//
// The Manager's list is a list of candidates and no more: nodes that stopped reporting are still on it.
//
// The package starts no goroutines that outlive a call, keeps no connection open between calls, writes
// no logs, and never puts a secret into an error.
package manager
