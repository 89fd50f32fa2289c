//go:build e2e

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

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
	made, err := k.admin.AlterUserSCRAMs(b.Context(), nil, []kadm.UpsertSCRAM{{
		User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "secret",
	}})
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		b.Fatalf("making a user: %v", err)
	}
	login := func(password string) map[string]any {
		return map[string]any{
			"tls":  map[string]any{"ca_file": k.secure.ca},
			"sasl": map[string]any{"mechanism": "scram-sha-512", "username": user, "password": password},
		}
	}
	source := k.through(k.nodes[0].sasl, login("secret"))
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
		{"the group", func() *kadm.ACLBuilder { return kadm.NewACLs().Groups(group) }, group},
	}
	l := newLedger()
	l.produce(k.cluster, 1000, topics...)
	allow := func(i int) {
		acl := rights[i].acl().ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpRead).Allow("User:" + user).AllowHosts("*")
		made, err := k.admin.CreateACLs(b.Context(), acl)
		if err == nil && made[0].Err != nil {
			err = made[0].Err
		}
		if err != nil {
			b.Fatalf("giving the right to read %s: %v", rights[i].name, err)
		}
	}
	forbid := func(i int) {
		acl := rights[i].acl().ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(kadm.OpRead).Allow("User:" + user).AllowHosts("*")
		if _, err := k.admin.DeleteACLs(b.Context(), acl); err != nil {
			b.Fatalf("taking the right to read %s: %v", rights[i].name, err)
		}
	}
	for i := range rights {
		allow(i)
	}
	for i, r := range rights {
		b.Run("without the right to read "+r.name, func(t *testing.T) {
			forbid(i)
			b.pause(time.Second) // the broker's view follows
			b := b.on(t)
			endsOrRetries(t, b.startBridge("no-right-"+strings.ReplaceAll(r.name, " ", "-"), s), r.want)
			allow(i)
		})
	}
	b.pause(time.Second)
	bridge := b.startBridge("bridge", s)
	k.caughtUp(group, topics, drainLimit, bridge)
	bridge.signal(syscall.SIGTERM)
	if code := bridge.wait(drainLimit); code != 0 {
		b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, bridge.tail())
	}
	b.complete("with the least rights", l.judge(to.inQueue(topics)), 0)

	b.Run("wrong password", func(t *testing.T) {
		s := bridgeSettings(k.through(k.nodes[0].sasl, login("wrong")), group, topics, to)
		endsOrRetries(t, b.on(t).startBridge("wrong-password", s), "password")
	})
}
