//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/pulsarhandler"
)

// The program over Pulsar: proxies and the bridge are killed, and what lies in the topics is what InLong's own parser
// and DataProxy's readers expect.
func TestPulsarBridge(t *testing.T) {
	t.Parallel()
	r := need(t, "pulsar")
	b := newBench(t)
	node := b.startPulsar(r, "pulsar")
	t.Run("ProxiesKilled", func(t *testing.T) {
		b := newBench(t)
		topics := []string{"clicks", "views"}
		kafka := b.embedded(1)
		kafka.createTopics(4, 1, topics)
		to := b.outsideSink() // real proxies that were named from outside, with their Pulsar
		if to == nil || to.pulsar == nil {
			to = node.on(b).sink("proxies", topics)
			to.startProxies(b, 2, "--queue-delay", held.String())
		}
		if to.proxies[0].begin == nil {
			t.Skip("SKIPPED: E2E_DATAPROXY_CMD does not say how to start a DataProxy again, so none is killed")
		}
		v, allowed := b.killProxies(kafka, topics, to, "queue")
		b.complete("proxies killed", v, allowed)
	})
	t.Run("EverythingFromTheManager", func(t *testing.T) {
		b := newBench(t)
		topics := []string{"taps", "swipes"}
		kafka := b.embedded(1)
		kafka.createTopics(4, 1, topics)
		to := node.on(b).sink("managed", topics)
		to.startProxies(b, 2, "--queue-delay", held.String())
		to.announce(b, topics)
		v, allowed := b.killProxies(kafka, topics, to, "queue")
		b.complete("everything from the Manager", v, allowed)
	})
	t.Run("TopicsAreReadByInLong", func(t *testing.T) {
		readByInLongOnPulsar(newBench(t), node)
	})
}

// startPulsar starts one; more are further lines of its configuration.
func (b *bench) startPulsar(r *release, name string, more ...string) *pulsarNode {
	b.Helper()
	n := b.newPulsar(r, name)
	n.configure(more...)
	n.restart()
	n.setUp()
	return n
}

func readByInLongOnPulsar(b *bench, node *pulsarNode) {
	parser := need(b.T, "inlong")
	topics := []string{"texts", "blobs"}
	kafka := b.embedded(1)
	kafka.createTopics(2, 1, topics)
	to := node.on(b).sink("inlong", topics)
	to.startProxies(b, 1, "--queue-delay", "100ms")
	began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	want := make(map[string]int)
	var records []*kgo.Record
	for i := range 4000 {
		rec := &kgo.Record{Topic: topics[i%2], Timestamp: began.Add(time.Duration(i) * 50 * time.Millisecond), Value: fmt.Appendf(nil, `{"order":%d,"text":"größer & = %s"}`, i, strings.Repeat("x", i%200))}
		records = append(records, rec)
		want[key(rec.Topic, rec.Timestamp.Truncate(time.Minute).UnixMilli(), rec.Value)]++
	}
	if err := kafka.client.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
		b.Fatal(err)
	}
	const group = "inlong-pulsar"
	s := bridgeSettings(kafka, group, topics, to)
	bridge := b.startBridge("bridge", s)
	kafka.caughtUp(group, topics, drainLimit, bridge)
	b.proved(s)
	var values [][]byte
	if err := pulsarhandler.ReadAll(b.Context(), *to.pulsar, to.topics(topics), func(p pulsarhandler.Pack) error {
		values = append(values, p.Value)
		for _, name := range []string{"rt", "st", "srcIp", "dpIp"} {
			if p.Properties[name] == "" {
				b.Errorf("a message has the properties %v, want %s in them", p.Properties, name)
			}
		}
		if p.Properties["msgEnType"] != "2" || p.Properties["version"] != "2" || len(p.Properties) != 6 {
			b.Errorf("a message has the properties %v", p.Properties)
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	b.sameForInLong(parser, values, want)
}

// token is a JWT for a role, signed with secret.
func token(secret []byte, role string, lasts time.Duration) string {
	part := func(v any) string {
		text, _ := json.Marshal(v) // maps of strings and numbers
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]string{"alg": "HS256"}) + "." + part(map[string]any{"sub": role, "exp": time.Now().Add(lasts).Unix()})
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// TLS, tokens and the least rights: what the bridge says when something is missing, and that it goes on, without a
// restart, once the file with the token holds a good one.
func TestPulsarRights(t *testing.T) {
	t.Parallel()
	r := need(t, "pulsar")
	b := newBench(t)
	secret := make([]byte, 32)
	copy(secret, "a key of a test, 32 bytes long..")
	authority := b.newAuthority()
	node := b.newPulsar(r, "pulsar")
	node.token = token(secret, "root", time.Hour)
	secure := b.freeAddr()
	server, err := os.ReadFile(authority.server)
	if err != nil {
		t.Fatal(err)
	}
	keyEnd := strings.Index(string(server), "-----BEGIN CERTIFICATE")
	node.configure(
		"authenticationEnabled=true", "authorizationEnabled=true", "superUserRoles=root",
		"authenticationProviders=org.apache.pulsar.broker.authentication.AuthenticationProviderToken",
		"tokenSecretKey=data:;base64,"+base64.StdEncoding.EncodeToString(secret),
		"brokerClientAuthenticationPlugin=org.apache.pulsar.client.impl.auth.AuthenticationToken",
		"brokerClientAuthenticationParameters=token:"+node.token,
		"brokerServicePortTls="+port(secure),
		"tlsCertificateFilePath="+b.write("server.crt", string(server[keyEnd:])), "tlsKeyFilePath="+b.write("server.key", string(server[:keyEnd])),
	)
	node.restart()
	node.setUp()
	topics := []string{"rights"}
	kafka := b.embedded(1)
	kafka.createTopics(2, 1, topics)
	to := node.sink("rights", topics)
	to.startProxies(b, 1, "--queue-delay", "100ms", "--queue-token-file", b.write("root.token", node.token))
	l := newLedger()
	l.produce(kafka, 1000, topics...)

	file := b.write("bridge.token", token(secret, "bridge", -time.Hour))
	s := bridgeSettings(kafka, "rights", topics, to)
	s.set("queue.pulsar", []any{map[string]any{
		"service_url": "pulsar+ssl://" + secure, "tenant": pulsarTenant, "namespace": "rights", "topic": "{group}.{stream}",
		"token_file": file, "tls": map[string]any{"ca_file": authority.ca},
	}})
	admin := b.freeAddr()
	s.set("admin.listen", admin)
	bridge := b.startBridge("bridge", s)
	// says wants words in what the status has to say now.
	says := func(what string, words ...string) {
		b.eventually(drainLimit, func() error {
			text, _, err := b.get("http://" + admin + "/status")
			if err != nil {
				return err
			}
			for _, w := range words {
				if !strings.Contains(text, w) {
					return fmt.Errorf("%s: the status does not speak of %q; the log ends with\n%s", what, w, bridge.tail())
				}
			}
			return nil
		})
	}
	says("an expired token", "token_file", "hint")
	b.write("bridge.token", token(secret, "bridge", time.Hour))
	says("no right to consume", "grant-permission "+pulsarTenant+"/rights")
	node.must(http.MethodPost, "namespaces/"+pulsarTenant+"/rights/permissions/bridge", `["consume"]`)
	kafka.caughtUp("rights", topics, drainLimit, bridge)
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d; the log ends with\n%s", code, bridge.tail())
	}
	to.pulsar.Token = func() (string, error) { return node.token, nil }
	b.complete("with a token over TLS", l.judge(to.inQueue(topics)), 0)

	t.Run("an authority that did not sign", func(t *testing.T) {
		s := bridgeSettings(kafka, "rights-2", topics, to)
		s.set("queue.pulsar", []any{map[string]any{
			"service_url": "pulsar+ssl://" + secure, "tenant": pulsarTenant, "namespace": "rights", "topic": "{group}.{stream}",
			"token_file": file, "tls": map[string]any{"ca_file": authority.other},
		}})
		s.set("admin.listen", admin)
		bridge = b.on(t).startBridge("bridge-2", s)
		says("the wrong ca_file", "has not answered for", "certificate")
	})
	t.Run("a namespace that does not exist", func(t *testing.T) {
		s := bridgeSettings(kafka, "rights-3", topics, to)
		s.set("queue.pulsar", []any{map[string]any{
			"service_url": "pulsar+ssl://" + secure, "admin_url": "http://" + node.web, "tenant": pulsarTenant, "namespace": "none", "topic": "{group}.{stream}",
			"token_file": b.path("root.token"), "tls": map[string]any{"ca_file": authority.ca},
		}})
		s.set("admin.listen", admin)
		bridge = b.on(t).startBridge("bridge-3", s)
		says("the namespace", "no namespace "+pulsarTenant+"/none")
	})
}
