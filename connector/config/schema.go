package config

import (
	"time"
)

// entry is one key of the file. The table of entries is the only place that knows the keys.
type entry struct {
	key      string
	doc      string // meaning, for the reference
	def      string // default as one would write it; "" for none
	example  string // shown in the reference where there is no default
	required bool
	refuse   string // the key is known and not supported: what to do instead

	// A value: dst is *string, *[]string, *int, *bool, *time.Duration, *Bytes, *Secret or *start.
	// A Secret takes key and key_file.
	dst      any
	oneOf    []string
	min, max int64                // of *int, *time.Duration (ns) and *Bytes; no bounds when max is 0
	clean    func() (note string) // brings what was set into the form that the program uses; "" when there is nothing to say of it
	valid    func() string        // checks what was set: "" or what is wrong; what would be right

	// A section.
	sub     []entry
	show    bool  // the reference shows an optional section as given
	present *bool // set when the section is in the file; its defaults apply only then

	// A list of sections: grow makes room for n, each names the keys of one.
	grow func(n int)
	each func(i int) []entry
	size func() int

	routes bool // the rules, read by package mapping
}

const (
	second = int64(time.Second)
	minute = int64(time.Minute)
	hour   = int64(time.Hour)
	kib    = int64(1) << 10
	mib    = int64(1) << 20
	gib    = int64(1) << 30
)

// Overhead is what a frame needs at most beside the records of a pack: the fixed fields, and as many
// attributes as a proxy is known to take.
const Overhead = 4 * kib

func (c *Config) schema() []entry {
	return []entry{
		{key: "kafka", required: true, example: "{brokers: [kafka-1:9092], group: bridge-orders}", doc: "The source.", sub: c.kafkaSchema()},
		{key: "inlong", required: true, example: "{manager: {urls: [http://manager:8083]}}", doc: "The destination. Exactly one of manager and proxies says where the proxies are.", sub: c.inlongSchema()},
		{key: "routes", required: true, routes: true, doc: "Which topics are read, and into which group and stream each record goes. The first rule that matches wins; \"inlong-bridge explain\" says which and why."},
		{key: "delivery", doc: "When a record counts as delivered, and what is done until then.", sub: c.deliverySchema()},
		{key: "queue", doc: "The queue behind the proxies, read to see what really arrived (confirm: queue). Leave the section out when the bridge cannot read it.", sub: c.queueSchema()},
		{key: "pack", doc: "When a pack of records is closed and sent.", sub: []entry{
			{key: "bytes", def: "256KiB", dst: &c.Pack.Bytes, min: 1 * kib, max: 20 * mib, doc: "Size of the records of a pack, before compression."},
			{key: "count", def: "32767", dst: &c.Pack.Count, min: 1, max: 32767, doc: "Records in a pack at most. The protocol allows 32767."},
			{key: "linger", def: "20ms", dst: &c.Pack.Linger, min: 0, max: minute, doc: "A pack that is not full is sent this long after its first record."},
			{key: "compression", def: "auto", dst: &c.Pack.Compression, oneOf: []string{"auto", "snappy", "none"}, doc: "auto compresses with snappy where it saves something; snappy always; none never."},
		}},
		{key: "memory", doc: "Bounds of the process's memory. \"inlong-bridge check --print\" shows what follows from them.", sub: []entry{
			{key: "budget", def: "auto", dst: &c.Memory.Budget, min: 16 * mib, max: 1 << 40, doc: "Bytes from fetch to the ack of a proxy. auto is a quarter of the container's memory limit (or of GOMEMLIMIT, or of the machine), between 64MiB and 1GiB."},
			{key: "fetch_bytes", def: "auto", dst: &c.Memory.FetchBytes, min: 4 * mib, max: 1 << 40, doc: "Share of the budget for what was fetched and not packed yet. auto is a quarter of the budget."},
		}},
		{key: "admin", doc: "The HTTP server with /metrics, /healthz, /readyz and /status.", sub: []entry{
			{key: "listen", def: ":8080", dst: &c.Admin.Listen, valid: func() string { return listenProblem(c.Admin.Listen) }, doc: "Address, host:port or :port. \"\" for no server. It has no authentication."},
			{key: "pprof", def: "false", dst: &c.Admin.Pprof, doc: "Serve Go profiles under /debug/pprof/."},
		}},
		{key: "metrics", doc: "What /metrics has.", sub: []entry{
			{key: "granularity", def: "partition", dst: &c.Metrics.Granularity, oneOf: []string{"partition", "topic"}, doc: "topic: the series of partitions are added up by topic, under the same names with partition=\"all\" (docs/metrics.md says how), which bounds them where there are thousands of partitions."},
		}},
		{key: "log", doc: "Logs go to standard error.", sub: []entry{
			{key: "level", def: "info", dst: &c.Log.Level, oneOf: []string{"debug", "info", "warn", "error"}, doc: "Least level that is written."},
			{key: "format", def: "text", dst: &c.Log.Format, oneOf: []string{"text", "json"}, doc: "One line per event as text or as JSON, in which durations are texts with a unit, such as 1.5s. Also the last line of a process that fails, but not mistakes in the configuration, which are text."},
		}},
	}
}

func (c *Config) kafkaSchema() []entry {
	k := &c.Kafka
	return []entry{
		{key: "brokers", required: true, example: "[kafka-1:9092, kafka-2:9092]", dst: &k.Brokers, clean: func() string { return separate(&k.Brokers) }, valid: func() string { return addressesProblem(k.Brokers) }, doc: "Some brokers of the cluster; the others are found from them."},
		{key: "group", required: true, example: "bridge-orders", dst: &k.Group, doc: "Consumer group. Bridges of one group share the partitions; committed offsets belong to it."},
		{key: "instance_id", example: "${HOSTNAME}", dst: &k.InstanceID, doc: "Static membership (group.instance.id): a restart within session_timeout causes no rebalance. Must differ between the members of the group, so use the pod's name in a StatefulSet. Without it membership is dynamic."},
		{key: "client_id", def: "inlong-bridge", dst: &k.ClientID, valid: func() string { return emptyProblem(k.ClientID) }, doc: "Name in the broker's logs and quotas."},
		{key: "rack", example: "eu-1a", dst: &k.Rack, doc: "Rack or zone of this process; where the brokers support it, the nearest replica is read."},
		{key: "tls", doc: "TLS to the brokers. The section's presence enables it, so write tls: {} for the system's roots. Its files are read again at each new connection.", sub: tlsSchema(&k.TLS), present: &k.TLS.Enabled},
		{key: "sasl", doc: "Authentication at the brokers.", sub: saslSchema(&k.SASL), present: new(bool)},
		{key: "start", def: "earliest", dst: (*start)(k), doc: "Where a partition begins in a group without any committed offset: earliest, latest, or a time such as 2026-01-02T15:04:05Z. A partition or topic that came later is read from its start, and one that came while no bridge ran since the group was last alive, also with latest (docs/operations.md)."},
		{key: "isolation", def: "read_committed", dst: &k.Isolation, oneOf: []string{"read_committed", "read_uncommitted"}, doc: "read_committed delivers nothing of aborted transactions, and waits for open ones."},
		{key: "balancer", def: "cooperative-sticky", dst: &k.Balancer, oneOf: []string{"cooperative-sticky", "sticky", "range", "roundrobin"}, doc: "How the group shares out the partitions. All members must agree."},
		{key: "session_timeout", def: "45s", dst: &k.SessionTimeout, min: 6 * second, max: 30 * minute, doc: "A member that sends no heartbeat this long loses its partitions. The broker bounds it (group.min.session.timeout.ms)."},
		{key: "rebalance_timeout", def: "1m", dst: &k.RebalanceTimeout, min: 1 * second, max: hour, doc: "A member has this long to finish when partitions move. Above delivery.revoke_wait + commit_timeout."},
		{key: "commit_timeout", def: "10s", dst: &k.CommitTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A commit that takes longer has failed and is tried again."},
		{key: "commit_interval", def: "1s", dst: &k.CommitInterval, min: 10 * int64(time.Millisecond), max: 10 * minute, doc: "Offsets that became safe are committed this often, give or take a fifth."},
		{key: "metadata_max_age", def: "1m", dst: &k.MetadataMaxAge, min: 1 * second, max: hour, doc: "New topics and partitions are noticed after this long at the latest."},
		{key: "start_timeout", def: "5m", dst: &k.StartTimeout, min: 0, max: 24 * hour, doc: "A start waits this long for brokers that do not answer and for the first topic that the routes want, then the process ends. 0 for ever. Wrong credentials and TLS that fails end it at once."},
	}
}

func (c *Config) inlongSchema() []entry {
	in := &c.InLong
	return []entry{
		{key: "cluster", doc: "The cluster of proxies, as the Manager names it.", sub: []entry{
			{key: "name", example: "default_dataproxy", dst: &in.ClusterName, doc: "Name of the cluster."},
			{key: "tag", example: "default_cluster", dst: &in.ClusterTag, doc: "Tag of the cluster."},
		}},
		{key: "manager", doc: "Ask InLong's Manager for the proxies of each group.", present: &c.hasManager, show: true, sub: []entry{
			{key: "urls", required: true, example: "[http://manager:8083]", dst: &in.ManagerURLs, clean: func() string { return cutURLs(&in.ManagerURLs) }, valid: func() string { return urlsProblem(in.ManagerURLs) }, doc: "Base URLs, tried in turn. The URLs that InLong's SDKs are configured with (.../getIpList) are cut to their base."},
			{key: "secret_id", example: "admin", dst: &in.ManagerSecretID, valid: func() string { return colonProblem(in.ManagerSecretID) }, doc: "User of the Manager's API, with its secret_key."},
			{key: "secret_key", example: "/run/secrets/inlong", dst: &in.ManagerSecretKey, doc: "Key of that user."},
			{key: "tenant", example: "public", dst: &in.ManagerTenant, doc: "Tenant of the groups, in which that user has a role; the header tenant of each request. Without this key none is sent, and the Manager takes public."},
			{key: "tls", doc: "TLS of https URLs; without the section the roots of the system apply. ca_file is read at the start, the client certificate at each new connection.", sub: tlsSchema(&in.ManagerTLS), present: &in.ManagerTLS.Enabled},
			{key: "timeout", def: "10s", dst: &in.ManagerTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A request that takes longer has failed."},
		}},
		{key: "proxies", example: "[dataproxy-1:46801, dataproxy-2:46801]", dst: &in.Proxies, clean: func() string { return separate(&in.Proxies) }, valid: func() string { return addressesProblem(in.Proxies) }, doc: "The proxies themselves, instead of a Manager. A name with several addresses is several proxies."},
		{key: "refresh", def: "1m", dst: &in.Refresh, min: 1 * second, max: 24 * hour, doc: "The Manager is asked again this often, and about the queue (queue.manager) every 10s at least."},
		{key: "cache_dir", example: "/var/lib/inlong-bridge", dst: &in.CacheDir, doc: "Directory that keeps the Manager's last good answers, so that a start does not need the Manager. Without it nothing is kept."},
		{key: "connections", def: "1", dst: &in.Connections, min: 1, max: 64, doc: "Connections to each proxy."},
		{key: "max_frame", def: "512KiB", dst: &in.MaxFrame, min: 8 * kib, max: 20 * mib, doc: "Largest frame the proxies take (their max-msg-length). A larger one makes them close the connection."},
		{key: "max_streams", def: "10000", dst: &in.MaxStreams, min: 1, max: 10_000_000, doc: "Streams in use at a time, at most; each takes memory. A record of one stream more stops its partition (too_many_streams) until an idle stream is forgotten. Raise it where a template makes more streams than this on purpose."},
	}
}

func (c *Config) deliverySchema() []entry {
	d := &c.Delivery
	return []entry{
		{key: "confirm", example: "queue", dst: &d.Confirm, oneOf: []string{"ack", "settle", "queue"}, doc: "When a pack is final. queue: it was seen in the queue behind the proxy. settle: its connection has lived on in health for delivery.settle since the ack. ack: the proxy acked; a proxy that dies loses what it held. Without this key: queue when there is a queue section, else settle."},
		{key: "settle", def: "10s", dst: &d.Settle, min: 1 * second, max: hour, doc: "See confirm: settle. Longer than a proxy is ever behind its queue."},
		{key: "ack_timeout", def: "15s", dst: &d.AckTimeout, min: 1 * second, max: 10 * minute, doc: "An answer that does not come in this time ends the connection; what was in flight is sent again."},
		{key: "dial_timeout", def: "5s", dst: &d.DialTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A connection to a proxy that takes longer has failed."},
		{key: "write_timeout", def: "10s", dst: &d.WriteTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A proxy that takes nothing for this long has failed."},
		{key: "proxy_rate", def: "32MiB", dst: &d.ProxyRate, min: 0, max: 1 << 40, doc: "Bytes per second sent to one proxy, 0 for no bound. Acks do not slow a sender down: without a bound a fast source fills the proxy's memory until it fails."},
		{key: "revoke_wait", def: "3s", dst: &d.RevokeWait, min: 0, max: 10 * minute, doc: "When partitions are taken away, wait at most this long for what is under way to become final (not in settle)."},
		{key: "drain", def: "30s", dst: &d.Drain, min: 0, max: hour, doc: "At a stop, wait at most this long until all is final. In settle above settle + ack_timeout. The grace period of the container must be longer."},
		{key: "max_unfinal", def: "500000", dst: &d.MaxUnfinal, min: 1000, max: 100_000_000, doc: "Pieces (runs of records of one partition in one pack) that are not final, or final and not committed yet, at most; reading pauses then. A partition may hold as many as are free: one alone half of them."},
		{key: "on_gap", def: "stop", dst: &d.OnGap, oneOf: []string{"stop", "continue"}, doc: "What to do with a partition when Kafka no longer has records that are needed: stop it and say so, or count them as lost and continue."},
		{key: "retry_min", def: "100ms", dst: &d.RetryMin, min: int64(time.Millisecond), max: 10 * minute, doc: "First pause before something is tried again; pauses grow, with jitter."},
		{key: "retry_max", def: "30s", dst: &d.RetryMax, min: int64(time.Millisecond), max: hour, doc: "Longest of these pauses. A dial that failed is tried again within 2 s."},
		{key: "watchdog", def: "1m", dst: &d.Watchdog, min: 0, max: 24 * hour, doc: "A partition that is behind and makes no progress for this long (in settle: and settle) is logged with the reason, counted and shown in /readyz. 0 for no watchdog. What is idle at its end is well."},
		{key: "heartbeat_idle", def: "30s", dst: &d.HeartbeatIdle, min: 1 * second, max: minute, doc: "Heartbeat of an idle connection. Proxies close one that is silent for a minute or more."},
	}
}

func (c *Config) queueSchema() []entry {
	q := &c.Queue
	const other = "this kind of queue cannot be read; take the queue section out, and delivery.confirm: settle is in force"
	return []entry{
		{key: "kafka", example: "[{brokers: [mq-1:9092]}]", doc: "One entry per Kafka cluster behind the proxies. All of them: a pack may be in any. Or manager: true.",
			grow: func(n int) { q.Kafka = make([]QueueCluster, n) },
			size: func() int { return len(q.Kafka) },
			each: func(i int) []entry {
				k := &q.Kafka[i]
				return []entry{
					{key: "name", example: "mq-1", dst: &k.Name, doc: "Name in messages and metrics; the first broker without it."},
					{key: "brokers", required: true, example: "[mq-1:9092]", dst: &k.Brokers, clean: func() string { return separate(&k.Brokers) }, valid: func() string { return addressesProblem(k.Brokers) }, doc: "Some brokers of the cluster."},
					{key: "topic", def: "{group}.{stream}", dst: &k.Topic, valid: func() string { return topicProblem(k.Topic) }, doc: "Topic of a stream, as the Manager set it up, from {group} and {stream}."},
					{key: "tls", doc: "TLS to these brokers, as kafka.tls.", sub: tlsSchema(&k.TLS), present: &k.TLS.Enabled},
					{key: "sasl", doc: "Authentication at these brokers, as kafka.sasl. Reading the topics is enough; no group is used.", sub: saslSchema(&k.SASL), present: new(bool)},
				}
			}},
		{key: "pulsar", example: "[{service_url: 'pulsar://mq-1:6650'}]", doc: "The same where the queue is Pulsar. One file has clusters of one kind only.",
			grow: func(n int) { q.Pulsar = make([]PulsarCluster, n) },
			size: func() int { return len(q.Pulsar) },
			each: func(i int) []entry {
				p := &q.Pulsar[i]
				return []entry{
					{key: "name", example: "mq-1", dst: &p.Name, doc: "Name in messages and metrics; the hosts of service_url without it."},
					{key: "service_url", required: true, example: "pulsar://mq-1:6650", dst: &p.ServiceURL, valid: func() string { return serviceURLProblem(p.ServiceURL) }, doc: "Where the brokers, or Pulsar's proxies, are: pulsar:// or pulsar+ssl://, several hosts with commas between."},
					{key: "admin_url", example: "http://mq-1:8080", dst: &p.AdminURL, valid: func() string { return adminURLProblem(p.AdminURL) }, doc: "HTTP address of the cluster. It is only asked whether a namespace exists, which the brokers do not tell."},
					{key: "tenant", def: "public", dst: &p.Tenant, valid: func() string { return nameProblem(p.Tenant) }, doc: "Tenant of the topics, as in the Manager's cluster."},
					{key: "namespace", def: "{group}", dst: &p.Namespace, valid: func() string { return topicProblem(p.Namespace) }, doc: "Namespace of a stream, from {group} and {stream}: the Manager's MQ resource of the group."},
					{key: "topic", def: "{stream}", dst: &p.Topic, valid: func() string { return topicProblem(p.Topic) }, doc: "Topic of a stream, from {group} and {stream}: the Manager's MQ resource of the stream."},
					{key: "tls", doc: "TLS to these brokers, as kafka.tls, but ca_file is read at the start. Needs pulsar+ssl:// in service_url.", sub: tlsSchema(&p.TLS), present: &p.TLS.Enabled},
					{key: "token", example: "/run/secrets/pulsar-token", dst: &p.Token, doc: "Token of a role that may consume. A token_file that changes is read at the next connection."},
				}
			}},
		{key: "manager", def: "false", dst: &q.Manager, doc: "true: ask the Manager for the clusters and for the topic of each stream, instead of kafka or pulsar. Needs inlong.manager and both keys of inlong.cluster. What changes there is followed: a new topic, a cluster that is added (read from when the Manager did not name it yet; of Pulsar from its end) or removed (read for a minute still)."},
		{key: "tls", doc: "With manager: true, TLS to the brokers of all clusters, as kafka.tls. Those of Pulsar must be named pulsar+ssl:// in the Manager.", sub: tlsSchema(&q.TLS), present: &q.TLS.Enabled},
		{key: "sasl", doc: "With manager: true and Kafka, authentication at all clusters, as kafka.sasl.", sub: saslSchema(&q.SASL), present: new(bool)},
		{key: "token", example: "/run/secrets/pulsar-token", dst: &q.Token, doc: "With manager: true and Pulsar, token for all clusters, as queue.pulsar[].token."},
		{key: "tubemq", refuse: other},
		{key: "tube", refuse: other},
		{key: "tdmq", refuse: other},
		{key: "loss_grace", def: "10s", dst: &q.LossGrace, min: 100 * int64(time.Millisecond), max: hour, doc: "What a lost connection's proxy had acked is waited for this long before it is sent again. Where the proxy fell silent, this is counted from when it is heard again, and it is waited for at most patience."},
		{key: "patience", def: "1m", dst: &q.Patience, min: 1 * second, max: 24 * hour, doc: "A pack that was not seen for this long, while later ones of the same proxy were, is sent again."},
		{key: "window_bytes", def: "96MiB", dst: &q.WindowBytes, min: 64 * kib, max: 1 << 40, doc: "Bytes per connection that are sent and not seen in the queue yet. It keeps the proxy's memory small."},
		{key: "window_packs", def: "4096", dst: &q.WindowPacks, min: 1, max: 1_000_000, doc: "The same in packs."},
		{key: "timeout", def: "10s", dst: &q.Timeout, min: 100 * int64(time.Millisecond), max: 10 * minute, doc: "A cluster that does not answer this long counts as down: nothing is declared lost."},
	}
}

func tlsSchema(t *TLS) []entry {
	return []entry{
		{key: "enabled", def: "true", dst: &t.Enabled, doc: "false switches the section off."},
		{key: "ca_file", example: "/etc/inlong-bridge/ca.crt", dst: &t.CAFile, doc: "Certificates (PEM) that the server's must come from, instead of the system's."},
		{key: "cert_file", example: "/etc/inlong-bridge/tls.crt", dst: &t.CertFile, doc: "Client certificate (PEM), with its key_file."},
		{key: "key_file", example: "/etc/inlong-bridge/tls.key", dst: &t.KeyFile, doc: "Key of the client certificate (PEM)."},
		{key: "server_name", example: "kafka.example.com", dst: &t.ServerName, doc: "Name expected in the server's certificate, instead of the host that is dialled."},
		{key: "insecure_skip_verify", def: "false", dst: &t.Insecure, doc: "Accept any certificate. For tests only: anyone can pose as the server."},
	}
}

func saslSchema(s *SASL) []entry {
	return []entry{
		{key: "mechanism", required: true, example: "scram-sha-512", dst: &s.Mechanism, oneOf: []string{"plain", "scram-sha-256", "scram-sha-512", "oauthbearer"}, doc: "How to authenticate: plain, scram-sha-256, scram-sha-512 or oauthbearer."},
		{key: "username", example: "bridge", dst: &s.Username, doc: "For plain and scram."},
		{key: "password", example: "/run/secrets/kafka", dst: &s.Password, doc: "For plain and scram."},
		{key: "token", example: "/run/secrets/token", dst: &s.Token, doc: "For oauthbearer: a token that something else keeps fresh. Or token_url."},
		{key: "token_url", example: "https://login.example.com/oauth2/token", dst: &s.TokenURL, valid: func() string { return tokenURLProblem(s.TokenURL) }, doc: "For oauthbearer: ask here for tokens (client credentials grant)."},
		{key: "client_id", example: "bridge", dst: &s.ClientID, doc: "With token_url."},
		{key: "client_secret", example: "/run/secrets/client", dst: &s.ClientSecret, doc: "With token_url."},
		{key: "scopes", example: "[kafka]", dst: &s.Scopes, doc: "With token_url."},
	}
}

// optional reports whether the entry's defaults apply only when its section is written.
func (e *entry) optional() bool { return e.present != nil }
