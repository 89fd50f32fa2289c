package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/observe"
)

// certsUntil is a PEM file with one certificate for each time, behind a key, which is passed over.
func certsUntil(t *testing.T, until ...time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}))
	for i, at := range until {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), NotBefore: at.Add(-time.Hour), NotAfter: at}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return out.Bytes()
}

func TestClientCertificateExpiresWithTheFirstOfItsChainAndAuthoritiesWithTheLast(t *testing.T) {
	data := certsUntil(t, midday.Add(time.Hour), midday.Add(3*time.Hour), midday.Add(2*time.Hour))
	for role, want := range map[string]time.Time{"kafka_client": midday.Add(time.Hour), "kafka_ca": midday.Add(3 * time.Hour)} {
		if got := expiry(role, data); !got.Equal(want) {
			t.Errorf("%s expires at %v, want %v", role, got, want)
		}
	}
	if got := expiry("kafka_ca", []byte("no certificate")); !got.IsZero() {
		t.Errorf("a file without a certificate expires at %v", got)
	}
}

func TestCertificatesOfAllConnectionsAreWatched(t *testing.T) {
	var c config.Config
	on := func(ca, cert string) config.TLS { return config.TLS{Enabled: true, CAFile: ca, CertFile: cert} }
	c.Kafka.TLS = on("a", "b")
	c.InLong.ManagerTLS = on("c", "")
	c.Queue.TLS = on("d", "")
	c.Queue.Kafka = []config.QueueCluster{{TLS: on("e", "f")}, {TLS: on("e", "g")}, {TLS: config.TLS{CAFile: "off"}}}
	c.Queue.Pulsar = []config.PulsarCluster{{TLS: on("h", "")}}
	var want []observe.Certificate
	for _, f := range []string{"kafka_ca a", "kafka_client b", "manager_ca c", "queue_ca d", "queue_ca e", "queue_client f", "queue_client g", "queue_ca h"} {
		role, file, _ := strings.Cut(f, " ")
		want = append(want, observe.Certificate{Role: role, File: file})
	}
	if got := Files(&c); !slices.Equal(got, want) {
		t.Errorf("files = %v, want %v", got, want)
	}
}

// Files are read again after a minute, so that a rotation shows, and not at each scrape.
func TestRotatedCertificateShowsAfterAMinute(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tls.crt")
	write := func(until time.Time) {
		if err := os.WriteFile(file, certsUntil(t, until), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := New([]observe.Certificate{{Role: "kafka_client", File: file}})
	reads := 0
	w.open = func(name string) ([]byte, error) { reads++; return readSmall(name) }
	check := func(now, want time.Time) {
		t.Helper()
		if got := w.Read(now)[0].Expires; !got.Equal(want) {
			t.Errorf("the certificate expires at %v, want %v", got, want)
		}
	}
	write(midday)
	check(midday, midday)
	write(midday.Add(time.Hour))
	check(midday.Add(59*time.Second), midday)
	check(midday.Add(time.Minute), midday.Add(time.Hour))
	if reads != 2 {
		t.Errorf("the file was read %d times, want 2", reads)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check(midday.Add(2*time.Minute), time.Time{})
	if err := os.Mkdir(file, 0o700); err != nil { // no file either
		t.Fatal(err)
	}
	check(midday.Add(4*time.Minute), time.Time{})
}

var midday = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
