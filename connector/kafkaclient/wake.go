package kafkaclient

// Resumer is what Wake needs of *kgo.Client.
type Resumer interface {
	ResumeFetchPartitions(partitions map[string][]int32)
}

// Wake has a client look again at what it may fetch. It resumes no partition, never waits, and may be called at any time.
//
// Every change of what is fetched (SetOffsets, a partition taken away, a rebalance) replaces the client's fetch session, and two in a row
// can leave it asleep: 1. a goroutine that is to fetch from a broker looks up the session  2. the session is replaced before the
// goroutine counts as at work in it, and the order to fetch in the new one is left to that goroutine  3. it finds its session over,
// and ends. Until something else changes, nothing is fetched from that broker, and no error tells.
func Wake(cl Resumer) { cl.ResumeFetchPartitions(nil) }
