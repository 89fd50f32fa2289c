package kafkaclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
)

// broker is a kfake cluster of one broker whose connections a test can cut.
type broker struct {
	addrs   []string
	cluster *kfake.Cluster

	mu    sync.Mutex
	conns []net.Conn
}

func startBroker(t *testing.T, opts ...kfake.Opt) *broker {
	t.Helper()
	b := &broker{}
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(1, "orders"),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return &listener{l, b}, err
		})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b.cluster, b.addrs = cluster, cluster.ListenAddrs()
	return b
}

func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
}

type listener struct {
	net.Listener
	b *broker
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.b.mu.Lock()
		l.b.conns = append(l.b.conns, c)
		l.b.mu.Unlock()
	}
	return c, err
}

func client(t *testing.T, b *broker, tc config.TLS, s config.SASL) *kgo.Client {
	t.Helper()
	opts, err := Options(b.addrs, "test", tc, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, kgo.RequestRetries(1), kgo.RetryTimeout(5*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// ask makes a round trip that needs an authenticated connection.
func ask(t *testing.T, cl *kgo.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
	return err
}

func mustAsk(t *testing.T, cl *kgo.Client, when string) {
	t.Helper()
	if err := ask(t, cl); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}

// mustExplain checks that the round trip fails and that the sentence holds all of want.
func mustExplain(t *testing.T, cl *kgo.Client, want ...string) {
	t.Helper()
	err := ask(t, cl)
	if err == nil {
		t.Fatal("the round trip succeeded, want an error")
	}
	text := Explain(err, "reaching kafka").Error()
	if !strings.HasPrefix(text, "reaching kafka: ") || strings.Contains(text, "\n") {
		t.Errorf("not one sentence that begins with what was done: %s", text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("explanation lacks %q: %s", w, text)
		}
	}
}

func TestPlaintextWithoutSections(t *testing.T) {
	mustAsk(t, client(t, startBroker(t), config.TLS{}, config.SASL{}), "plaintext")
}

func TestTLSWithOwnAuthority(t *testing.T) {
	ca := newAuthority(t, "ca")
	b := startBroker(t, kfake.TLS(ca.server(t)))
	mustAsk(t, client(t, b, config.TLS{Enabled: true, CAFile: file(t, "ca.pem", ca.pem)}, config.SASL{}), "own authority")
	mustAsk(t, client(t, b, config.TLS{Enabled: true, Insecure: true}, config.SASL{}), "insecure")
	mustExplain(t, client(t, b, config.TLS{Enabled: true}, config.SASL{}), "tls.ca_file")
}

func TestTLSServerName(t *testing.T) {
	ca := newAuthority(t, "ca")
	b := startBroker(t, kfake.TLS(serverWith(t, ca, "kafka.example.com", time.Now().Add(time.Hour))))
	caFile := file(t, "ca.pem", ca.pem)
	mustAsk(t, client(t, b, config.TLS{Enabled: true, CAFile: caFile, ServerName: "kafka.example.com"}, config.SASL{}), "server_name")
	mustExplain(t, client(t, b, config.TLS{Enabled: true, CAFile: caFile}, config.SASL{}), "not for 127.0.0.1", "tls.server_name")
}

func TestExpiredServerCertificateIsExplained(t *testing.T) {
	ca := newAuthority(t, "ca")
	b := startBroker(t, kfake.TLS(serverWith(t, ca, "127.0.0.1", time.Now().Add(-time.Minute))))
	mustExplain(t, client(t, b, config.TLS{Enabled: true, CAFile: file(t, "ca.pem", ca.pem)}, config.SASL{}), "renew it")
}

func TestTLSToPlaintextPortIsExplained(t *testing.T) {
	// Kafka takes the first bytes of TLS for a request of 369 MB, and closes the connection.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, 517)) // less than a hello, so that the close is a FIN
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	})
	defer wg.Wait()
	defer func() { _ = l.Close() }()
	b := &broker{addrs: []string{l.Addr().String()}}
	mustExplain(t, client(t, b, config.TLS{Enabled: true, Insecure: true}, config.SASL{}), "remove the tls section")
}

func TestPlaintextToTLSPortIsExplained(t *testing.T) {
	ca := newAuthority(t, "ca")
	mustExplain(t, client(t, startBroker(t, kfake.TLS(ca.server(t))), config.TLS{}, config.SASL{}), "add a tls section")
}

func TestRotatedAuthorityIsUsedAtTheNextConnection(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	var mu sync.Mutex
	current := first.server(t)
	b := startBroker(t, kfake.TLS(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		return current, nil
	}}))
	caFile := file(t, "ca.pem", first.pem)
	cl := client(t, b, config.TLS{Enabled: true, CAFile: caFile}, config.SASL{})
	mustAsk(t, cl, "before")

	mu.Lock()
	current = second.server(t)
	mu.Unlock()
	b.cut()
	mustExplain(t, cl, "tls.ca_file") // the server moved first

	write(t, caFile, second.pem)
	mustAsk(t, cl, "after the file was replaced")
}

func TestClientCertificateIsShownAndRotated(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	var mu sync.Mutex
	var seen []string
	server := ca.server(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pool
	server.VerifyConnection = func(cs tls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, cs.PeerCertificates[0].Subject.CommonName)
		return nil
	}
	b := startBroker(t, kfake.TLS(server))
	last := func() string {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 {
			return ""
		}
		return seen[len(seen)-1]
	}

	caFile, dir := file(t, "ca.pem", ca.pem), t.TempDir()
	tc := config.TLS{Enabled: true, CAFile: caFile, CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	put := func(a *authority, name string) {
		cert, key := a.issue(t, name, "", time.Now().Add(time.Hour))
		write(t, tc.CertFile, cert)
		write(t, tc.KeyFile, key)
	}
	put(ca, "monday")
	cl := client(t, b, tc, config.SASL{})
	mustAsk(t, cl, "monday's certificate")
	if last() != "monday" {
		t.Fatalf("server saw %q, want monday", last())
	}
	put(ca, "tuesday")
	b.cut()
	mustAsk(t, cl, "tuesday's certificate")
	if last() != "tuesday" {
		t.Errorf("server saw %q after the rotation, want tuesday", last())
	}

	mustExplain(t, client(t, b, config.TLS{Enabled: true, CAFile: caFile}, config.SASL{}), "tls.cert_file")
	put(other, "stranger")
	mustExplain(t, client(t, b, tc, config.SASL{}), "client certificate")
}

func TestMissingFilesAreErrorsAtOnce(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone.pem")
	for _, tc := range []config.TLS{
		{Enabled: true, CAFile: gone},
		{Enabled: true, CAFile: file(t, "ca.pem", []byte("no certificate"))},
		{Enabled: true, CertFile: gone, KeyFile: gone},
	} {
		if _, err := Options([]string{"127.0.0.1:1"}, "", tc, config.SASL{}, nil); err == nil {
			t.Errorf("Options(%+v) returned no error", tc)
		}
	}
	if _, err := Options(nil, "", config.TLS{}, config.SASL{Mechanism: "gssapi"}, nil); err == nil {
		t.Error("an unknown mechanism gave no error")
	}
}

func TestSASL(t *testing.T) {
	for _, tc := range []struct{ mechanism, kafka string }{
		{"plain", "PLAIN"}, {"scram-sha-256", "SCRAM-SHA-256"}, {"scram-sha-512", "SCRAM-SHA-512"},
	} {
		t.Run(tc.mechanism, func(t *testing.T) {
			b := startBroker(t, kfake.EnableSASL(), kfake.Superuser(tc.kafka, "bridge", "right"))
			good := config.SASL{Mechanism: tc.mechanism, Username: "bridge", Password: config.NewSecret("right")}
			mustAsk(t, client(t, b, config.TLS{}, good), "right password")
			mustExplain(t, client(t, b, config.TLS{}, config.SASL{}), "sasl section")
		})
	}
}

func TestWrongPasswordIsExplained(t *testing.T) {
	b := startBroker(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "bridge", "right"))
	wrong := config.SASL{Mechanism: "plain", Username: "bridge", Password: config.NewSecret("wrong")}
	// kfake closes the connection, as very old brokers do; Kafka answers with a code first.
	mustExplain(t, client(t, b, config.TLS{}, wrong), "SASL")
	b.cluster.ControlKey(36, func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	mustExplain(t, client(t, b, config.TLS{}, wrong), "refuses the credentials", "password", "SASL_AUTHENTICATION_FAILED")
}

func TestMissingPasswordFileIsExplained(t *testing.T) {
	b := startBroker(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "bridge", "right"))
	gone := filepath.Join(t.TempDir(), "gone")
	mustExplain(t, client(t, b, config.TLS{}, config.SASL{Mechanism: "plain", Username: "bridge", Password: config.SecretFromFile(gone)}), gone+" cannot be read")
}

func TestMechanismTheBrokerDoesNotOfferIsExplained(t *testing.T) {
	b := startBroker(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "bridge", "right"))
	mustExplain(t, client(t, b, config.TLS{}, config.SASL{Mechanism: "oauthbearer", Token: config.NewSecret("t")}), "sasl.mechanism")
}

func TestRotatedPasswordIsUsedAtTheNextAuthentication(t *testing.T) {
	b := startBroker(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "bridge", "one"), kfake.Superuser("PLAIN", "root", "root"))
	passwordFile := file(t, "password", []byte("one\n"))
	cl := client(t, b, config.TLS{}, config.SASL{Mechanism: "scram-sha-256", Username: "bridge", Password: config.SecretFromFile(passwordFile)})
	mustAsk(t, cl, "first password")

	root := client(t, b, config.TLS{}, config.SASL{Mechanism: "plain", Username: "root", Password: config.NewSecret("root")})
	if _, err := kadm.NewClient(root).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{
		{User: "bridge", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "two"}}); err != nil {
		t.Fatal(err)
	}
	mustAsk(t, cl, "a connection that lives on")
	b.cut()
	if err := ask(t, cl); err == nil {
		t.Fatal("the old password was accepted after the change: nothing was rotated")
	}
	write(t, passwordFile, []byte("two\n"))
	mustAsk(t, cl, "after the file was replaced")
}

func TestSASLOverTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	b := startBroker(t, kfake.TLS(ca.server(t)), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "bridge", "right"))
	mustAsk(t, client(t, b, config.TLS{Enabled: true, CAFile: file(t, "ca.pem", ca.pem)},
		config.SASL{Mechanism: "scram-sha-512", Username: "bridge", Password: config.NewSecret("right")}), "both")
}

func TestUnreachableBrokerIsExplained(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	mustExplain(t, client(t, &broker{addrs: []string{addr}}, config.TLS{}, config.SASL{}), "nothing listens at "+addr)
}

func TestDialGivesUpOnASilentHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = dialer(config.TLS{Enabled: true, Insecure: true})(ctx, "tcp", l.Addr().String())
	if text := Explain(err, "reaching kafka").Error(); !strings.Contains(text, "remove the tls section") {
		t.Errorf("got %s", text)
	}
}

// A rotation brings files that check has not seen. The connection that reads them says what they are.
func TestRotatedFilesThatCannotServeAreNamed(t *testing.T) {
	ca := newAuthority(t, "ca")
	cert, key := ca.issue(t, "client", "", time.Now().Add(time.Hour))
	tc := config.TLS{Enabled: true, CAFile: file(t, "ca.crt", ca.pem), CertFile: file(t, "tls.crt", cert), KeyFile: file(t, "tls.key", key)}
	cfg, err := TLSConfig(tc)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := os.ReadFile("../../testdata/config/tls/encrypted-pkcs8.key")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path string
		data []byte
		want string
	}{
		{tc.KeyFile, encrypted, "reading client certificate: the key in " + tc.KeyFile + " is encrypted, and the bridge takes no passphrase"},
		{tc.KeyFile, key, ""},
		{tc.CertFile, append(slices.Clone(ca.pem), cert...), "put that one first"},
		{tc.CertFile, cert, ""},
	} {
		write(t, row.path, row.data)
		_, err := cfg.GetClientCertificate(&tls.CertificateRequestInfo{})
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.path, err, row.want)
		}
	}
	write(t, tc.CAFile, []byte("\uFEFF"+string(ca.pem)))
	if _, err := TLSConfig(tc); err == nil || !strings.Contains(err.Error(), "reading ca_file: "+tc.CAFile+" begins with a byte order mark") {
		t.Errorf("ca_file with a byte order mark: %v", err)
	}
}
