package kafkaclient

import (
	"errors"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Outlook says whether an error may pass without a change of the configuration.
type Outlook int

// The outlooks.
const (
	Passes  Outlook = iota // an outage: brokers are down, starting or out of reach
	Unclear                // both an outage and a wrong configuration look like this
	Lasts                  // waiting does not help: credentials, rights, TLS, or a feature that the broker lacks
)

// refusals are answers of brokers that do not change until somebody changes the configuration or the rights.
var refusals = []*kerr.Error{
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.DelegationTokenAuthorizationFailed,
	kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
	kerr.UnsupportedVersion, kerr.InvalidTopicException, kerr.InvalidGroupID, kerr.PolicyViolation,
}

// OutlookOf returns the outlook of an error of a client that may not have reached its brokers yet.
func OutlookOf(err error) Outlook {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return Lasts
		}
	}
	if _, ok := errors.AsType[refusedToken](err); ok || explainTLS(err) != "" || errors.Is(err, kgo.ErrClientClosed) {
		return Lasts
	}
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return Lasts // a file of credentials or certificates
	}
	// A broker that expects TLS, SASL or another password may close the connection without an answer, and so does a load
	// balancer in front of a broker that is down.
	if _, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok || errors.Is(err, io.EOF) {
		return Unclear
	}
	return Passes
}

// refusedToken marks the refusal of a token, or of the request for one.
type refusedToken struct{ err error }

func (r refusedToken) Error() string { return r.err.Error() }
func (r refusedToken) Unwrap() error { return r.err }
