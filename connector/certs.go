package connector

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"sync"
	"time"

	"inlong-bridge/connector/config"
)

// certFile is a file with certificates that the configuration names.
type certFile struct {
	role string // kafka_ca, kafka_client, manager_ca, manager_client, queue_ca, queue_client
	file string
}

// certFiles lists the files of all connections, each role and file once.
func certFiles(c *config.Config) []certFile {
	var out []certFile
	add := func(whose string, t *config.TLS) {
		if !t.Enabled {
			return
		}
		for _, f := range []certFile{{whose + "_ca", t.CAFile}, {whose + "_client", t.CertFile}} {
			if f.file != "" && !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	add("kafka", &c.Kafka.TLS)
	add("manager", &c.InLong.ManagerTLS)
	add("queue", &c.Queue.TLS)
	for i := range c.Queue.Kafka {
		add("queue", &c.Queue.Kafka[i].TLS)
	}
	for i := range c.Queue.Pulsar {
		add("queue", &c.Queue.Pulsar[i].TLS)
	}
	return out
}

// certExpiry is when a file's certificates stop to be of use: for a client's chain when the first of them expires,
// for authorities when the last does, since a file often holds the old and the new one. It is the zero time
// for a file without a certificate.
func certExpiry(role string, data []byte) time.Time {
	var out time.Time
	authorities := len(role) > 3 && role[len(role)-3:] == "_ca"
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		if out.IsZero() || authorities == cert.NotAfter.After(out) {
			out = cert.NotAfter
		}
	}
}

const (
	certsAge  = time.Minute // a file that was rotated shows after so long
	certBytes = 1 << 20
)

// certWatch reads the files when a scrape asks, at most once in certsAge.
type certWatch struct {
	files []certFile
	read  func(file string) ([]byte, error)

	mu    sync.Mutex
	at    time.Time   // guarded by mu; of the last reading
	until []time.Time // guarded by mu; of each file, zero for one that cannot be read
}

func newCertWatch(files []certFile) *certWatch { return &certWatch{files: files, read: readCert} }

// readCert refuses what is no small file, so that a scrape never waits on a pipe.
func readCert(file string) ([]byte, error) {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || info.Size() > certBytes {
		return nil, os.ErrInvalid
	}
	return os.ReadFile(file)
}

// each calls f with the expiry of each file as Unix seconds, 0 for one that holds no certificate or cannot be read.
func (w *certWatch) each(now time.Time, f func(role, file string, expires float64)) {
	w.mu.Lock()
	if w.until == nil || now.Sub(w.at) >= certsAge {
		w.at, w.until = now, make([]time.Time, len(w.files))
		for i, c := range w.files {
			if data, err := w.read(c.file); err == nil {
				w.until[i] = certExpiry(c.role, data)
			}
		}
	}
	until := w.until
	w.mu.Unlock()
	for i, c := range w.files {
		expires := 0.0
		if !until[i].IsZero() {
			expires = float64(until[i].Unix())
		}
		f(c.role, c.file, expires)
	}
}
