//go:build e2e

package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// through is c as the bridge reaches it by other listeners.
func (c *cluster) through(addr string, config map[string]any) *cluster {
	other := *c
	other.brokers, other.config = []string{addr}, config
	return &other
}

// A bridge that shows a certificate, to the source and to the queue.
func withCertificate(b *bench, k *kafka) {
	const group = "certificate"
	topics := []string{"certificate"}
	k.createTopics(2, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	files := map[string]any{"ca_file": k.secure.ca, "cert_file": k.secure.clientCert, "key_file": k.secure.clientKey}
	source := k.through(k.nodes[0].tls, map[string]any{"tls": files})
	to.queue = source
	l := newLedger()
	l.produce(k.cluster, 1000, topics...)
	bridge := b.startBridge("bridge", bridgeSettings(source, group, topics, to))
	k.caughtUp(group, topics, drainLimit, bridge)
	b.complete("with a certificate", l.judge(to.inQueue(topics)), 0)

	for _, tc := range []struct {
		name  string
		files map[string]any
		want  string
	}{
		{"an authority that did not sign the broker's certificate", map[string]any{"ca_file": k.secure.other, "cert_file": k.secure.clientCert, "key_file": k.secure.clientKey}, "ca_file"},
		{"no certificate", map[string]any{"ca_file": k.secure.ca}, "cert_file"},
	} {
		source := k.through(k.nodes[0].tls, map[string]any{"tls": tc.files})
		b.Run(tc.name, func(t *testing.T) {
			endsOrRetries(t, b.on(t).startBridge("bad-"+strings.ReplaceAll(tc.name, " ", "-"), bridgeSettings(source, group, topics, to)), tc.want)
		})
	}
}

// A user with a password and the rights that the bridge needs, and no others; and what it says when one of
// them is missing.
func leastRights(b *bench, k *kafka) {
	const (
		group = "rights"
		user  = "bridge"
	)
	topics := []string{"rights"}
	k.createTopics(2, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	source := k.through(k.nodes[0].sasl, k.login(user))
	to.queue = source
	s := bridgeSettings(source, group, topics, to).set("delivery.drain", "3s")

	// What the bridge needs: to read the source's topics, the queue's topics, and its group.
	rights := []struct {
		name string
		acl  func() *kadm.ACLBuilder
		want string // in the message when it is missing
	}{
		{"the source's topics", func() *kadm.ACLBuilder { return kadm.NewACLs().Topics(topics...) }, topics[0]},
		{"the queue's topics", func() *kadm.ACLBuilder { return kadm.NewACLs().Topics(to.topics(topics)...) }, to.topics(topics)[0]},
		{"the group", func() *kadm.ACLBuilder { return kadm.NewACLs().Groups(group) }, "GROUP_AUTHORIZATION_FAILED"},
	}
	l := newLedger()
	l.produce(k.cluster, 1000, topics...)
	for _, r := range rights {
		k.allow(user, r.acl())
	}
	for _, r := range rights {
		b.Run("without the right to read "+r.name, func(t *testing.T) {
			k.forbid(user, r.acl())
			b := b.on(t)
			endsOrRetries(t, b.startBridge("no-right-"+strings.ReplaceAll(r.name, " ", "-"), s), r.want)
			k.allow(user, r.acl())
		})
	}
	bridge := b.startBridge("bridge", s)
	k.caughtUp(group, topics, drainLimit, bridge)
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, bridge.tail())
	}
	b.complete("with the least rights", l.judge(to.inQueue(topics)), 0)

	b.Run("wrong password", func(t *testing.T) {
		s := bridgeSettings(k.through(k.nodes[0].sasl, k.scram(user, "wrong")), group, topics, to)
		endsOrRetries(t, b.on(t).startBridge("wrong-password", s), "password")
	})
}
