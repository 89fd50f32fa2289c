// Package managed follows the queue that InLong's Manager names (queue.manager: true): which clusters the proxies write to, and which topic
// each stream has. It asks the Manager, keeps the last answer on disk, and has clusters join and leave a [confirm.Reader]. It
// knows no kind of queue: who makes the reader says how a cluster joins.
package managed
