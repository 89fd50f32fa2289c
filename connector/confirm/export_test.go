package confirm

// TopicsRead is how many topics of a cluster the client reads.
func TopicsRead(k *Kafka, cluster int) int {
	return len(k.all()[cluster].(*kafkaCluster).cl.GetConsumeTopics())
}
