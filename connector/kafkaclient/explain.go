package kafkaclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// explained is an error whose text includes the remedy. Unwrap keeps the cause for callers that branch on it.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// Explain returns err with a sentence that names the action, the cause and the remedy. what is the action and its
// object, such as "reading topic orders". errors.Is and errors.As see err. nil stays nil, and an explained error stays
// as it is.
func Explain(err error, what string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*explained](err); ok {
		return err
	}
	if sentence := explain(err); sentence != "" {
		return &explained{fmt.Sprintf("%s: %s (%s)", what, sentence, cause(err)), err}
	}
	return &explained{fmt.Sprintf("%s: %s", what, cause(err)), err}
}

// cause returns err in one line.
func cause(err error) string {
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		return ke.Message
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// explain returns the cause and the remedy, "" if it knows nothing better than err itself.
func explain(err error) string {
	// The reason of a failed handshake says more than "dial failed", and may be wrapped by a time-out.
	for _, look := range []func(error) string{explainKafka, explainTLS, explainClient, explainNetwork} {
		if s := look(err); s != "" {
			return s
		}
	}
	return ""
}

var kafkaErrors = map[*kerr.Error]string{
	kerr.UnknownTopicOrPartition:            "the topic or partition does not exist; create it, or correct its name. A user without the right to describe it gets the same answer",
	kerr.UnknownTopicID:                     "the topic was deleted or created again; check whether that was meant",
	kerr.InvalidTopicException:              "the topic's name is not valid; correct it",
	kerr.TopicAuthorizationFailed:           "the user has no right to read the topic; grant READ and DESCRIBE on it",
	kerr.GroupAuthorizationFailed:           "the user has no right to use the consumer group; grant READ on kafka.group",
	kerr.ClusterAuthorizationFailed:         "the user has no right to do this on the cluster; grant DESCRIBE on the cluster",
	kerr.SaslAuthenticationFailed:           "the broker refuses the credentials; check sasl.mechanism, username and password or token",
	kerr.UnsupportedSaslMechanism:           "the broker does not support this mechanism; set sasl.mechanism to one that it offers",
	kerr.IllegalSaslState:                   "broker and bridge disagree about authentication; check that this is the port with SASL, and check sasl.mechanism",
	kerr.UnsupportedVersion:                 "the broker is too old for this request; Kafka 2.1 or later is needed",
	kerr.FencedInstanceID:                   "another member uses the same kafka.instance_id; give each member a different one, or stop the other member",
	kerr.InvalidSessionTimeout:              "the broker does not allow kafka.session_timeout; stay between its group.min.session.timeout.ms and group.max.session.timeout.ms",
	kerr.InconsistentGroupProtocol:          "the other members of the group use another kafka.balancer; use one for all, or another kafka.group",
	kerr.InvalidGroupID:                     "the group's name is not valid; correct kafka.group",
	kerr.GroupMaxSizeReached:                "the group has as many members as the broker allows (group.max.size); run fewer, or raise it",
	kerr.OffsetOutOfRange:                   "the records are gone: retention removed them, or the topic was created again; delivery.on_gap decides what happens",
	kerr.OffsetMetadataTooLarge:             "the broker refuses the metadata of the commit; raise its offset.metadata.max.bytes",
	kerr.CoordinatorNotAvailable:            "the group has no coordinator at the moment; the bridge tries again. If it lasts, look at the brokers and the topic __consumer_offsets",
	kerr.CoordinatorLoadInProgress:          "the group's coordinator is starting; the bridge tries again",
	kerr.NotCoordinator:                     "the group's coordinator is moving; the bridge tries again",
	kerr.LeaderNotAvailable:                 "a partition has no leader at the moment; the bridge tries again. If it lasts, look at the brokers",
	kerr.NotLeaderForPartition:              "a partition's leader is moving; the bridge tries again",
	kerr.BrokerNotAvailable:                 "a broker is down; the bridge tries again. If it lasts, look at the brokers",
	kerr.ReplicaNotAvailable:                "a replica is down; the bridge tries again. If it lasts, look at the brokers",
	kerr.RequestTimedOut:                    "the broker did not finish in time; the bridge tries again. If it lasts, look at the brokers",
	kerr.KafkaStorageError:                  "the broker cannot use its disk; look at its log",
	kerr.UnknownMemberID:                    "the group has removed this member; the bridge joins again. If it happens often, raise kafka.session_timeout",
	kerr.IllegalGeneration:                  "the group has moved on without this member; the bridge joins again. If it happens often, raise kafka.rebalance_timeout",
	kerr.RebalanceInProgress:                "the group is assigning its partitions again; the bridge tries again",
	kerr.UnstableOffsetCommit:               "a transaction on these offsets is still open; the bridge tries again",
	kerr.PolicyViolation:                    "a policy of the cluster forbids this; ask its administrators",
	kerr.TransactionalIDAuthorizationFailed: "the user has no right to use the transactional id; grant it",
}

func explainKafka(err error) string {
	ke, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return ""
	}
	if sentence, ok := kafkaErrors[kerr.TypedErrorForCode(ke.Code)]; ok {
		return sentence
	}
	if ke.Retriable {
		return "the broker refuses for now; the bridge tries again: " + ke.Description
	}
	return "the broker refuses: " + ke.Description
}

func explainTLS(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate was issued by an authority that is not trusted; set tls.ca_file to the certificate of that authority"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the server's certificate is not for %s; use a host that it names, or set tls.server_name to one", e.Host)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return fmt.Sprintf("the server's certificate is valid only from %s to %s; renew it, or correct the clock",
				e.Cert.NotBefore.UTC().Format(time.RFC3339), e.Cert.NotAfter.UTC().Format(time.RFC3339))
		}
		return "the server's certificate is not valid; renew it"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the port does not speak TLS; use the brokers' TLS port, or remove the tls section"
	}
	// crypto/tls does not export the type of a peer's alert.
	text := err.Error()
	switch {
	case strings.Contains(text, "remote error: tls: expired certificate"):
		return "the server says that the client certificate has expired; renew the one in tls.cert_file, or correct the clocks"
	case strings.Contains(text, "remote error: tls: certificate required"):
		return "the server wants a client certificate; set tls.cert_file and tls.key_file"
	case strings.Contains(text, "remote error: tls:") && strings.Contains(text, "certificate"):
		return "the server does not accept the client certificate; set tls.cert_file and tls.key_file to one that it trusts"
	case strings.Contains(text, "remote error: tls: protocol version"), strings.Contains(text, "remote error: tls: handshake failure"),
		strings.Contains(text, "tls: server selected unsupported protocol version"):
		return "server and bridge have no TLS version or cipher in common; let the server offer TLS 1.2 or later"
	case strings.Contains(text, "remote error: tls:"):
		return "the server ended the TLS handshake; look at its log"
	case strings.Contains(text, "appear to be a tls alert"):
		return "the port speaks TLS and the bridge does not; add a tls section, or use the plaintext port"
	case strings.Contains(text, "invalid large response size"):
		return "the server does not speak Kafka's protocol; check host and port"
	}
	return ""
}

func explainClient(err error) string {
	if e, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		// The client guesses the cause, and shows it only in the text.
		switch text := e.Error(); {
		case strings.Contains(text, "is TLS missing"):
			return "the broker closed the connection before it answered; if its port speaks TLS, add a tls section"
		case strings.Contains(text, "is SASL missing"):
			return "the broker closed the connection at the first request; if it wants authentication, add a sasl section"
		}
		return "the broker closed the connection during the TLS handshake; if its port does not speak TLS, remove the tls section"
	}
	if _, ok := errors.AsType[*kgo.ErrDataLoss](err); ok {
		return "the topic lost records that were already read, because a replica that lagged became leader; delivery.on_gap decides what happens"
	}
	if _, ok := errors.AsType[*kgo.ErrDecompressTooLarge](err); ok {
		return "a batch is too large when decompressed; raise memory.budget"
	}
	if errors.Is(err, kgo.ErrClientClosed) {
		return "the client was closed because the bridge stops"
	}
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Sprintf("%s cannot be read; let the user of the bridge read it", pe.Path)
	}
	return ""
}

func explainNetwork(err error) string {
	if errors.Is(err, context.Canceled) {
		return "" // the caller wanted it
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the host %s cannot be resolved; correct the address, or check DNS", e.Name)
	}
	where := "the broker"
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil && e.Op == "dial" {
		where = e.Addr.String()
	}
	switch ne, timed := errors.AsType[net.Error](err); {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("nothing listens at %s; check host and port, and that the broker runs", where)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Sprintf("there is no route to %s; check the network and its policies", where)
	case errors.Is(err, context.DeadlineExceeded), timed && ne.Timeout():
		if strings.Contains(err.Error(), "TLS handshake") {
			return "the broker does not answer the TLS handshake; if its port does not speak TLS, remove the tls section"
		}
		return fmt.Sprintf("%s does not answer; check host and port, firewalls and network policies", where)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("%s closed the connection; look at its log, and check that TLS, SASL and the credentials are what it expects", where)
	}
	return ""
}
