package kafka

// TopicsRead returns the number of topics of a cluster that the client reads.
func TopicsRead(r *Reader, number int) int {
	return len(r.Clusters()[number].(*cluster).cl.GetConsumeTopics())
}
