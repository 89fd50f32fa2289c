package kafkaclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
)

// dialTimeout bounds TCP and the TLS handshake together.
const dialTimeout = 10 * time.Second

// Options returns the options that every client of these brokers needs: seeds, TLS, SASL, client id and logger. If log is
// nil, nothing is logged. Options reads the files of t once, so that a missing file is an error now, and not a retry
// later.
func Options(brokers []string, clientID string, t config.TLS, s config.SASL, log *slog.Logger) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...)}
	if clientID != "" {
		opts = append(opts, kgo.ClientID(clientID))
	}
	if _, err := TLSConfig(t); err != nil {
		return nil, err
	}
	opts = append(opts, kgo.Dialer(dialer(t)))
	auth, err := mechanism(s, t)
	if err != nil {
		return nil, err
	}
	if auth != nil {
		opts = append(opts, kgo.SASL(auth))
	}
	if log != nil {
		opts = append(opts, kgo.WithLogger(newLogger(log)))
	}
	return opts, nil
}

// dialer builds a TLS configuration for each connection, from the current content of the files.
func dialer(t config.TLS) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		cfg, err := TLSConfig(t)
		if err != nil {
			return nil, err
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || cfg == nil {
			return conn, err
		}
		if cfg.ServerName == "" {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				host = addr
			}
			cfg.ServerName = host
		}
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
		}
		return secure, nil
	}
}
