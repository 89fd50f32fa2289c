package kafkaclient

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"inlong-bridge/connector/config"
)

// TLSConfig returns nil when t is not enabled. ca_file is read now; the client certificate is read now,
// to know that it is good, and again at each handshake.
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

// clientCertificate reads both files. A rotation that has replaced one of them and not yet the other is
// an error here, and the next connection tries again.
func clientCertificate(t config.TLS) (*tls.Certificate, error) {
	cert, err := t.Certificate()
	if err != nil {
		return nil, fmt.Errorf("reading client certificate: %w", err)
	}
	return cert, nil
}
