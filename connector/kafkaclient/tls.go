package kafkaclient

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"inlong-bridge/connector/config"
)

// TLSConfig returns nil if t is not enabled. It reads ca_file now, and the client certificate both now, to check it, and
// at each handshake.
func TLSConfig(t config.TLS) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.Insecure,
	}
	if t.CAFile != "" {
		pool := x509.NewCertPool()
		if err := config.AddRoots(pool, t.CAFile); err != nil {
			return nil, fmt.Errorf("reading ca_file: %w", err)
		}
		cfg.RootCAs = pool
	}
	if t.CertFile != "" {
		if _, err := clientCertificate(t); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return clientCertificate(t)
		}
	}
	return cfg, nil
}

// clientCertificate reads both files. During a rotation that has replaced only one of them it returns an error, and the
// next connection tries again.
func clientCertificate(t config.TLS) (*tls.Certificate, error) {
	cert, err := t.Certificate()
	if err != nil {
		return nil, fmt.Errorf("reading client certificate: %w", err)
	}
	return cert, nil
}
