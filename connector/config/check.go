package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
)

func (d *decoder) routes(n *yaml.Node, path string, c *Config) {
	if anyReported(n) {
		return
	}
	table, problems := mapping.Parse(n)
	for _, p := range problems {
		line := p.Line
		if line == 0 {
			line = d.lines[path]
		}
		d.wrong(line, path, strings.TrimPrefix(p.Message, "routes: "))
	}
	c.Routes, c.routes, d.rules = table, n, mapping.OutlineOf(n)
	d.packAttrs(path, d.rules.Attrs)
}

func anyReported(n *yaml.Node) bool {
	return n.Tag == reported || slices.ContainsFunc(n.Content, anyReported)
}

// check looks at combinations of keys. It skips a combination with a key that was already reported.
func (d *decoder) check(c *Config) {
	d.checkKafka(c)
	d.checkInLong(c)
	d.checkDelivery(c)
	d.checkQueue(c)
	d.checkDeadLetter(c)
	d.checkOwnOutput(c)
	d.checkMemory(c)
}

// combined reports message at the first of keys that is in the file, unless one of them was reported before. At
// least one is in the file, because the defaults fit together; a test makes sure of that.
func (d *decoder) combined(message string, keys ...string) {
	at, line := keys[0], 0
	for _, k := range slices.Backward(keys) {
		if d.dead[k] {
			return
		}
		if l := d.lines[k]; l > 0 {
			at, line = k, l
		}
	}
	d.wrong(line, at, message)
}

func (d *decoder) checkKafka(c *Config) {
	k := &c.Kafka
	if need := c.Delivery.RevokeWait + k.CommitTimeout; k.RebalanceTimeout <= need {
		d.combined(fmt.Sprintf("%s is not above delivery.revoke_wait %s + kafka.commit_timeout %s; make it longer than %s",
			durationText(k.RebalanceTimeout), durationText(c.Delivery.RevokeWait), durationText(k.CommitTimeout), durationText(need)),
			"kafka.rebalance_timeout", "delivery.revoke_wait", "kafka.commit_timeout")
	}
	d.checkStart(c)
	d.checkTLS(&k.TLS, "kafka.tls")
	d.checkSASL(&k.SASL, "kafka.sasl")
}

func (d *decoder) checkInLong(c *Config) {
	in := &c.InLong
	_, manager := d.lines["inlong.manager"]
	_, proxies := d.lines["inlong.proxies"]
	_, section := d.lines["inlong"]
	switch {
	case manager && proxies:
		d.combined("given together with inlong.manager; keep one: the Manager names the proxies, or you do", "inlong.proxies")
	case section && !manager && !proxies && !d.dead["inlong"]:
		d.combined("names no proxies; add manager: {urls: [http://manager:8083]} or proxies: [dataproxy-1:46801]", "inlong")
	}
	if id, key := in.ManagerSecretID != "", in.ManagerSecretKey.Set(); id != key && !d.dead["inlong.manager.secret_id"] &&
		!d.dead["inlong.manager.secret_key"] && !d.dead["inlong.manager.secret_key_file"] {
		if id {
			d.combined("given without secret_key; add secret_key_file", "inlong.manager.secret_id")
		} else {
			d.wrong(max(d.lines["inlong.manager.secret_key"], d.lines["inlong.manager.secret_key_file"]),
				"inlong.manager.secret_key", "given without secret_id; add the user that the key belongs to")
		}
	}
	d.checkTLS(&in.ManagerTLS, "inlong.manager.tls")
	if in.ManagerTLS.Enabled && !slices.ContainsFunc(in.ManagerURLs, func(u string) bool { return strings.HasPrefix(u, "https://") }) {
		d.combined("given, but no URL of the Manager begins with https://; write https:// URLs, or remove the section",
			"inlong.manager.tls", "inlong.manager.urls")
	}
}

func (d *decoder) checkDelivery(c *Config) {
	v := &c.Delivery
	switch {
	case d.dead["delivery.confirm"]:
	case v.Confirm == "queue" && d.lines["queue"] == 0:
		d.combined("queue needs a queue section that says how to read the queue behind the proxies; add queue: {kafka: [{brokers: [mq-1:9092]}]}, or write settle", "delivery.confirm")
	case v.Confirm == "settle":
		if need := v.Settle + v.AckTimeout; v.Drain <= need {
			d.combined(fmt.Sprintf("%s is not above settle %s + ack_timeout %s, so a stop could not wait for the last packs; make it longer than %s",
				durationText(v.Drain), durationText(v.Settle), durationText(v.AckTimeout), durationText(need)),
				"delivery.drain", "delivery.settle", "delivery.ack_timeout")
		}
	}
	if v.RetryMin > v.RetryMax {
		d.combined(fmt.Sprintf("%s is above retry_max %s; make it the smaller one", durationText(v.RetryMin), durationText(v.RetryMax)),
			"delivery.retry_min", "delivery.retry_max")
	}
	if c.Pack.Linger >= v.AckTimeout {
		d.combined(fmt.Sprintf("%s is not below delivery.ack_timeout %s; a linger is milliseconds, such as 20ms", durationText(c.Pack.Linger), durationText(v.AckTimeout)),
			"pack.linger", "delivery.ack_timeout")
	}
	if need := c.Pack.Bytes.N + Overhead; need > c.InLong.MaxFrame.N {
		d.combined(fmt.Sprintf("%s and %s for the rest of the frame do not fit into inlong.max_frame %s; write at most %s",
			c.Pack.Bytes, Bytes{N: Overhead}, c.InLong.MaxFrame, Bytes{N: c.InLong.MaxFrame.N - Overhead}),
			"pack.bytes", "inlong.max_frame")
	}
	if v.ProxyRate.N > 0 && v.ProxyRate.N < c.InLong.MaxFrame.N {
		d.combined(fmt.Sprintf("%s per second is less than one frame (inlong.max_frame %s); write %s or more, or 0 for no limit",
			v.ProxyRate, c.InLong.MaxFrame, c.InLong.MaxFrame), "delivery.proxy_rate", "inlong.max_frame")
	}
}

func (d *decoder) checkQueue(c *Config) {
	q := &c.Queue
	if c.HasQueue() && q.WindowBytes.N < 2*c.InLong.MaxFrame.N {
		d.combined(fmt.Sprintf("%s does not hold two frames of inlong.max_frame %s; write at least %s",
			q.WindowBytes, c.InLong.MaxFrame, Bytes{N: 2 * c.InLong.MaxFrame.N}), "queue.window_bytes", "inlong.max_frame")
	}
	d.checkQueueSource(c)
	d.checkPulsar(c)
	names, places := map[string]bool{}, map[string]int{}
	for i := range q.Kafka {
		k := &q.Kafka[i]
		at := fmt.Sprintf("queue.kafka[%d]", i)
		d.checkTLS(&k.TLS, at+".tls")
		d.checkSASL(&k.SASL, at+".sasl")
		again := false
		for _, b := range k.Brokers {
			if first, ok := places[b]; ok && first != i && !again {
				again = true
				d.combined(fmt.Sprintf("%s is a broker of queue.kafka[%d] too; give each cluster one entry", b, first), at+".brokers")
			}
			places[b] = i
		}
		if names[k.Name] && !again {
			d.combined(fmt.Sprintf("%q is the name of another cluster too; give each its own", k.Name), at+".name", at)
		}
		names[k.Name] = true
	}
}

// checkPulsar looks at the clusters of Pulsar.
func (d *decoder) checkPulsar(c *Config) {
	names, places := map[string]bool{}, map[string]int{}
	for i := range c.Queue.Pulsar {
		p := &c.Queue.Pulsar[i]
		at := fmt.Sprintf("queue.pulsar[%d]", i)
		d.checkTLS(&p.TLS, at+".tls")
		if p.TLS.Enabled && strings.HasPrefix(p.ServiceURL, "pulsar://") {
			d.combined("enabled, but service_url begins with pulsar://; write pulsar+ssl:// and the port for TLS, or remove the section", at+".tls", at+".service_url")
		}
		if first, ok := places[p.ServiceURL]; ok && p.ServiceURL != "" {
			d.combined(fmt.Sprintf("%s is that of queue.pulsar[%d] too; give each cluster one entry", p.ServiceURL, first), at+".service_url")
		} else if names[p.Name] {
			d.combined(fmt.Sprintf("%q is the name of another cluster too; give each its own", p.Name), at+".name", at)
		}
		places[p.ServiceURL], names[p.Name] = i, true
	}
}

// ErrNoPulsar says that this program was built with the tag nopulsar.
var ErrNoPulsar = errors.New("this inlong-bridge was built without Pulsar (build tag nopulsar)")

// checkQueueSource looks at where the clusters of the queue come from: the file or the Manager.
func (d *decoder) checkQueueSource(c *Config) {
	q := &c.Queue
	listed := d.lines["queue.kafka"] > 0 || d.lines["queue.pulsar"] > 0
	other := d.dead["queue.pulsar"] || d.dead["queue.tubemq"] || d.dead["queue.tube"] || d.dead["queue.tdmq"]
	if d.lines["queue.pulsar"] > 0 && !HasPulsar {
		d.combined("cannot be read: "+ErrNoPulsar.Error()+"; hint: use the standard build, or delivery.confirm: settle without a queue section", "queue.pulsar")
	}
	switch {
	case d.lines["queue"] == 0 || d.dead["queue"] || d.dead["queue.kafka"] || d.dead["queue.manager"] || other:
	case d.lines["queue.kafka"] > 0 && d.lines["queue.pulsar"] > 0:
		d.combined("given together with queue.kafka, but DataProxy writes to clusters of one kind; keep that kind, or use delivery.confirm: settle without a queue section", "queue.pulsar")
	case !q.Manager && !listed:
		d.wrong(d.lines["queue"], "queue.kafka", "missing; add it, such as kafka: [{brokers: [mq-1:9092]}] or pulsar: [{service_url: 'pulsar://mq-1:6650'}], or manager: true to ask the Manager for the clusters")
	case q.Manager && listed:
		d.combined("true together with queue.kafka or queue.pulsar; keep one: the Manager names the clusters, or you do", "queue.manager")
	case q.Manager && !c.HasManager():
		d.combined("true without inlong.manager; say where the Manager is, or list the clusters in queue.kafka or queue.pulsar", "queue.manager")
	case q.Manager && (c.InLong.ClusterName == "" || c.InLong.ClusterTag == ""):
		d.combined("true without the name of the cluster of proxies; add inlong.cluster: {name: ..., tag: ...}", "queue.manager")
	}
	for _, key := range []string{"queue.tls", "queue.sasl", "queue.token"} {
		if d.lines[key] > 0 && !q.Manager && !d.dead[key] && !d.dead["queue.manager"] {
			d.combined("applies only with manager: true; put it into the entry of queue.kafka or queue.pulsar", key)
		}
	}
	d.checkTLS(&q.TLS, "queue.tls")
	d.checkSASL(&q.SASL, "queue.sasl")
}

func (d *decoder) checkMemory(c *Config) {
	m := &c.Memory
	if m.Budget.Auto {
		return // its size depends on the machine; Limits keeps the shares within it
	}
	if !m.FetchBytes.Auto && m.FetchBytes.N > m.Budget.N/4*3 {
		d.combined(fmt.Sprintf("%s is more than three quarters of memory.budget %s; packs need room too: write at most %s, or auto",
			m.FetchBytes, m.Budget, Bytes{N: m.Budget.N / 4 * 3}), "memory.fetch_bytes", "memory.budget")
	}
	if need := 16 * c.InLong.MaxFrame.N; m.Budget.N < need {
		d.combined(fmt.Sprintf("%s is less than 16 frames of inlong.max_frame %s; write at least %s, or auto",
			m.Budget, c.InLong.MaxFrame, Bytes{N: need}), "memory.budget", "inlong.max_frame")
	}
}

func (d *decoder) checkTLS(t *TLS, at string) {
	if !t.Enabled {
		return
	}
	if t.CAFile != "" {
		if certs, err := readCertificates(t.CAFile); err != nil {
			d.combined(fileProblem(err), at+".ca_file")
		} else {
			d.noteCertificates(certs, certs.parsed, at+".ca_file")
		}
	}
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		d.combined("given without key_file; add the key of the certificate", at+".cert_file")
	case t.KeyFile != "" && t.CertFile == "":
		d.combined("given without cert_file; add the certificate of the key", at+".key_file")
	case t.CertFile != "":
		certs, err := readCertificates(t.CertFile)
		if err != nil {
			d.combined(fileProblem(err), at+".cert_file")
		}
		key, keyErr := readKey(t.KeyFile)
		if keyErr != nil {
			d.combined(fileProblem(keyErr), at+".key_file")
		}
		if err != nil || keyErr != nil {
			break
		}
		if _, err := pair(*t, certs, key); err != nil {
			d.combined(err.Error(), at+".cert_file")
		} else {
			d.noteCertificates(certs, certs.parsed[:1], at+".cert_file")
		}
	}
	if t.Insecure && t.CAFile != "" {
		d.combined("true makes ca_file useless; remove one of them", at+".insecure_skip_verify")
	}
}

// noteCertificates adds a note when none of the certificates that count is valid today. That is no mistake in the
// configuration: the files are read again, and an expired certificate may be replaced while the bridge waits.
func (d *decoder) noteCertificates(all *certificates, count []*x509.Certificate, key string) {
	if all.left > 0 {
		d.note(d.lines[key], key, fmt.Sprintf("%d of %d certificates cannot be read and are left out: %v", all.left, all.left+len(all.parsed), all.why))
	}
	now, problem := time.Now(), ""
	for _, c := range count {
		if problem = dateProblem(c, now); problem == "" {
			return
		}
	}
	d.note(d.lines[key], key, problem)
}

func (d *decoder) checkSASL(s *SASL, at string) {
	if d.lines[at] == 0 || s.Mechanism == "" {
		return
	}
	given := func(key string) bool { return d.lines[at+"."+key] > 0 || d.lines[at+"."+key+"_file"] > 0 }
	missing := func(key, hint string) {
		if !given(key) {
			d.wrong(d.lines[at], at+"."+key, fmt.Sprintf("missing; %s needs it: %s", s.Mechanism, hint))
		}
	}
	stray := func(keys ...string) {
		for _, key := range keys {
			if line := max(d.lines[at+"."+key], d.lines[at+"."+key+"_file"]); line > 0 {
				d.wrong(line, at+"."+key, "does not apply to mechanism "+s.Mechanism+"; remove it")
			}
		}
	}
	if s.Mechanism != "oauthbearer" {
		missing("username", "add username")
		missing("password", "add password_file, or password: ${PASSWORD}")
		stray("token", "token_url", "client_id", "client_secret", "scopes")
		return
	}
	stray("username", "password")
	switch {
	case given("token"):
		if given("token_url") {
			d.combined("given together with a token; keep one of them", at+".token_url")
		}
	case given("token_url"):
		missing("client_id", "add client_id")
		missing("client_secret", "add client_secret_file")
	default:
		d.wrong(d.lines[at], at, "names no source of the token; add token_file, or token_url with client_id and client_secret_file")
	}
}
