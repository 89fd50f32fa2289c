// Package manager asks InLong's Manager for the DataProxy nodes of a group and keeps the last good
// answer on disk.
//
// A [Client] asks each Manager in turn, beginning with the one that answered last. It leaves out malformed entries, and
// returns an error for an empty list, because nobody can use one. A [Store] keeps the answers, so that a bridge can start
// while no Manager answers.
//
// The Manager's list only names candidates: nodes that stopped reporting are still on it.
//
// The package starts no goroutines that outlive a call, keeps no connection open between calls, writes
// no logs, and never puts a secret into an error.
package manager
