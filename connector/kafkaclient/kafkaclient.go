// Package kafkaclient turns the TLS and SASL sections of the configuration into franz-go options.
package kafkaclient

import (
	"crypto/tls"
	"errors"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
)

// Options returns the options that every client of these brokers needs: seeds, TLS, SASL, client id,
// logger. Secrets and certificates are read again when their file changes.
func Options(brokers []string, clientID string, t config.TLS, s config.SASL, log *slog.Logger) ([]kgo.Opt, error) {
	return nil, errors.ErrUnsupported
}

// TLSConfig returns nil when t is not enabled.
func TLSConfig(t config.TLS) (*tls.Config, error) { return nil, errors.ErrUnsupported }

// Explain adds what to do to an error of a Kafka client: unknown topic, missing right, unreachable
// broker, wrong credentials, TLS spoken to a plaintext port and the other way round.
func Explain(err error, what string) error { return err }
