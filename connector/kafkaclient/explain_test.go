package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestExplainSaysWhatToDo(t *testing.T) {
	dial := func(err error) error {
		return fmt.Errorf("unable to dial: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 9092}, Err: err})
	}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"unknown topic", kerr.UnknownTopicOrPartition, "create it"},
		{"wrapped", fmt.Errorf("fetching: %w", kerr.UnknownTopicOrPartition), "create it"},
		{"topic right", kerr.TopicAuthorizationFailed, "grant READ and DESCRIBE"},
		{"group right", &kgo.ErrGroupSession{Err: kerr.GroupAuthorizationFailed}, "grant READ on kafka.group"},
		{"credentials", kerr.SaslAuthenticationFailed, "password"},
		{"mechanism", kerr.UnsupportedSaslMechanism, "sasl.mechanism"},
		{"fenced", kerr.FencedInstanceID, "kafka.instance_id"},
		{"session", kerr.InvalidSessionTimeout, "kafka.session_timeout"},
		{"balancer", kerr.InconsistentGroupProtocol, "kafka.balancer"},
		{"retention", kerr.OffsetOutOfRange, "delivery.on_gap"},
		{"coordinator", kerr.CoordinatorNotAvailable, "tries again"},
		{"a code without a sentence", kerr.InvalidRecord, "the broker refuses: "},
		{"a passing code without a sentence", kerr.FetchSessionIDNotFound, "tries again"},
		{"data loss", &kgo.ErrDataLoss{Topic: "orders"}, "delivery.on_gap"},
		{"too large", &kgo.ErrDecompressTooLarge{}, "memory.budget"},
		{"refused", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "nothing listens at 10.0.0.7:9092"},
		{"no route", dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "no route to 10.0.0.7:9092"},
		{"no host", dial(&net.DNSError{Err: "no such host", Name: "kafka-1", IsNotFound: true}), "the host kafka-1 cannot be resolved"},
		{"time-out", dial(os.ErrDeadlineExceeded), "10.0.0.7:9092 does not answer"},
		{"context", context.DeadlineExceeded, "does not answer"},
		{"reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "closed the connection"},
		{"end", io.EOF, "closed the connection"},
		{"not kafka", errors.New("invalid large response size 1213486160 > limit 104857600"), "check host and port"},
		{"alert", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, "tls.cert_file"},
		{"authority", errors.New("remote error: tls: unknown certificate authority"), "tls.cert_file"},
		{"expired", errors.New("remote error: tls: expired certificate"), "renew the one in tls.cert_file"},
		{"required", errors.New("remote error: tls: certificate required"), "wants a client certificate"},
		{"version", errors.New("remote error: tls: protocol version not supported"), "TLS 1.2"},
		{"other alert", errors.New("remote error: tls: internal error"), "look at its log"},
		{"closed", kgo.ErrClientClosed, "the client was closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Explain(c.err, "reading topic orders")
			if !strings.HasPrefix(got.Error(), "reading topic orders: ") || !strings.Contains(got.Error(), c.want) {
				t.Errorf("got %q, want a sentence with %q", got, c.want)
			}
			if !errors.Is(got, c.err) {
				t.Error("the cause got lost")
			}
			if again := Explain(fmt.Errorf("starting: %w", got), "twice"); strings.Contains(again.Error(), "twice") {
				t.Errorf("explained twice: %v", again)
			}
		})
	}
}

func TestExplainLeavesTheRestAlone(t *testing.T) {
	if err := Explain(nil, "nothing"); err != nil {
		t.Errorf("Explain(nil) = %v", err)
	}
	if got := Explain(context.Canceled, "stopping").Error(); got != "stopping: context canceled" {
		t.Errorf("got %q", got)
	}
	if got := Explain(errors.New("a\nb"), "x").Error(); got != "x: a b" {
		t.Errorf("got %q, want one line", got)
	}
}
