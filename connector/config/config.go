package config

import (
	"time"

	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/startfile"
	"inlong-bridge/mapping"
)

// TLS of one connection. Enabled by the section's presence, unless enabled: false.
type TLS struct {
	Enabled    bool
	CAFile     string // PEM; instead of the roots of the system
	CertFile   string // PEM, of the client
	KeyFile    string // PEM, of the client
	ServerName string // "" for the host of the address
	Insecure   bool   // the server's certificate is not checked
}

// SASL of one Kafka connection.
type SASL struct {
	Mechanism string // plain, scram-sha-256, scram-sha-512, oauthbearer; "" for none
	Username  string
	Password  Secret // password / password_file
	Token     Secret // token / token_file, for oauthbearer: read again at each authentication
	// OAUTHBEARER by client credentials
	TokenURL     string
	ClientID     string
	ClientSecret Secret
	Scopes       []string
}

// Kafka is the source.
type Kafka struct {
	Brokers          []string
	Group            string
	InstanceID       string // static membership; "" for none
	ClientID         string
	Rack             string
	TLS              TLS
	SASL             SASL
	Start            string          // earliest, latest, timestamp, committed, file
	StartTime        time.Time       // set when Start is timestamp (start: 2026-01-02T15:04:05Z)
	StartFile        string          // given when Start is file
	StartOffsets     *startfile.File // what StartFile holds; nil unless Start is file
	Isolation        string          // read_uncommitted, read_committed
	Balancer         string          // cooperative-sticky, sticky, range, roundrobin
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	CommitTimeout    time.Duration
	CommitInterval   time.Duration
	MetadataMaxAge   time.Duration
	StartTimeout     time.Duration // a start waits this long for Kafka and for a topic; 0 for ever
}

// InLong is the destination.
type InLong struct {
	ClusterName, ClusterTag string
	ManagerURLs             []string
	ManagerSecretID         string
	ManagerSecretKey        Secret
	ManagerTenant           string // "" sends none, and the Manager assumes public
	ManagerTLS              TLS
	ManagerTimeout          time.Duration
	Refresh                 time.Duration
	CacheDir                string
	Proxies                 []string // instead of a Manager
	Connections             int      // per proxy
	MaxFrame                Bytes    // largest frame the proxies accept (max-msg-length)
	MaxStreams              int      // streams that are known at a time
}

// Delivery says when a record counts as delivered.
type Delivery struct {
	Confirm       string // ack, settle, queue
	ConfirmGiven  bool   // false when it follows from the presence of a queue section
	Settle        time.Duration
	AckTimeout    time.Duration
	DialTimeout   time.Duration
	WriteTimeout  time.Duration
	ProxyRate     Bytes // per second, 0 for none; auto: see Limits.ProxyRate
	RevokeWait    time.Duration
	Drain         time.Duration
	MaxUnfinal    int
	OnGap         string // stop, continue
	Order         string // none, partition, key
	Lineage       bool   // packs say where their records come from
	RetryMin      time.Duration
	RetryMax      time.Duration
	HeartbeatIdle time.Duration
	Watchdog      time.Duration // 0 for none
}

// QueueCluster is one Kafka cluster behind the proxies.
type QueueCluster struct {
	Name    string
	Brokers []string
	Topic   string // template over {group} and {stream}
	TLS     TLS
	SASL    SASL
}

// PulsarCluster is one Pulsar cluster behind the proxies.
type PulsarCluster struct {
	Name       string
	ServiceURL string
	AdminURL   string // "" for none
	Tenant     string
	Namespace  string // template over {group} and {stream}
	Topic      string // template over {group} and {stream}
	TLS        TLS
	Token      Secret // token / token_file: read again at each connection
}

// Queue is the queue behind the proxies.
type Queue struct {
	Kafka       []QueueCluster
	Pulsar      []PulsarCluster
	Manager     bool   // the Manager names the clusters and topics, instead of Kafka and Pulsar
	TLS         TLS    // with Manager: of all clusters
	SASL        SASL   // with Manager: of all clusters of Kafka
	Token       Secret // with Manager: of all clusters of Pulsar
	LossGrace   time.Duration
	Patience    time.Duration
	WindowBytes Bytes
	WindowPacks int
	Timeout     time.Duration // a cluster that does not answer for this long counts as down
}

// DeadLetter is where records go that cannot be delivered, if a rule says so.
type DeadLetter struct {
	Topic string // in the source's Kafka; "" without the section
	Limit int    // a partition stops above so many in a minute that are also above 1 % of its records; 0 for none
}

// Pack says when a pack is closed.
type Pack struct {
	Bytes       Bytes
	Count       int
	Linger      time.Duration
	Compression string // auto, snappy, none
}

// Memory bounds the process.
type Memory struct {
	Budget     Bytes // fetch to ack; auto = from the container limit
	FetchBytes Bytes // share of the budget for fetches; auto
}

// Metrics says how fine the metrics are.
type Metrics struct {
	Granularity string // auto, partition, topic
}

// Admin is the HTTP server.
type Admin struct {
	Listen string // "" for none
	Pprof  bool
}

// Log is where and how to log.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// Config is a whole bridge.yaml after defaults.
type Config struct {
	Kafka      Kafka
	InLong     InLong
	Routes     *mapping.Table
	DeadLetter DeadLetter
	Delivery   Delivery
	Queue      Queue
	Pack       Pack
	Memory     Memory
	Admin      Admin
	Metrics    Metrics
	Log        Log
	Path       string // of the file, for messages

	hasManager     bool
	hasDeadLetters bool       // the section is there
	notes          []string   // about values of the file, with their lines
	routes         *yaml.Node // as written, after expansion; for Print
}

// HasQueue reports whether the file has a queue section.
func (c *Config) HasQueue() bool {
	return len(c.Queue.Kafka) > 0 || len(c.Queue.Pulsar) > 0 || c.Queue.Manager
}

// HasManager reports whether a Manager names the proxies; otherwise InLong.Proxies does.
func (c *Config) HasManager() bool { return c.hasManager }
