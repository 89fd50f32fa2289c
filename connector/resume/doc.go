// Package resume says where a partition goes on when it is assigned. It is pure: no clock, no I/O.
//
// # The line
//
// Kafka keys a committed offset by the names of group and topic, so an offset of a topic that was deleted
// looks like one of the topic that was created in its place. Every commit of the bridge therefore carries a
// [Line] in its metadata: the ids of the cluster and of the topic, how the group first saw the topic, and
// the books up to exactly that offset.
//
//	inlong-bridge/1 cluster=4L6g3nShT-eMCtK--X86sw topic=vPf8kzHgQ9q2cOZ1TGWf1A partitions=12 seen=1764384000000
//	began=latest at=1764384612345 from=500 final=980 skipped=20 gap=0 lost=0 dead=0 hand=0 passed=500 unproven=0
//
// It is one ASCII line of less than [MaxLine] bytes. Keys are separated by blanks, and their order is free.
// Keys that a version does not know are ignored, so a later version may add some. [Parse] knows nothing of
// lines that begin with another version, and treats them as it treats the metadata of other tools.
//
// Anybody can check the books with OffsetFetch alone: from + final + skipped + gap + lost + dead + hand is the
// committed offset.
//
// # Where a partition begins
//
// [Commit.Judge] says whether a committed offset is believed. [Begin] says where a partition begins that has
// no commit: "no commit" does not mean "new group", and a partition that was added while no bridge ran must
// not be skipped because kafka.start says latest. [Later] says which of these partitions begin even where kafka.start
// says that only committed offsets count.
package resume
