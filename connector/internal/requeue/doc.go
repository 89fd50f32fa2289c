// Package requeue opens the letters of a dead-letter topic for a run that delivers their originals.
//
// A Reader is a hook of the Kafka clients of that run: it replaces each fetched letter by its original, and keeps partition and offset
// of the letter, so that everything behind it (spans, commits, reading again) works as for any other topic. What the letter said
// travels in the record's context; Of returns it. So there is one place where letters are opened, and nothing that is fetched gets
// past it.
//
// Whether a letter is delivered depends on the letter, the choice of the run and what Scan found before it: all of that is fixed
// while the run lasts, so a letter that is read again is judged as before.
package requeue
