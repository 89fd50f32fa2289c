package kafkaclient

import (
	"errors"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Outlook says whether an error may pass without anybody changing the configuration.
type Outlook int

// The outlooks.
const (
	Passes  Outlook = iota // an outage: brokers that are down, starting or out of reach
	Unclear                // an outage looks like this, and a wrong configuration does too
	Lasts                  // waiting does not help: credentials, rights, TLS, what the broker does not have
)

// refusals are answers of brokers that stay the same until somebody changes the configuration or the rights.
var refusals = []*kerr.Error{
	kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.DelegationTokenAuthorizationFailed,
	kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
	kerr.UnsupportedVersion, kerr.InvalidTopicException, kerr.InvalidGroupID, kerr.PolicyViolation,
}

// OutlookOf judges an error of a client whose brokers may not have been reached yet.
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
	// A broker that wants TLS, SASL or another password may close the connection without a word, and so does what
	// stands in front of a broker that is down.
	if _, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok || errors.Is(err, io.EOF) {
		return Unclear
	}
	return Passes
}

// refusedToken marks that a token, or the request for one, was refused.
type refusedToken struct{ err error }

func (r refusedToken) Error() string { return r.err.Error() }
func (r refusedToken) Unwrap() error { return r.err }
