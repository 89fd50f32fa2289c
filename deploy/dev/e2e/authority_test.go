//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// authority is a certificate authority, with a certificate for brokers and one for a client. The fields are
// files.
type authority struct {
	ca                    string
	server                string // key and chain, as brokers want it
	clientCert, clientKey string
	other                 string // the certificate of an authority that signed nothing here
}

func (b *bench) newAuthority() *authority {
	b.Helper()
	caCert, caKey, caPEM, _ := b.certificate("inlong-bridge e2e", nil, nil)
	_, _, serverPEM, serverKey := b.certificate("broker", caCert, caKey)
	_, _, clientPEM, clientKey := b.certificate("bridge", caCert, caKey)
	_, _, otherPEM, _ := b.certificate("somebody else", nil, nil)
	return &authority{
		ca:         b.write("ca.pem", caPEM),
		server:     b.write("broker.pem", serverKey+serverPEM+caPEM),
		clientCert: b.write("client.pem", clientPEM),
		clientKey:  b.write("client.key", clientKey),
		other:      b.write("other-ca.pem", otherPEM),
	}
}

// certificate makes a key and a certificate, signed by the parent, or by itself to be an authority.
func (b *bench) certificate(name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (cert *x509.Certificate, key *ecdsa.PrivateKey, certPEM, keyPEM string) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	cert = &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if parent == nil {
		cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		b.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPEM = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, key, certPEM, keyPEM
}
