package part

import (
	"fmt"
	"strings"

	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
)

// OrSkip adds to a text that stops a partition at one record how that record can be skipped by hand.
func OrSkip(text string, id ID, topic [16]byte, offset int64) string {
	lead := "; hint: to"
	if strings.Contains(text, "; hint: ") {
		lead = "; or, to"
	}
	return text + lead + " skip this one record, restart with --skip " + startfile.Entry{Topic: id.Topic, ID: topic, Partition: id.Num, Offset: offset}.String() + " --skip-why TEXT"
}

// Gap stops a partition because the offsets [from, to) were removed from Kafka before they were delivered.
func Gap(id ID, from, to int64) *reason.Reason {
	return Stop(id, reason.Gap, from, fmt.Sprintf("offsets %d to %d of %s are gone from Kafka and were not delivered; "+
		"hint: retention is shorter than the bridge was behind; delivery.on_gap: continue accepts the loss and goes on at %d", from, to-1, id, to))
}

// Truncated stops a partition whose log ends or continues at end, although the bridge had reached a higher offset.
func Truncated(id ID, end, reached int64) *reason.Reason {
	return Stop(id, reason.Truncated, end, fmt.Sprintf("the log of %s ends or continues at %d, but %d was reached before: it was cut off (unclean leader election) "+
		"or the topic was created again; hint: find out what happened, then set the group's offset and restart the bridge", id, end, reached))
}

// Overwritten stops a partition whose log was cut off below the reached offset and has grown past it again. epoch is the leader epoch
// of the record before the reached offset.
func Overwritten(id ID, at, reached int64, epoch int32) *reason.Reason {
	return Stop(id, reason.Truncated, at, fmt.Sprintf("the log of %s was cut off at offset %d or before, and holds other records now: offset %d was reached in leader epoch %d, which the log "+
		"does not have up to there (unclean leader election); hint: find out what happened, then set the group's offset and restart the bridge", id, at, reached, epoch))
}

// Recreated stops a partition whose topic was deleted and created again. offset is the first one that was not delivered.
func Recreated(id ID, offset int64) *reason.Reason {
	return Stop(id, reason.Recreated, offset, fmt.Sprintf(
		"topic %s was deleted and created again: records of the old one that were not delivered are gone; "+
			"hint: restart the bridge, and it begins with the new topic at its start", id.Topic))
}

// NoStart stops a partition because nothing says where it begins. offset is the one that a line names, -1 for none.
func NoStart(id ID, offset int64, text string) *reason.Reason {
	return Stop(id, reason.NoStart, offset, text)
}

// Deleted stops a partition that several brokers say does not exist.
func Deleted(id ID) *reason.Reason {
	return Stop(id, reason.Deleted, -1, fmt.Sprintf("topic %s or its partition %d does not exist any more; "+
		"hint: it goes on by itself when the same topic is back; a new topic of the name is consumed after a restart", id.Topic, id.Num))
}

// Undecodable stops a partition before a batch that cannot be read. It holds the offsets [from, next); next is -1 if the log does not say where it
// ends. again says that its records were sent before, and were lost.
func Undecodable(id ID, from, next int64, codec, why string, again bool) *reason.Reason {
	which, hint := fmt.Sprintf("the batch of offsets %d to %d", from, next-1), "on_error: {undecodable: skip} or {undecodable: dead_letter} goes on behind it"
	switch {
	case again:
		which, hint = fmt.Sprintf("reading lost records again: the batch at offset %d", from), "on_error does not apply, because its records were read before"
	case next < 0:
		which, hint = fmt.Sprintf("the batch at offset %d", from), "where it ends is not known for sure, so on_error cannot pass over it"
	}
	return Stop(id, reason.Undecodable, from, fmt.Sprintf("%s of %s (codec %s) cannot be read, and several fetches returned the same bytes: %s; hint: have another replica lead the partition "+
		"if it holds the batch undamaged: the bridge looks again, and goes on by itself; %s", which, id, codec, why, hint))
}

// Unbalanced stops a partition whose books do not add up to the offset that is about to be committed.
func Unbalanced(id ID, offset int64, b resume.Books) *reason.Reason {
	return Stop(id, reason.Unbalanced, offset, fmt.Sprintf("the books of %s begin at %d and account for %d offsets, which is not offset %d, so it is not committed: %+v; "+
		"hint: this is a fault of the bridge: report it with this sentence; a restart reads everything behind the committed offset again", id, b.From, b.Sum(), offset, b))
}
