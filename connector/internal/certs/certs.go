// Package certs tells when the certificates expire that the connections are made with.
package certs

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"sync"
	"time"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/observe"
)

// Files lists the files of all connections, each role and file once.
func Files(c *config.Config) []observe.Certificate {
	var out []observe.Certificate
	add := func(whose string, t *config.TLS) {
		if !t.Enabled {
			return
		}
		for _, f := range []observe.Certificate{{Role: whose + "_ca", File: t.CAFile}, {Role: whose + "_client", File: t.CertFile}} {
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

// expiry is when a file's certificates stop to be of use: for a client's chain when the first of them expires,
// for authorities when the last does, since a file often holds the old and the new one. It is the zero time
// for a file without a certificate.
func expiry(role string, data []byte) time.Time {
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
	maxAge   = time.Minute // a file that was rotated shows after so long
	maxBytes = 1 << 20
)

// Watch reads the files when a status is asked for, at most once in maxAge.
type Watch struct {
	open func(file string) ([]byte, error)

	mu    sync.Mutex
	at    time.Time             // guarded by mu; of the last reading
	files []observe.Certificate // guarded by mu
}

// New makes a Watch over files.
func New(files []observe.Certificate) *Watch { return &Watch{open: readSmall, files: files} }

// readSmall refuses what is no small file, so that a scrape never waits on a pipe.
func readSmall(file string) ([]byte, error) {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || info.Size() > maxBytes {
		return nil, os.ErrInvalid
	}
	return os.ReadFile(file)
}

// Read returns the files with their expiry.
func (w *Watch) Read(now time.Time) []observe.Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at.IsZero() || now.Sub(w.at) >= maxAge {
		w.at = now
		for i := range w.files {
			c := &w.files[i]
			c.Expires = time.Time{}
			if data, err := w.open(c.File); err == nil {
				c.Expires = expiry(c.Role, data)
			}
		}
	}
	return slices.Clone(w.files)
}
