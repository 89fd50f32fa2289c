package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
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
	c.Routes, c.routes = table, n
}

func anyReported(n *yaml.Node) bool {
	return n.Tag == reported || slices.ContainsFunc(n.Content, anyReported)
}

// check looks at combinations of keys. A combination with a key that was reported already is left alone.
func (d *decoder) check(c *Config) {
	d.checkKafka(c)
	d.checkInLong(c)
	d.checkDelivery(c)
	d.checkQueue(c)
	d.checkMemory(c)
}

// combined reports message at the first of keys that stands in the file; none may be dead. One of them
// always stands there when the defaults fit together, which a test makes sure of.
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
		d.combined("given beside inlong.manager; keep one: the Manager names the proxies, or you do", "inlong.proxies")
	case section && !manager && !proxies && !d.dead["inlong"]:
		d.combined("does not say where the proxies are; add manager: {urls: [http://manager:8083]} or proxies: [dataproxy-1:46801]", "inlong")
	}
	if id, key := in.ManagerSecretID != "", in.ManagerSecretKey.Set(); id != key && !d.dead["inlong.manager.secret_id"] &&
		!d.dead["inlong.manager.secret_key"] && !d.dead["inlong.manager.secret_key_file"] {
		if id {
			d.combined("given without secret_key; add secret_key_file", "inlong.manager.secret_id")
		} else {
			d.wrong(max(d.lines["inlong.manager.secret_key"], d.lines["inlong.manager.secret_key_file"]),
				"inlong.manager.secret_key", "given without secret_id; add the user it belongs to")
		}
	}
	d.checkTLS(&in.ManagerTLS, "inlong.manager.tls")
	if in.ManagerTLS.Enabled && !slices.ContainsFunc(in.ManagerURLs, func(u string) bool { return strings.HasPrefix(u, "https://") }) {
		d.combined("given, but no URL of the Manager begins with https://; write https:// URLs, or take the section out",
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
			d.combined(fmt.Sprintf("%s is not above settle %s + ack_timeout %s, so a stop could not wait for its last packs; make it longer than %s",
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
		d.combined(fmt.Sprintf("%s and %s for the rest of the frame do not fit into inlong.max_frame %s; at most %s does",
			c.Pack.Bytes, Bytes{N: Overhead}, c.InLong.MaxFrame, Bytes{N: c.InLong.MaxFrame.N - Overhead}),
			"pack.bytes", "inlong.max_frame")
	}
	if v.ProxyRate.N > 0 && v.ProxyRate.N < c.InLong.MaxFrame.N {
		d.combined(fmt.Sprintf("%s per second is less than one frame (inlong.max_frame %s); write %s or more, or 0 for no bound",
			v.ProxyRate, c.InLong.MaxFrame, c.InLong.MaxFrame), "delivery.proxy_rate", "inlong.max_frame")
	}
}

func (d *decoder) checkQueue(c *Config) {
	q := &c.Queue
	if c.HasQueue() && q.WindowBytes.N < 2*c.InLong.MaxFrame.N {
		d.combined(fmt.Sprintf("%s does not hold two frames of inlong.max_frame %s; write at least %s",
			q.WindowBytes, c.InLong.MaxFrame, Bytes{N: 2 * c.InLong.MaxFrame.N}), "queue.window_bytes", "inlong.max_frame")
	}
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

func (d *decoder) checkMemory(c *Config) {
	m := &c.Memory
	if m.Budget.Auto {
		return // what it comes to depends on the machine; Limits keeps the shares within it
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
		data, err := readSmall(t.CAFile)
		if err != nil {
			d.combined(fileProblem(err), at+".ca_file")
		} else if !x509.NewCertPool().AppendCertsFromPEM(data) {
			d.combined(t.CAFile+" holds no certificate; write the path of a PEM file (-----BEGIN CERTIFICATE-----)", at+".ca_file")
		}
	}
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		d.combined("given without key_file; add the key of the certificate", at+".cert_file")
	case t.KeyFile != "" && t.CertFile == "":
		d.combined("given without cert_file; add the certificate of the key", at+".key_file")
	case t.CertFile != "":
		certPEM, err := readSmall(t.CertFile)
		if err != nil {
			d.combined(fileProblem(err), at+".cert_file")
		}
		keyPEM, keyErr := readSmall(t.KeyFile)
		if keyErr != nil {
			d.combined(fileProblem(keyErr), at+".key_file")
		}
		if err == nil && keyErr == nil {
			if _, err := tls.X509KeyPair(certPEM, keyPEM); err != nil {
				d.combined(fmt.Sprintf("%s; cert_file and key_file must be PEM files that belong together",
					strings.TrimPrefix(err.Error(), "tls: ")), at+".cert_file")
			}
		}
	}
	if t.Insecure && t.CAFile != "" {
		d.combined("true makes ca_file useless; take one of them out", at+".insecure_skip_verify")
	}
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
				d.wrong(line, at+"."+key, "does not go with mechanism "+s.Mechanism+"; take it out")
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
			d.combined("given beside a token; keep one of them", at+".token_url")
		}
	case given("token_url"):
		missing("client_id", "add client_id")
		missing("client_secret", "add client_secret_file")
	default:
		d.wrong(d.lines[at], at, "does not say where the token comes from; add token_file, or token_url with client_id and client_secret_file")
	}
}

// What is wrong with one value; what would be right. "" when nothing is.

func emptyProblem(s string) string {
	if s == "" {
		return "is empty; give it a value, or take the key out"
	}
	return ""
}

func addressesProblem(addrs []string) string {
	for i, a := range addrs {
		if msg := addressProblem(a); msg != "" {
			return msg
		}
		if slices.Contains(addrs[:i], a) {
			return a + " is given twice; take one out"
		}
	}
	return ""
}

func addressProblem(a string) string {
	if scheme, rest, ok := strings.Cut(a, "://"); ok {
		return fmt.Sprintf("%q has a scheme; write host:port without %s://, such as %s", a, scheme, cmpOr(rest, "host:9092"))
	}
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		if strings.Count(a, ":") > 1 && !strings.HasPrefix(a, "[") {
			return fmt.Sprintf("%q is not host:port; an IPv6 address goes in brackets: [::1]:9092", a)
		}
		return fmt.Sprintf("%q is not host:port; the port is missing or misplaced", a)
	}
	if host == "" || strings.ContainsAny(host, " \t/@") {
		return fmt.Sprintf("%q has no valid host; write host:port", a)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Sprintf("%q has no valid port; write a number from 1 to 65535 after the colon", a)
	}
	return ""
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func listenProblem(a string) string {
	if a == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Sprintf("%q is not an address to listen on; write host:port or :port, such as :8080", a)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("%q has no valid port; write a number from 0 to 65535 after the colon", a)
	}
	return ""
}

func urlsProblem(urls []string) string {
	for i, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
			return fmt.Sprintf("%q is not a URL; write one such as http://manager:8083", s)
		case u.User != nil:
			return "a URL holds a user; use secret_id and secret_key_file"
		case u.RawQuery != "" || u.Fragment != "":
			return fmt.Sprintf("%q has more than a base; write only http://host:port", s)
		case slices.Contains(urls[:i], s):
			return s + " is given twice; take one out"
		}
	}
	return ""
}

func tokenURLProblem(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return fmt.Sprintf("%q is not a URL; write one such as https://login.example.com/oauth2/token", s)
	}
	if u.Scheme != "https" {
		return fmt.Sprintf("%q would send the client's secret in clear; write https://", s)
	}
	return ""
}

var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

func topicProblem(t string) string {
	for _, p := range placeholder.FindAllString(t, -1) {
		if p != "{group}" && p != "{stream}" {
			return p + " is not known here; a queue's topic is made from {group} and {stream}"
		}
	}
	plain := placeholder.ReplaceAllString(t, "")
	if t == "" || strings.ContainsFunc(plain, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}) {
		return fmt.Sprintf("%q is not a topic; write letters, digits, dots, dashes and underscores with {group} and {stream}", t)
	}
	return ""
}

// readSmall reads a certificate or key. It refuses what is no file, so that a check never waits on a pipe.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errNotFile}
	}
	if info.Size() > secretMax {
		return nil, &os.PathError{Op: "read", Path: path, Err: errLarge}
	}
	return os.ReadFile(path)
}

var (
	errNotFile = errors.New("not a file")
	errLarge   = errors.New("file is larger than 1MiB")
)

func fileProblem(err error) string {
	var pe *os.PathError
	switch {
	case !errors.As(err, &pe):
		return err.Error()
	case errors.Is(err, os.ErrNotExist):
		return "no file " + pe.Path + "; write the path of one that exists (a relative path starts from the working directory)"
	case errors.Is(err, os.ErrPermission):
		return "may not read " + pe.Path + "; let the user of the bridge read it"
	case errors.Is(err, errEmptyFile):
		return pe.Path + " is empty; put the secret into it"
	}
	return fmt.Sprintf("cannot read %s: %s; write the path of a readable file", pe.Path, pe.Err)
}

// Notes are sentences about what is allowed and worth knowing, for the log at the start and for check.
func (c *Config) Notes() []string {
	var notes []string
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if c.HasQueue() && c.Delivery.Confirm != "queue" {
		say("delivery.confirm is %s although there is a queue section: the queue is not read. confirm: queue is stronger", c.Delivery.Confirm)
	}
	if c.Delivery.Confirm == "ack" {
		say("delivery.confirm is ack: what a proxy holds in memory when it dies is lost")
	}
	if c.Delivery.Confirm == "queue" && c.Delivery.Drain < 10*time.Second {
		say("delivery.drain is %s: packs need 0.5s to 5s to be seen in the queue, so a stop may leave unfinished work (exit code 3) that is sent again", durationText(c.Delivery.Drain))
	}
	if c.HasManager() && c.InLong.CacheDir == "" {
		say("inlong.cache_dir is not set: a start needs a Manager that answers")
	}
	exposed := func(s *SASL, t *TLS, at string) {
		if !t.Enabled && (s.Mechanism == "plain" || s.Mechanism == "oauthbearer") {
			say("%s.sasl is %s without TLS: the secret goes over the network in clear", at, s.Mechanism)
		}
		if t.Insecure {
			say("%s.tls.insecure_skip_verify is on: anyone can pose as the server", at)
		}
	}
	exposed(&c.Kafka.SASL, &c.Kafka.TLS, "kafka")
	exposed(&SASL{}, &c.InLong.ManagerTLS, "inlong.manager")
	for i := range c.Queue.Kafka {
		exposed(&c.Queue.Kafka[i].SASL, &c.Queue.Kafka[i].TLS, fmt.Sprintf("queue.kafka[%d]", i))
	}
	return notes
}
