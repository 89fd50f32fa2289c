// Package verify compares the books of partitions with what lies in the queue behind the proxies: which source offsets were
// found there, and what may and may not be missing. It is pure: no clock, no I/O.
//
// An [Account] holds the books of one source partition and the offsets that were found, as bitmaps. Of the offsets that were
// not found the source says which of them are records; [Account.Judge] says what follows.
package verify
