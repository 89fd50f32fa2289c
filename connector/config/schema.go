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
	clean    func() (note string) // brings what was set into the form that the program uses; "" when nothing is worth a note
	valid    func() string        // checks the value that was set: "", or the mistake and its remedy

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

// Overhead is the most that a frame needs beside the records of a pack: the fixed fields, and as many attributes as
// a proxy is known to accept.
const Overhead = 4 * kib

func (c *Config) schema() []entry {
	return []entry{
		{key: "kafka", required: true, example: "{brokers: [kafka-1:9092], group: bridge-orders}", doc: "The source.", sub: c.kafkaSchema()},
		{key: "inlong", required: true, example: "{manager: {urls: [http://manager:8083]}}", doc: "The destination. Exactly one of manager and proxies says where the proxies are.", sub: c.inlongSchema()},
		{key: "routes", required: true, routes: true, doc: "Which topics are read, and into which group and stream each record goes. The first rule that matches wins; \"inlong-bridge explain\" says which and why."},
		{key: "dead_letter", doc: "Where records go that cannot be delivered, if their rule says on_error: dead_letter (docs/dead-letters.md).", present: &c.hasDeadLetters, sub: c.deadLetterSchema()},
		{key: "delivery", doc: "When a record counts as delivered, and what is done until then.", sub: c.deliverySchema()},
		{key: "queue", doc: "The queue behind the proxies, read to see what really arrived (confirm: queue). Leave the section out if the bridge cannot read that queue.", sub: c.queueSchema()},
		{key: "pack", doc: "When a pack of records is closed and sent.", sub: []entry{
			{key: "bytes", def: "256KiB", dst: &c.Pack.Bytes, min: 1 * kib, max: 20 * mib, doc: "Size of the records of a pack, before compression. While connections are the limit, compression: auto fills packs up to twice as much if they become half as long."},
			{key: "count", def: "32767", dst: &c.Pack.Count, min: 1, max: 32767, doc: "Most records in a pack. The protocol allows 32767."},
			{key: "linger", def: "20ms", dst: &c.Pack.Linger, min: 0, max: minute, doc: "A pack that is not full is sent this long after its first record."},
			{key: "compression", def: "auto", dst: &c.Pack.Compression, oneOf: []string{"auto", "snappy", "none"}, doc: "auto compresses with snappy where that saves something, and takes more time to make packs smaller while they wait for a connection anyway; snappy always compresses, and never takes more time; none never compresses."},
		}},
		{key: "memory", doc: "Bounds on the memory of the process. \"inlong-bridge check --print\" shows the limits that follow from them.", sub: []entry{
			{key: "budget", def: "auto", dst: &c.Memory.Budget, min: 16 * mib, max: 1 << 40, doc: "Bytes of records between their fetch and the ack of a proxy. auto is a quarter of the container's memory limit (or of GOMEMLIMIT, or of the machine), between 64MiB and 1GiB."},
			{key: "fetch_bytes", def: "auto", dst: &c.Memory.FetchBytes, min: 4 * mib, max: 1 << 40, doc: "Share of the budget for records that are fetched and not packed yet. auto is a quarter of the budget."},
		}},
		{key: "admin", doc: "The HTTP server with /metrics, /healthz, /readyz and /status.", sub: []entry{
			{key: "listen", def: ":8080", dst: &c.Admin.Listen, valid: func() string { return listenProblem(c.Admin.Listen) }, doc: "Address to listen on, host:port or :port. \"\" starts no server. The server has no authentication."},
			{key: "pprof", def: "false", dst: &c.Admin.Pprof, doc: "Serve Go profiles under /debug/pprof/."},
		}},
		{key: "metrics", doc: "What /metrics shows.", sub: []entry{
			{key: "granularity", def: "auto", dst: &c.Metrics.Granularity, oneOf: []string{"auto", "partition", "topic"}, doc: "topic adds up the series of a topic's partitions, under the same names and with partition=\"all\" (docs/metrics.md says how). partition shows each partition. auto does the one for a topic that has more than 1,000 partitions in this process, the other for all others."},
		}},
		{key: "log", doc: "Logs go to standard error.", sub: []entry{
			{key: "level", def: "info", dst: &c.Log.Level, oneOf: []string{"debug", "info", "warn", "error"}, doc: "Lowest level that is logged."},
			{key: "format", def: "text", dst: &c.Log.Format, oneOf: []string{"text", "json"}, doc: "Each event is one line of text or of JSON. In JSON a duration is a string with a unit, such as 1.5s. The format also applies to the last line of a process that fails, but not to mistakes in the configuration, which are always text."},
		}},
	}
}

func (c *Config) kafkaSchema() []entry {
	k := &c.Kafka
	return []entry{
		{key: "brokers", required: true, example: "[kafka-1:9092, kafka-2:9092]", dst: &k.Brokers, clean: func() string { return separate(&k.Brokers) }, valid: func() string { return addressesProblem(k.Brokers) }, doc: "Some brokers of the cluster; the bridge finds the others through them."},
		{key: "group", required: true, example: "bridge-orders", dst: &k.Group, doc: "Consumer group. Bridges of one group share the partitions; committed offsets belong to it."},
		{key: "instance_id", example: "${HOSTNAME}", dst: &k.InstanceID, doc: "Static membership (group.instance.id): a restart within session_timeout causes no rebalance. Must differ between the members of the group, so use the pod's name in a StatefulSet. Without it membership is dynamic."},
		{key: "client_id", def: "inlong-bridge", dst: &k.ClientID, valid: func() string { return emptyProblem(k.ClientID) }, doc: "Name in the broker's logs and quotas."},
		{key: "rack", example: "eu-1a", dst: &k.Rack, doc: "Rack or zone of this process. If the brokers support it, the bridge reads the nearest replica."},
		{key: "tls", doc: "TLS to the brokers. The section's presence enables it, so write tls: {} for the system's roots. Its files are read again at each new connection.", sub: tlsSchema(&k.TLS), present: &k.TLS.Enabled},
		{key: "sasl", doc: "How to authenticate to the brokers.", sub: saslSchema(&k.SASL), present: new(bool)},
		{key: "start", def: "earliest", dst: (*start)(k), doc: "Where a group without any committed offset begins to read: earliest, latest, or a time such as 2026-01-02T15:04:05Z. A topic or partition that is added later is read from its start. With latest, a topic that was added while no bridge was running is read from when the group was last alive. Two values never guess: committed ends the start if the group has no committed offset at all, and stops a partition without one unless everything in it came after the group first saw its topic; file reads start_file and stops a partition that has neither a committed offset nor a valid line there (docs/operations.md)."},
		{key: "start_file", example: "/etc/inlong-bridge/start.offsets", dst: &k.StartFile, doc: "With start: file: where partitions without a committed offset begin, one per line as topic:topic-id/partition@offset. \"inlong-bridge offsets\" prints such lines for a group. The file is read once, at the start."},
		{key: "isolation", def: "read_committed", dst: &k.Isolation, oneOf: []string{"read_committed", "read_uncommitted"}, doc: "read_committed skips the records of aborted transactions and waits for open transactions to end."},
		{key: "balancer", def: "cooperative-sticky", dst: &k.Balancer, oneOf: []string{"cooperative-sticky", "sticky", "range", "roundrobin"}, doc: "How the group assigns its partitions. All members must use the same."},
		{key: "session_timeout", def: "45s", dst: &k.SessionTimeout, min: 6 * second, max: 30 * minute, doc: "A member that sends no heartbeat for this long loses its partitions. The brokers bound the value (group.min.session.timeout.ms)."},
		{key: "rebalance_timeout", def: "1m", dst: &k.RebalanceTimeout, min: 1 * second, max: hour, doc: "How long a member may take to finish its work when partitions move. It must be longer than delivery.revoke_wait + commit_timeout."},
		{key: "commit_timeout", def: "10s", dst: &k.CommitTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A commit that takes longer counts as failed and is tried again."},
		{key: "commit_interval", def: "1s", dst: &k.CommitInterval, min: 10 * int64(time.Millisecond), max: 10 * minute, doc: "How often safe offsets are committed, give or take a fifth."},
		{key: "metadata_max_age", def: "1m", dst: &k.MetadataMaxAge, min: 1 * second, max: hour, doc: "The bridge notices new topics and partitions within this time."},
		{key: "start_timeout", def: "5m", dst: &k.StartTimeout, min: 0, max: 24 * hour, doc: "How long a start waits for brokers that do not answer, and for the first topic that matches the routes, before the process ends. 0 waits for ever. Wrong credentials and a failed TLS handshake end the process at once."},
	}
}

func (c *Config) inlongSchema() []entry {
	in := &c.InLong
	return []entry{
		{key: "cluster", doc: "The cluster of proxies, under its name in the Manager.", sub: []entry{
			{key: "name", example: "default_dataproxy", dst: &in.ClusterName, doc: "Name of the cluster."},
			{key: "tag", example: "default_cluster", dst: &in.ClusterTag, doc: "Tag of the cluster."},
		}},
		{key: "manager", doc: "Ask InLong's Manager for the proxies of each group.", present: &c.hasManager, show: true, sub: []entry{
			{key: "urls", required: true, example: "[http://manager:8083]", dst: &in.ManagerURLs, clean: func() string { return cutURLs(&in.ManagerURLs) }, valid: func() string { return urlsProblem(in.ManagerURLs) }, doc: "Base URLs, tried in turn. A URL copied from the configuration of an InLong SDK (.../getIpList) is cut to its base."},
			{key: "secret_id", example: "admin", dst: &in.ManagerSecretID, valid: func() string { return colonProblem(in.ManagerSecretID) }, doc: "User of the Manager's API, with its secret_key."},
			{key: "secret_key", example: "/run/secrets/inlong", dst: &in.ManagerSecretKey, doc: "Key of that user."},
			{key: "tenant", example: "public", dst: &in.ManagerTenant, doc: "Tenant of the groups; the user must have a role in it. Each request carries it in the header tenant. Without this key no header is sent, and the Manager assumes public."},
			{key: "tls", doc: "TLS for https URLs. Without this section the system's roots apply. ca_file is read at the start, the client certificate at each new connection.", sub: tlsSchema(&in.ManagerTLS), present: &in.ManagerTLS.Enabled},
			{key: "timeout", def: "10s", dst: &in.ManagerTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A request that takes longer counts as failed."},
		}},
		{key: "proxies", example: "[dataproxy-1:46801, dataproxy-2:46801]", dst: &in.Proxies, clean: func() string { return separate(&in.Proxies) }, valid: func() string { return addressesProblem(in.Proxies) }, doc: "The addresses of the proxies, if no Manager is asked for them. A name with several addresses counts as several proxies."},
		{key: "refresh", def: "1m", dst: &in.Refresh, min: 1 * second, max: 24 * hour, doc: "How often the Manager is asked again. With queue.manager it is asked about the queue at least every 10s."},
		{key: "cache_dir", example: "/var/lib/inlong-bridge", dst: &in.CacheDir, doc: "Directory in which the last good answers of the Manager are kept, so that a start does not need the Manager. Without this key nothing is kept."},
		{key: "connections", def: "1", dst: &in.Connections, min: 1, max: 64, doc: "Connections to each proxy."},
		{key: "max_frame", def: "512KiB", dst: &in.MaxFrame, min: 8 * kib, max: 20 * mib, doc: "Largest frame that the proxies accept (their max-msg-length). They close the connection on a larger one."},
		{key: "max_streams", def: "10000", dst: &in.MaxStreams, min: 1, max: 10_000_000, doc: "Most streams in use at a time; each takes memory. A record for one more stream stops its partition (too_many_streams) until an idle stream is forgotten. Raise it if a template makes more streams than this on purpose."},
	}
}

func (c *Config) deliverySchema() []entry {
	d := &c.Delivery
	return []entry{
		{key: "confirm", example: "queue", dst: &d.Confirm, oneOf: []string{"ack", "settle", "queue"}, doc: "When a pack is final. queue: when it was seen in the queue behind the proxies. settle: when its connection has stayed healthy for delivery.settle after the ack. ack: when a proxy acked it; a proxy that dies loses the packs that it held. Without this key it is queue if there is a queue section, and settle otherwise."},
		{key: "settle", def: "10s", dst: &d.Settle, min: 1 * second, max: hour, doc: "For confirm: settle. It must be longer than a proxy ever lags behind its queue."},
		{key: "ack_timeout", def: "15s", dst: &d.AckTimeout, min: 1 * second, max: 10 * minute, doc: "If a proxy does not answer a pack within this time, the connection is closed, and the packs in flight are sent again."},
		{key: "dial_timeout", def: "5s", dst: &d.DialTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "An attempt to connect to a proxy that takes longer counts as failed."},
		{key: "write_timeout", def: "10s", dst: &d.WriteTimeout, min: 100 * int64(time.Millisecond), max: 5 * minute, doc: "A connection on which nothing can be written for this long is closed."},
		{key: "proxy_rate", def: "auto", dst: &d.ProxyRate, min: 0, max: 1 << 40, doc: "Most bytes per second sent to one proxy, on the wire; 0 means no limit. auto is no limit with confirm: queue, whose window bounds what a proxy holds, and 32MiB otherwise: acks do not slow a sender down, so without a limit a fast source fills the memory of a proxy until it fails."},
		{key: "revoke_wait", def: "3s", dst: &d.RevokeWait, min: 0, max: 10 * minute, doc: "When partitions are revoked, the bridge waits at most this long for packs that are under way to become final (not in settle)."},
		{key: "drain", def: "30s", dst: &d.Drain, min: 0, max: hour, doc: "When the process stops, it waits at most this long until everything is final. In settle it must be longer than settle + ack_timeout. The container's grace period must be longer than this."},
		{key: "max_unfinal", def: "500000", dst: &d.MaxUnfinal, min: 1000, max: 100_000_000, doc: "Most pieces (runs of records of one partition in one pack) that are not final, or are final and not committed yet. At this limit reading pauses. A partition may hold as many pieces as are free; a single busy partition gets half of them."},
		{key: "order", def: "none", dst: &d.Order, oneOf: []string{"none", "partition", "key"}, doc: "Which records keep their order on the way to the queue: none; all of a partition; or those of a partition that have the same key. A pack waits until the pack before it is final, so a partition (or each of the 64 groups that the keys of a partition fall into) moves at most one pack per confirmation. docs/ordering.md has the rates, and says where the order can be read."},
		{key: "on_gap", def: "stop", dst: &d.OnGap, oneOf: []string{"stop", "continue"}, doc: "What to do when Kafka no longer has records that a partition still needs: stop the partition and say so, or count the records as lost and continue."},
		{key: "lineage", def: "true", dst: &d.Lineage, doc: "Each pack says where each of its records comes from (cluster, topic, partition, offset), in at most 768 characters (docs/lineage.md). Without it consumers cannot tell repeats from first copies, and the queue cannot be compared with the source."},
		{key: "retry_min", def: "100ms", dst: &d.RetryMin, min: int64(time.Millisecond), max: 10 * minute, doc: "First pause before something that failed is tried again. Pauses double, with jitter."},
		{key: "retry_max", def: "30s", dst: &d.RetryMax, min: int64(time.Millisecond), max: hour, doc: "Longest of these pauses. A proxy that cannot be reached is tried again within 2s."},
		{key: "watchdog", def: "1m", dst: &d.Watchdog, min: 0, max: 24 * hour, doc: "A partition that lags and makes no progress for this long (in settle: plus settle) is logged with the reason, counted, and shown in /readyz. 0 turns the watchdog off. A partition that is idle at its end is healthy."},
		{key: "heartbeat_idle", def: "30s", dst: &d.HeartbeatIdle, min: 1 * second, max: minute, doc: "How often an idle connection sends a heartbeat. Proxies close a connection that is silent for a minute or more."},
	}
}

func (c *Config) queueSchema() []entry {
	q := &c.Queue
	const other = "the bridge cannot read this kind of queue; remove the queue section, and delivery.confirm: settle applies"
	return []entry{
		{key: "kafka", example: "[{brokers: [mq-1:9092]}]", doc: "The Kafka clusters behind the proxies, one entry each. List all of them, because a pack may be in any. Or write manager: true.",
			grow: func(n int) { q.Kafka = make([]QueueCluster, n) },
			size: func() int { return len(q.Kafka) },
			each: func(i int) []entry {
				k := &q.Kafka[i]
				return []entry{
					{key: "name", example: "mq-1", dst: &k.Name, doc: "Name in messages and metrics. Without it, the first broker."},
					{key: "brokers", required: true, example: "[mq-1:9092]", dst: &k.Brokers, clean: func() string { return separate(&k.Brokers) }, valid: func() string { return addressesProblem(k.Brokers) }, doc: "Some brokers of the cluster."},
					{key: "topic", def: "{group}.{stream}", dst: &k.Topic, valid: func() string { return topicProblem(k.Topic) }, doc: "Name of a stream's topic as the Manager created it, made from {group} and {stream}."},
					{key: "tls", doc: "TLS to these brokers, like kafka.tls.", sub: tlsSchema(&k.TLS), present: &k.TLS.Enabled},
					{key: "sasl", doc: "How to authenticate to these brokers, like kafka.sasl. The user only has to read the topics; no group is used.", sub: saslSchema(&k.SASL), present: new(bool)},
				}
			}},
		{key: "pulsar", example: "[{service_url: 'pulsar://mq-1:6650'}]", doc: "The Pulsar clusters behind the proxies. One file has clusters of one kind only.",
			grow: func(n int) { q.Pulsar = make([]PulsarCluster, n) },
			size: func() int { return len(q.Pulsar) },
			each: func(i int) []entry {
				p := &q.Pulsar[i]
				return []entry{
					{key: "name", example: "mq-1", dst: &p.Name, doc: "Name in messages and metrics. Without it, the hosts of service_url."},
					{key: "service_url", required: true, example: "pulsar://mq-1:6650", dst: &p.ServiceURL, valid: func() string { return serviceURLProblem(p.ServiceURL) }, doc: "Address of the brokers or of Pulsar's proxies: pulsar:// or pulsar+ssl://, with commas between several hosts."},
					{key: "admin_url", example: "http://mq-1:8080", dst: &p.AdminURL, valid: func() string { return adminURLProblem(p.AdminURL) }, doc: "HTTP address of the cluster. The bridge uses it only to ask whether a namespace exists, which the brokers do not say."},
					{key: "tenant", def: "public", dst: &p.Tenant, valid: func() string { return nameProblem(p.Tenant) }, doc: "Tenant of the topics, as the cluster has it in the Manager."},
					{key: "namespace", def: "{group}", dst: &p.Namespace, valid: func() string { return topicProblem(p.Namespace) }, doc: "Namespace of a stream, made from {group} and {stream}: the MQ resource of the group in the Manager."},
					{key: "topic", def: "{stream}", dst: &p.Topic, valid: func() string { return topicProblem(p.Topic) }, doc: "Topic of a stream, made from {group} and {stream}: the MQ resource of the stream in the Manager."},
					{key: "tls", doc: "TLS to these brokers, like kafka.tls, except that ca_file is read at the start. It needs pulsar+ssl:// in service_url.", sub: tlsSchema(&p.TLS), present: &p.TLS.Enabled},
					{key: "token", example: "/run/secrets/pulsar-token", dst: &p.Token, doc: "Token of a role that may consume. token_file is read again at each new connection if it has changed."},
				}
			}},
		{key: "manager", def: "false", dst: &q.Manager, doc: "true asks the Manager for the clusters and for the topic of each stream, instead of listing them in kafka or pulsar. It needs inlong.manager and both keys of inlong.cluster. The bridge follows changes in the Manager. It reads a Kafka cluster that is added from the time at which the Manager did not name it yet, and a Pulsar cluster from its end. It reads a cluster that is removed for one more minute."},
		{key: "tls", doc: "With manager: true, TLS to the brokers of all clusters, like kafka.tls. The Manager must name Pulsar clusters by pulsar+ssl://.", sub: tlsSchema(&q.TLS), present: &q.TLS.Enabled},
		{key: "sasl", doc: "With manager: true and Kafka, how to authenticate to all clusters, like kafka.sasl.", sub: saslSchema(&q.SASL), present: new(bool)},
		{key: "token", example: "/run/secrets/pulsar-token", dst: &q.Token, doc: "With manager: true and Pulsar, the token for all clusters, like queue.pulsar[].token."},
		{key: "tubemq", refuse: other},
		{key: "tube", refuse: other},
		{key: "tdmq", refuse: other},
		{key: "loss_grace", def: "10s", dst: &q.LossGrace, min: 100 * int64(time.Millisecond), max: hour, doc: "When a connection ends, the bridge waits this long to see the packs acked on it before it sends them again. If the proxy fell silent, the time counts from when the proxy answers again, and the bridge waits at most patience."},
		{key: "patience", def: "1m", dst: &q.Patience, min: 1 * second, max: 24 * hour, doc: "A pack that was not seen for this long, while later packs sent through the same proxy were, is sent again."},
		{key: "window_bytes", def: "96MiB", dst: &q.WindowBytes, min: 64 * kib, max: 1 << 40, doc: "Most bytes per connection that are sent and not yet seen in the queue. It keeps the proxy's memory small."},
		{key: "window_packs", def: "4096", dst: &q.WindowPacks, min: 1, max: 1_000_000, doc: "The same limit in packs."},
		{key: "timeout", def: "10s", dst: &q.Timeout, min: 100 * int64(time.Millisecond), max: 10 * minute, doc: "A cluster that does not answer for this long counts as down; while one is down, no pack is declared lost."},
	}
}

func tlsSchema(t *TLS) []entry {
	return []entry{
		{key: "enabled", def: "true", dst: &t.Enabled, doc: "false switches the section off."},
		{key: "ca_file", example: "/etc/inlong-bridge/ca.crt", dst: &t.CAFile, doc: "Certificates (PEM) that the server's certificate must be signed by, instead of the system's roots."},
		{key: "cert_file", example: "/etc/inlong-bridge/tls.crt", dst: &t.CertFile, doc: "Client certificate (PEM), with its key_file."},
		{key: "key_file", example: "/etc/inlong-bridge/tls.key", dst: &t.KeyFile, doc: "Key of the client certificate (PEM)."},
		{key: "server_name", example: "kafka.example.com", dst: &t.ServerName, doc: "Name to expect in the server's certificate, instead of the host in the address."},
		{key: "insecure_skip_verify", def: "false", dst: &t.Insecure, doc: "Accept any certificate. For tests only: anyone can pose as the server."},
	}
}

func saslSchema(s *SASL) []entry {
	return []entry{
		{key: "mechanism", required: true, example: "scram-sha-512", dst: &s.Mechanism, oneOf: []string{"plain", "scram-sha-256", "scram-sha-512", "oauthbearer"}, doc: "How to authenticate: plain, scram-sha-256, scram-sha-512 or oauthbearer."},
		{key: "username", example: "bridge", dst: &s.Username, doc: "For plain and scram."},
		{key: "password", example: "/run/secrets/kafka", dst: &s.Password, doc: "For plain and scram."},
		{key: "token", example: "/run/secrets/token", dst: &s.Token, doc: "For oauthbearer: a token that something else keeps fresh. The alternative is token_url."},
		{key: "token_url", example: "https://login.example.com/oauth2/token", dst: &s.TokenURL, valid: func() string { return tokenURLProblem(s.TokenURL) }, doc: "For oauthbearer: ask here for tokens (client credentials grant)."},
		{key: "client_id", example: "bridge", dst: &s.ClientID, doc: "With token_url."},
		{key: "client_secret", example: "/run/secrets/client", dst: &s.ClientSecret, doc: "With token_url."},
		{key: "scopes", example: "[kafka]", dst: &s.Scopes, doc: "With token_url."},
	}
}

// optional reports whether the entry's defaults apply only when its section is written.
func (e *entry) optional() bool { return e.present != nil }
