// Package config is bridge.yaml: its keys, defaults, checks and the ceilings that follow from them.
package config

import (
	"time"

	"inlong-bridge/mapping"
)

// Secret prints as *** everywhere. Value reads the *_file again when it has changed.
type Secret struct{ value, file string }

func (s Secret) Set() bool              { return s.value != "" || s.file != "" }
func (s Secret) Value() (string, error) { return s.value, nil }
func (s Secret) String() string         { return "***" }

// Bytes is a size such as 256KiB; Auto is set for "auto".
type Bytes struct {
	N    int64
	Auto bool
}

// TLS of one connection. Enabled by the section's presence, unless enabled: false.
type TLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
	Insecure   bool   `yaml:"insecure_skip_verify"`
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
	InstanceID       string // static membership
	ClientID         string
	Rack             string
	TLS              TLS
	SASL             SASL
	Start            string    // earliest, latest, timestamp
	StartTime        time.Time // start: 2026-01-02T15:04:05Z
	Isolation        string    // read_uncommitted, read_committed
	Balancer         string    // cooperative-sticky, sticky, range, roundrobin
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	CommitTimeout    time.Duration
	CommitInterval   time.Duration
	MetadataMaxAge   time.Duration
}

// InLong is the destination.
type InLong struct {
	ClusterName, ClusterTag string
	ManagerURLs             []string
	ManagerSecretID         string
	ManagerSecretKey        Secret
	ManagerTLS              TLS
	ManagerTimeout          time.Duration
	Refresh                 time.Duration
	CacheDir                string
	Proxies                 []string // instead of a Manager
	Connections             int      // per proxy
	MaxFrame                Bytes    // largest frame the proxies accept (max-msg-length)
}

// Delivery says when a record counts as delivered.
type Delivery struct {
	Confirm       string // ack, settle, queue
	ConfirmGiven  bool   // false when it follows from the presence of a queue section
	Settle        time.Duration
	AckTimeout    time.Duration
	DialTimeout   time.Duration
	WriteTimeout  time.Duration
	ProxyRate     Bytes // per second, 0 for none
	RevokeWait    time.Duration
	Drain         time.Duration
	MaxUnfinal    int
	OnGap         string // stop, continue
	RetryMin      time.Duration
	RetryMax      time.Duration
	HeartbeatIdle time.Duration
}

// QueueCluster is one Kafka cluster behind the proxies.
type QueueCluster struct {
	Name    string
	Brokers []string
	Topic   string // template over {group} and {stream}
	TLS     TLS
	SASL    SASL
}

// Queue is the queue behind the proxies.
type Queue struct {
	Kafka       []QueueCluster
	LossGrace   time.Duration
	Patience    time.Duration
	WindowBytes Bytes
	WindowPacks int
	Timeout     time.Duration // a cluster that does not answer this long does not answer
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
	Kafka    Kafka
	InLong   InLong
	Routes   *mapping.Table
	Delivery Delivery
	Queue    Queue
	Pack     Pack
	Memory   Memory
	Admin    Admin
	Log      Log
	Path     string // of the file, for messages
}

// HasQueue reports whether the file has a queue section.
func (c *Config) HasQueue() bool { return len(c.Queue.Kafka) > 0 }
