//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// kafka is a running Apache Kafka.
type kafka struct {
	*cluster
	release *release
	nodes   []*node
	secure  *authority

	settings map[string]any // of the brokers, beyond those of config
}

// node is one broker, controller too. It may be killed and started again.
type node struct {
	*process
	k          *kafka
	id         int
	plain      string // its listeners: this one without TLS, for the test and the other brokers,
	tls        string // this one for clients with a certificate,
	sasl       string // this one for clients with TLS and a password,
	oauth      string // and this one for clients with TLS and a token
	controller string
	properties string // file
}

// startKafka formats and starts n brokers in KRaft mode.
func (b *bench) startKafka(r *release, n int) *kafka {
	b.Helper()
	return b.startKafkaWith(r, n, nil)
}

// startKafkaWith is startKafka with more settings of the brokers.
func (b *bench) startKafkaWith(r *release, n int, settings map[string]any) *kafka {
	b.Helper()
	began := time.Now()
	k := &kafka{cluster: &cluster{b: b}, release: r, secure: b.newAuthority(), settings: settings}
	var voters []string
	for id := 1; id <= n; id++ {
		node := &node{k: k, id: id, plain: b.freeAddr(), tls: b.freeAddr(), sasl: b.freeAddr(), oauth: b.freeAddr(), controller: b.freeAddr()}
		k.nodes = append(k.nodes, node)
		k.brokers = append(k.brokers, node.plain)
		voters = append(voters, fmt.Sprintf("%d@%s", id, node.controller))
	}
	var uuid [16]byte
	_, _ = rand.Read(uuid[:]) // it never fails
	uuid[0] &= 0x3f           // an id must not begin with a dash
	clusterID := base64.RawURLEncoding.EncodeToString(uuid[:])
	format := make([]*process, n)
	data := b.TempDir()
	if logs := os.Getenv("E2E_KAFKA_LOGS"); logs != "" {
		var err error
		if data, err = os.MkdirTemp(logs, "kafka-"); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(data) })
	}
	for i, node := range k.nodes {
		node.properties = b.write(fmt.Sprintf("broker-%d.properties", node.id), node.config(voters, fmt.Sprintf("%s/%d", data, node.id)))
		format[i] = b.start(fmt.Sprintf("format-%d", node.id),
			r.java("kafka.tools.StorageTool", "format", "-t", clusterID, "-c", node.properties))
	}
	for _, p := range format {
		if code := p.wait(time.Minute); code != 0 {
			b.Fatalf("formatting: exit %d\n%s", code, p.tail())
		}
	}
	for _, node := range k.nodes {
		node.begin()
	}
	b.connect(k.cluster)
	b.eventually(4*time.Minute, k.up) // a busy machine starts several at a time
	b.Logf("%s with %d brokers is up after %v", r.name, n, time.Since(began).Round(time.Millisecond))
	return k
}

// up says which brokers are not there.
func (k *kafka) up() error {
	for _, n := range k.nodes {
		if n.ended() {
			k.b.Fatalf("broker %d ended with %d; its log ends with\n%s", n.id, n.code, n.tail())
		}
	}
	m, err := k.admin.BrokerMetadata(k.fresh())
	if err == nil && len(m.Brokers) < len(k.nodes) {
		err = fmt.Errorf("%d of %d brokers are there", len(m.Brokers), len(k.nodes))
	}
	return err
}

// fresh is a context with which metadata is asked for and not taken from what the client remembers.
func (k *kafka) fresh() context.Context { return kadm.WithAuthorizedOps(k.b.Context()) }

// begin starts the broker, also again after a kill. It runs as long as the test that started its Kafka, not only one of its subtests.
func (n *node) begin() {
	b := n.k.b
	b.Helper()
	n.process = b.start(fmt.Sprintf("broker-%d", n.id), n.k.release.java("kafka.Kafka", n.properties))
}

// on is k for a subtest.
func (k *kafka) on(b *bench) *kafka {
	other, c := *k, *k.cluster
	c.b = b
	other.cluster = &c
	return &other
}

// config is server.properties. Times are short, so that a killed broker is noticed and topics are compacted
// in a test's time.
func (n *node) config(voters []string, data string) string {
	replicas := min(3, len(n.k.nodes))
	isr := max(1, replicas-1)
	settings := map[string]any{
		"process.roles":                                     "broker,controller",
		"node.id":                                           n.id,
		"controller.quorum.voters":                          strings.Join(voters, ","),
		"controller.listener.names":                         "CONTROLLER",
		"inter.broker.listener.name":                        "PLAIN",
		"listeners":                                         fmt.Sprintf("PLAIN://%s,TLS://%s,SASL://%s,OAUTH://%s,CONTROLLER://%s", n.plain, n.tls, n.sasl, n.oauth, n.controller),
		"advertised.listeners":                              fmt.Sprintf("PLAIN://%s,TLS://%s,SASL://%s,OAUTH://%s", n.plain, n.tls, n.sasl, n.oauth),
		"listener.security.protocol.map":                    "PLAIN:PLAINTEXT,TLS:SSL,SASL:SASL_SSL,OAUTH:SASL_SSL,CONTROLLER:PLAINTEXT",
		"log.dirs":                                          data,
		"num.network.threads":                               2,
		"num.io.threads":                                    4,
		"auto.create.topics.enable":                         false,
		"default.replication.factor":                        replicas,
		"min.insync.replicas":                               isr,
		"offsets.topic.replication.factor":                  replicas,
		"offsets.topic.num.partitions":                      4,
		"transaction.state.log.replication.factor":          replicas,
		"transaction.state.log.min.isr":                     isr,
		"transaction.state.log.num.partitions":              4,
		"share.coordinator.state.topic.replication.factor":  replicas,
		"share.coordinator.state.topic.min.isr":             isr,
		"group.initial.rebalance.delay.ms":                  0,
		"group.min.session.timeout.ms":                      1000,
		"broker.heartbeat.interval.ms":                      500,
		"broker.session.timeout.ms":                         3000,
		"replica.lag.time.max.ms":                           5000,
		"log.cleaner.backoff.ms":                            200,
		"log.cleaner.dedupe.buffer.size":                    4 << 20,
		"log.initial.task.delay.ms":                         100,
		"log.retention.check.interval.ms":                   500,
		"ssl.keystore.type":                                 "PEM",
		"ssl.keystore.location":                             n.k.secure.server,
		"ssl.truststore.type":                               "PEM",
		"ssl.truststore.location":                           n.k.secure.ca,
		"listener.name.tls.ssl.client.auth":                 "required",
		"listener.name.sasl.ssl.client.auth":                "none",
		"listener.name.sasl.sasl.enabled.mechanisms":        "SCRAM-SHA-512",
		"listener.name.sasl.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.oauth.ssl.client.auth":               "none",
		"listener.name.oauth.sasl.enabled.mechanisms":       "OAUTHBEARER",
		"listener.name.oauth.oauthbearer.sasl.jaas.config":  `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
		// The test comes without a password, and a client with a certificate may do everything. Who comes with a
		// password needs a right for each thing.
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS;User:CN=bridge;User:" + tokenUser,
	}
	if !strings.HasPrefix(n.k.release.name, "kafka-4") {
		delete(settings, "share.coordinator.state.topic.replication.factor")
		delete(settings, "share.coordinator.state.topic.min.isr")
	}
	maps.Copy(settings, n.k.settings)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%v\n", key, settings[key])
	}
	return text.String()
}
