package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
)

func TestOutlookTellsAnOutageFromAMistake(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("unable to dial: %w", &net.OpError{Op: "dial", Net: "tcp", Err: err})
	}
	for _, c := range []struct {
		name string
		err  error
		want Outlook
	}{
		{"nothing listens", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), Passes},
		{"no host yet", dial(&net.DNSError{Err: "no such host", Name: "kafka-1", IsNotFound: true}), Passes},
		{"silence", dial(os.ErrDeadlineExceeded), Passes},
		{"time-out", context.DeadlineExceeded, Passes},
		{"reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, Passes},
		{"no leader", kerr.LeaderNotAvailable, Passes},
		{"no coordinator", kerr.CoordinatorNotAvailable, Passes},
		{"no topic", kerr.UnknownTopicOrPartition, Passes},
		{"a broker that starts", kerr.UnknownServerError, Passes},
		{"closed without a word", &kgo.ErrFirstReadEOF{}, Unclear},
		{"closed", io.EOF, Unclear},
		{"credentials", fmt.Errorf("dialing: %w", kerr.SaslAuthenticationFailed), Lasts},
		{"mechanism", kerr.UnsupportedSaslMechanism, Lasts},
		{"token", fmt.Errorf("authenticating: %w", refusedToken{errors.New("expired")}), Lasts},
		{"topic right", kerr.TopicAuthorizationFailed, Lasts},
		{"group right", kerr.GroupAuthorizationFailed, Lasts},
		{"cluster right", kerr.ClusterAuthorizationFailed, Lasts},
		{"topic name", kerr.InvalidTopicException, Lasts},
		{"too old", kerr.UnsupportedVersion, Lasts},
		{"client certificate", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, Lasts},
		{"no TLS there", errors.New("invalid large response size 352518912: first bytes appear to be a tls alert record"), Lasts},
		{"explained", Explain(kerr.SaslAuthenticationFailed, "asking"), Lasts},
		{"no file", &os.PathError{Op: "open", Path: "password", Err: os.ErrNotExist}, Lasts},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := OutlookOf(c.err); got != c.want {
				t.Errorf("OutlookOf(%v) = %d, want %d", c.err, got, c.want)
			}
		})
	}
}

// What a real handshake ends with is a mistake, not an outage.
func TestOutlookOfAnUntrustedCertificateLasts(t *testing.T) {
	ca := newAuthority(t, "ca")
	b := startBroker(t, kfake.TLS(ca.server(t)))
	if err := ask(t, client(t, b, config.TLS{Enabled: true}, config.SASL{})); OutlookOf(err) != Lasts {
		t.Errorf("OutlookOf(%v) = %d, want %d", err, OutlookOf(err), Lasts)
	}
}
