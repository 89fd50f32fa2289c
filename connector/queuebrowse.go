package connector

import (
	"context"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/queue"
	"inlong-bridge/sdk/manager"
)

// Queue is the queue behind the proxies, to be read by hand: what it holds, beside any bridge.
type Queue struct {
	Clusters []confirm.Browser
	reader   confirm.Reader
	source   *managed.Source // nil unless the Manager names clusters and topics
}

// browseBudget is what the opener of the queue takes for the bridge's memory: a batch may unfold to a quarter of it.
const browseBudget = 256 << 20

// OpenQueue makes the clusters of the queue that the configuration or the Manager names. Clusters of the configuration are not
// connected yet. The caller closes it.
func OpenQueue(ctx context.Context, cfg *config.Config, deps Deps) (*Queue, error) {
	opener := &queue.Opener{Config: cfg, Instance: "none", Budget: browseBudget, Opts: deps.KafkaOpts, Log: deps.Log}
	q := &Queue{}
	var places *queue.Places
	if cfg.Queue.Manager {
		m, err := (&Bridge{cfg: cfg}).managerClient()
		if err != nil {
			return nil, err
		}
		in := &cfg.InLong
		q.source = managed.New(func(ctx context.Context, md5 string) (manager.QueueConfig, error) {
			return m.AllConfig(ctx, in.ClusterName, in.ClusterTag, md5)
		}, in.ClusterName, in.ClusterTag, "", deps.Log)
		places = &queue.Places{Source: q.source}
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		if places.Kind, places.Clusters, err = q.source.Start(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if q.reader, err = opener.Open(places); err != nil {
		return nil, err
	}
	q.Clusters = q.reader.Browsers()
	return q, nil
}

// Topic returns the whole name of a stream's topic in a cluster.
func (q *Queue) Topic(ctx context.Context, c confirm.Browser, group, stream string) (string, error) {
	named := ""
	if q.source != nil {
		var err error
		if named, err = q.source.TopicOf(ctx, group, stream); err != nil {
			return "", err
		}
	}
	return c.Topic(named, group, stream), nil
}

// Close closes the connections.
func (q *Queue) Close() { q.reader.Close() }
