package connector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/consume"
	"inlong-bridge/connector/internal/queue"
	"inlong-bridge/connector/internal/retention"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/internal/trail"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/manager"
)

// Pauses between two tries of the one pack that is tried of those that proxies refuse.
const (
	refusedRetryFirst   = 10 * time.Second
	refusedRetryLongest = 10 * time.Minute
)

// aheadTime is for how long packs may wait for the proxies to take them: Kafka keeps what comes behind.
const aheadTime = time.Second

// build makes the parts and asks the brokers for the topics; what it made is closed by shut. A migration
// that has nothing to do gets no group.
func (b *Bridge) build(ctx context.Context) error {
	if err := b.buildSender(ctx); err != nil {
		return err
	}
	b.routes = route.NewTable(b.openStream, b.cfg.InLong.MaxStreams)

	opts, err := b.clientOpts()
	if err != nil {
		return err
	}
	repairFetch := int32(min(max(b.limits.RepairBytes/8, 256<<10), int64(b.limits.FetchMaxBytes)))
	if b.direct, err = kgo.NewClient(append(opts,
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.MaxConcurrentFetches(1), kgo.FetchMaxBytes(repairFetch), kgo.FetchMaxPartitionBytes(repairFetch),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.FetchMaxWait(500*time.Millisecond),
	)...); err != nil {
		return fmt.Errorf("creating kafka client: %w", err)
	}
	b.admin = kadm.NewClient(b.direct)
	b.retention = retention.New(b.admin, b.table.Assigned, b.log)
	b.kafka = source.New(source.Config{
		Client: b.direct, Group: b.cfg.Kafka.Group, Start: startOf(&b.cfg.Kafka),
		ReadCommitted: b.cfg.Kafka.Isolation == "read_committed", FoundRunning: b.table.FoundRunning,
	})
	if err := b.findOutput(ctx); err != nil {
		return err
	}
	if err := b.refuseNewGroup(ctx); err != nil {
		return err
	}
	if err := b.openLetters(ctx); err != nil {
		return err
	}
	b.consumer = consume.New(b.consumerDeps(ctx))
	topics, err := b.awaitTopics(ctx)
	if err != nil {
		return err
	}
	b.table.SayIfUnprotected(b.log)
	b.byHand.Unwanted(b.cfg.Routes.Wants)
	if b.migration != nil {
		if work, err := b.migration.plan(ctx); err != nil || !work {
			return err
		}
	}
	if b.requeue != nil {
		if err := b.requeue.look(ctx); err != nil {
			return err
		}
	}
	if opts, err = b.clientOpts(); err != nil {
		return err
	}
	return b.consumer.Open(topics, opts)
}

// consumerDeps are the parts that the consumer works with.
func (b *Bridge) consumerDeps(soft context.Context) consume.Deps {
	d := consume.Deps{
		Settings: b.cfg, Sources: b.sources, Limits: b.limits, Log: b.log, Soft: soft, Life: b.life,
		Sender: b.sender, Direct: b.direct, Kafka: b.kafka, Origin: b.origin, Lineage: b.lineage(), Routes: b.routes, Own: b.own, Letters: b.letters, ByHand: b.byHand,
		Table: b.table, Board: &b.board, Causes: b.observer, Loops: &b.loops, Absence: b.absence, LookAgain: b.lookAgain,
	}
	if m := b.migration; m != nil {
		d.Migrates, d.Limit, d.Ended = true, m.limitOf, m.book
	}
	if b.requeue != nil {
		d.Rate = b.requeue.rate
	}
	return d
}

// lineage is what packs tell of their source.
func (b *Bridge) lineage() assign.Lineage {
	switch {
	case !b.cfg.Delivery.Lineage:
		return assign.NoLineage
	case b.cfg.Delivery.Confirm == "queue":
		return assign.WithCommitted
	}
	return assign.WithLineage
}

// awaitTopics waits until the cluster has a topic that the routes want.
func (b *Bridge) awaitTopics(ctx context.Context) (topics []string, err error) {
	var known []string // nil until an answer was without topics: one that comes later came while the bridge ran
	err = b.awaitStart(ctx, "topics", outlookOf, func(ctx context.Context) (err error) {
		if topics, err = b.firstTopics(ctx, known); err != nil {
			if _, answered := errors.AsType[notThereError](err); answered {
				known = []string{}
			}
		}
		return err
	})
	return topics, err
}

// firstTopics lists the cluster's topics and returns those the routes want. known is as wanted takes it.
func (b *Bridge) firstTopics(ctx context.Context, known []string) ([]string, error) {
	names, all := b.sources.Topics()
	var ask []string
	what := "its topics"
	if !all {
		ask, what = names, fmt.Sprintf("topics %v", names)
	}
	details, err := b.admin.ListTopics(ctx, ask...)
	if err != nil {
		return nil, kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for %s", b.cfg.Kafka.Brokers, what))
	}
	b.consumer.Wanted(details, known)
	if err := b.own.Refuse(b.table.Consumed()); err != nil {
		return nil, lastingError{err}
	}
	var missing []string
	for _, name := range names {
		d, ok := details[name]
		switch {
		case ok && d.Err != nil && !errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			return nil, kafkaclient.Explain(d.Err, "asking for topic "+name)
		case !ok || d.Err != nil:
			missing = append(missing, name)
		}
	}
	topics := b.table.Consumed()
	b.table.SetMissing(missing)
	if len(topics) == 0 {
		if b.requeue != nil {
			return nil, lastingError{noLetters(b.cfg)}
		}
		if len(missing) > 0 {
			return nil, notThereError(fmt.Sprintf("none of the topics that routes name exists in kafka at %v: %q; hint: create them, or correct the names in routes", b.cfg.Kafka.Brokers, missing))
		}
		return nil, notThereError(fmt.Sprintf("no topic in kafka at %v matches routes; hint: inlong-bridge explain TOPIC shows why a topic does not match", b.cfg.Kafka.Brokers))
	}
	if len(missing) > 0 {
		b.log.Warn("topics that routes name do not exist; they are consumed once they are created", "topics", missing)
	}
	return topics, nil
}

// buildSender makes the sender and, in mode queue, the reader it asks.
func (b *Bridge) buildSender(ctx context.Context) error {
	c := b.cfg
	opts := []sdk.Option{
		sdk.WithInstance(b.instance), sdk.WithFinality(b.finality()),
		sdk.WithPack(int(c.Pack.Bytes.N), c.Pack.Count, c.Pack.Linger), sdk.WithCompression(compression(c.Pack.Compression)),
		sdk.WithBudget(b.limits.SenderBytes, b.limits.RepairBytes), sdk.WithAhead(aheadTime), sdk.WithConnections(c.InLong.Connections),
		sdk.WithMaxFrame(int(c.InLong.MaxFrame.N)), sdk.WithDialTimeout(c.Delivery.DialTimeout),
		sdk.WithWriteTimeout(c.Delivery.WriteTimeout), sdk.WithRetry(c.Delivery.RetryMin, c.Delivery.RetryMax), sdk.WithLogger(b.log), sdk.WithRefusedRetry(b.refusedPause, refusedRetryLongest),
	}
	if c.Delivery.Lineage {
		opts = append(opts, sdk.WithTrails(trail.New(b.requeue != nil)))
	}
	if b.deps.Dial != nil {
		opts = append(opts, sdk.WithDial(b.deps.Dial))
	}
	m, err := b.managerClient()
	switch {
	case err != nil:
		return err
	case m != nil:
		opts = append(opts, sdk.WithManager(m), sdk.WithRefresh(c.InLong.Refresh))
		if c.InLong.CacheDir != "" {
			opts = append(opts, sdk.WithCacheDir(c.InLong.CacheDir))
		}
	default:
		opts = append(opts, sdk.WithProxies(c.InLong.Proxies...))
	}
	if c.Delivery.Confirm == "queue" {
		if b.reader, err = b.openQueue(ctx, m); err != nil {
			return err
		}
		b.delay = queue.NewDelay()
		opts = append(opts, sdk.WithConfirmer(b.reader), sdk.WithHooks(b.delay.Hooks()))
	}
	s, err := sdk.New(ctx, opts...)
	if err != nil {
		return err
	}
	b.sender = s
	return nil
}

// openQueue makes the reader of the queue behind the proxies, of the clusters that the configuration or the Manager names.
func (b *Bridge) openQueue(ctx context.Context, m *manager.Client) (confirm.Reader, error) {
	if !b.cfg.Queue.Manager {
		return b.queue().Open(nil)
	}
	in := &b.cfg.InLong
	ask := func(ctx context.Context, md5 string) (manager.QueueConfig, error) {
		return m.AllConfig(ctx, in.ClusterName, in.ClusterTag, md5)
	}
	b.source = managed.New(ask, in.ClusterName, in.ClusterTag, in.CacheDir, b.log)
	places := &queue.Places{Source: b.source}
	err := b.awaitStart(ctx, "the Manager", managerOutlook, func(ctx context.Context) (err error) {
		places.Kind, places.Clusters, err = b.source.Start(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.queue().Open(places)
}

func (b *Bridge) queue() *queue.Opener {
	return &queue.Opener{Config: b.cfg, Instance: b.instance, Budget: b.limits.Budget, Opts: b.deps.KafkaOpts, Log: b.log}
}

// finality is the configuration's part of when a pack is final.
func (b *Bridge) finality() finality.Config {
	d, q := &b.cfg.Delivery, &b.cfg.Queue
	mode := map[string]finality.Mode{"ack": finality.Ack, "settle": finality.Settle, "queue": finality.Queue}[d.Confirm]
	f := finality.DefaultConfig(mode)
	f.Settle, f.AckTimeout, f.IdleBeat, f.Rate = d.Settle, d.AckTimeout, d.HeartbeatIdle, b.limits.ProxyRate
	if mode == finality.Queue {
		f.LossGrace, f.Patience, f.WindowBytes, f.WindowPacks = q.LossGrace, q.Patience, q.WindowBytes.N, q.WindowPacks
	}
	return f
}

func compression(name string) sdk.Compression {
	switch name {
	case "snappy":
		return sdk.Snappy
	case "none":
		return sdk.None
	}
	return sdk.Auto
}

// managerClient returns nil when the proxies are named in the configuration.
func (b *Bridge) managerClient() (*manager.Client, error) {
	in := &b.cfg.InLong
	if !b.cfg.HasManager() {
		return nil, nil
	}
	var tlsConfig *tls.Config
	if in.ManagerTLS.Enabled {
		var err error
		if tlsConfig, err = kafkaclient.TLSConfig(in.ManagerTLS); err != nil {
			return nil, fmt.Errorf("inlong.manager: %w", err)
		}
	}
	mc := manager.Config{URLs: in.ManagerURLs, SecretID: in.ManagerSecretID, Tenant: in.ManagerTenant, TLS: tlsConfig, Timeout: in.ManagerTimeout}
	if in.ManagerSecretKey.Set() {
		mc.SecretKey = in.ManagerSecretKey.Value
	}
	return manager.New(mc)
}

// startOf is kafka.start.
func startOf(k *config.Kafka) source.Start {
	switch k.Start {
	case "latest":
		return source.Start{Origin: resume.Latest()}
	case "timestamp":
		return source.Start{Origin: resume.Since(k.StartTime)}
	case "committed":
		return source.Start{Committed: true}
	case "file":
		return source.Start{File: k.StartOffsets}
	}
	return source.Start{}
}

// refuseNewGroup returns an error if kafka.start is committed and the group has no commit at all: the name is wrong, or
// the commits have expired.
func (b *Bridge) refuseNewGroup(ctx context.Context) error {
	k := &b.cfg.Kafka
	if k.Start != "committed" {
		return nil
	}
	return b.awaitStart(ctx, "the group's offsets", outlookOf, func(ctx context.Context) error {
		commits, err := b.kafka.FetchCommits(ctx)
		if err != nil {
			return kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for the offsets of group %s", k.Brokers, k.Group))
		}
		if len(commits) == 0 {
			return lastingError{fmt.Errorf("group %s has no committed offset in kafka at %v, and kafka.start is committed; hint: correct kafka.group or kafka.brokers; "+
				"if the group is new or its offsets expired (offsets.retention.minutes), choose earliest, latest, a time or file for kafka.start", k.Group, k.Brokers)}
		}
		return nil
	})
}
