package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Notes returns sentences about settings that are allowed and may surprise, for the log at the start and for check.
func (c *Config) Notes() []string {
	notes := slices.Clone(c.notes)
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if c.HasQueue() && c.Delivery.Confirm != "queue" {
		say("delivery.confirm is %s although there is a queue section, so the queue is not read; confirm: queue is stronger", c.Delivery.Confirm)
	}
	if c.Delivery.Confirm == "ack" {
		say("delivery.confirm is ack: a proxy that dies loses the records that it holds in memory")
	}
	if c.Delivery.Confirm == "queue" && c.Delivery.Drain < 10*time.Second {
		say("delivery.drain is %s: packs take 0.5s to 5s to appear in the queue, so a stop may leave unfinished work (exit code 3), which is sent again", durationText(c.Delivery.Drain))
	}
	notes = append(notes, c.orderNotes()...)
	if c.HasManager() && c.InLong.CacheDir == "" {
		say("inlong.cache_dir is not set, so a start needs a Manager that answers")
	}
	notes = append(append(notes, c.overlaps()...), c.deadLetterNotes()...)
	if c.Routes != nil {
		for _, g := range c.Routes.Globs() {
			say("routes (line %d): rule %d: %q is a regular expression whose star repeats the %q before it; write .* to match any text", g.Line, g.Rule, g.Pattern, g.Repeats)
		}
		for _, t := range c.Routes.Targets() {
			if c.HasManager() && strings.Contains(t.Group, "/") {
				say("routes send records to group %q; a path of the Manager cannot hold a slash, so the Manager never lists proxies for this group; use a group without a slash", t.Group)
				break
			}
		}
	}
	exposed := func(s *SASL, t *TLS, at string) {
		if !t.Enabled && (s.Mechanism == "plain" || s.Mechanism == "oauthbearer") {
			say("%s.sasl is %s without TLS: the secret crosses the network in clear text", at, s.Mechanism)
		}
		if t.Insecure {
			say("%s.tls.insecure_skip_verify is on: anyone can pose as the server", at)
		}
	}
	exposed(&c.Kafka.SASL, &c.Kafka.TLS, "kafka")
	exposed(&SASL{}, &c.InLong.ManagerTLS, "inlong.manager")
	if c.InLong.ManagerSecretKey.Set() && slices.ContainsFunc(c.InLong.ManagerURLs, func(u string) bool { return strings.HasPrefix(u, "http://") }) {
		say("inlong.manager.secret_key crosses the network in clear text: a URL begins with http://")
	}
	exposed(&c.Queue.SASL, &c.Queue.TLS, "queue")
	for i := range c.Queue.Kafka {
		exposed(&c.Queue.Kafka[i].SASL, &c.Queue.Kafka[i].TLS, fmt.Sprintf("queue.kafka[%d]", i))
	}
	for i := range c.Queue.Pulsar {
		p := &c.Queue.Pulsar[i]
		exposed(&SASL{}, &p.TLS, fmt.Sprintf("queue.pulsar[%d]", i))
		if p.Token.Set() && !strings.HasPrefix(p.ServiceURL, "pulsar+ssl://") {
			say("queue.pulsar[%d].token crosses the network in clear text: service_url has no TLS", i)
		}
		if p.Token.Set() && strings.HasPrefix(p.AdminURL, "http://") {
			say("queue.pulsar[%d].token crosses the network in clear text: admin_url begins with http://", i)
		}
	}
	return notes
}
