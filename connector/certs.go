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

// certFiles lists the files of all connections, each role and file once.
func certFiles(c *config.Config) []Certificate {
	var out []Certificate
	add := func(whose string, t *config.TLS) {
		if !t.Enabled {
			return
		}
		for _, f := range []Certificate{{Role: whose + "_ca", File: t.CAFile}, {Role: whose + "_client", File: t.CertFile}} {
			if f.File != "" && !slices.Contains(out, f) {
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

// certWatch reads the files when a status is asked for, at most once in certsAge.
type certWatch struct {
	open func(file string) ([]byte, error)

	mu    sync.Mutex
	at    time.Time     // guarded by mu; of the last reading
	files []Certificate // guarded by mu
}

func newCertWatch(files []Certificate) *certWatch { return &certWatch{open: readCert, files: files} }

// readCert refuses what is no small file, so that a scrape never waits on a pipe.
func readCert(file string) ([]byte, error) {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || info.Size() > certBytes {
		return nil, os.ErrInvalid
	}
	return os.ReadFile(file)
}

// read returns the files with their expiry.
func (w *certWatch) read(now time.Time) []Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.IsZero() || now.Sub(w.at) >= certsAge {
		w.at = now
		for i := range w.files {
			c := &w.files[i]
			c.Expires = time.Time{}
			if data, err := w.open(c.File); err == nil {
				c.Expires = certExpiry(c.Role, data)
			}
		}
	}
	return slices.Clone(w.files)
}
