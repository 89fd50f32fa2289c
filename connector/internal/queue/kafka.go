package queue

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/kafka"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/kafkaclient"
)

// minUnfold is the least that a batch of the queue may unfold to: more than the largest pack.
const minUnfold = 32 << 20

func (o *Opener) openKafka(places *Places) (confirm.Reader, error) {
	q := &o.Config.Queue
	cluster := func(name string, brokers []string, topic string, t config.TLS, s config.SASL) (kafka.Cluster, error) {
		opts, err := o.KafkaOpts(brokers, t, s)
		if err != nil {
			return kafka.Cluster{}, fmt.Errorf("queue cluster %s: %w", name, err)
		}
		return kafka.Cluster{Name: name, Opts: opts, Topic: topic}, nil
	}
	at := func(p managed.Place) (kafka.Cluster, error) { return cluster(p.Name, p.Brokers, "", q.TLS, q.SASL) }
	of := func(k config.QueueCluster) (kafka.Cluster, error) {
		return cluster(k.Name, k.Brokers, k.Topic, k.TLS, k.SASL)
	}
	return open(places, at, q.Kafka, of, func(all []kafka.Cluster) (*kafka.Reader, error) {
		return kafka.New(kafka.Config{Clusters: all, Instance: o.Instance, Timeout: q.Timeout, Log: o.Log, TopicOf: places.topicOf(),
			Unfold: int(max(o.Budget/4, minUnfold))})
	})
}

// KafkaOpts returns the options of a client for a Kafka cluster of the queue.
func (o *Opener) KafkaOpts(brokers []string, t config.TLS, s config.SASL) ([]kgo.Opt, error) {
	opts, err := kafkaclient.Options(brokers, o.Config.Kafka.ClientID, t, s, o.Log)
	return append(opts, o.Opts...), err
}
