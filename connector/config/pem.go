package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// AddRoots adds the certificates of a ca_file to pool. An error names the mistake in the file and the remedy.
func AddRoots(pool *x509.CertPool, path string) error {
	certs, err := readCertificates(path)
	if err != nil {
		return err
	}
	for _, c := range certs.parsed {
		pool.AddCert(c)
	}
	return nil
}

// Certificate reads cert_file and key_file. An error names the file, the mistake and the remedy.
func (t TLS) Certificate() (*tls.Certificate, error) {
	certs, err := readCertificates(t.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := readKey(t.KeyFile)
	if err != nil {
		return nil, err
	}
	return pair(t, certs, key)
}

// certificates are those of one PEM file, in its order.
type certificates struct {
	blocks []*pem.Block
	parsed []*x509.Certificate
	left   int   // of the blocks that are left out because they cannot be parsed
	why    error // of the first one
}

func (c *certificates) pem() []byte {
	var b bytes.Buffer
	for _, block := range c.blocks {
		b.Write(pem.EncodeToMemory(block))
	}
	return b.Bytes()
}

func readCertificates(path string) (*certificates, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	if what := notPEM(data, path); what != "" {
		return nil, errors.New(path + " " + what)
	}
	certs, others := &certificates{}, []string{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			others = append(others, block.Type)
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			if certs.left++; certs.why == nil {
				certs.why = err
			}
			continue
		}
		certs.blocks, certs.parsed = append(certs.blocks, block), append(certs.parsed, c)
	}
	switch {
	case len(certs.parsed) > 0:
		return certs, nil
	case certs.why != nil:
		return nil, fmt.Errorf("%s holds no certificate that can be read: %w; export it again", path, certs.why)
	case len(others) > 0:
		return nil, fmt.Errorf("%s holds %s and no certificate; write the path of the PEM file with -----BEGIN CERTIFICATE-----", path, strings.Join(others, ", "))
	}
	return nil, errors.New(path + " holds no certificate; write the path of a PEM file (-----BEGIN CERTIFICATE-----)")
}

// readKey returns a PEM file that holds a private key in clear.
func readKey(path string) ([]byte, error) {
	data, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	if what := notPEM(data, path); what != "" {
		return nil, errors.New(path + " " + what)
	}
	var others []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, fmt.Errorf("the key in %s is encrypted, and the bridge takes no passphrase; decrypt it: openssl pkey -in %s -out tls.key, and let only the bridge's user read that", path, path)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return data, nil
		}
		others = append(others, block.Type)
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("%s holds %s and no private key; write the path of the PEM file with -----BEGIN PRIVATE KEY-----", path, strings.Join(others, ", "))
	}
	return nil, errors.New(path + " holds no private key; write the path of a PEM file (-----BEGIN PRIVATE KEY-----)")
}

// notPEM names the format of a file that is not PEM, and how to convert it. It returns "" for a file that may be PEM.
// The sentence follows the name of the file.
func notPEM(data []byte, path string) string {
	head := data[:min(len(data), 64)]
	switch {
	case bytes.HasPrefix(data, []byte("\xfe\xed\xfe\xed")), bytes.HasPrefix(data, []byte("\xce\xce\xce\xce")):
		return fmt.Sprintf("is a Java keystore, not PEM; make PKCS#12 of it: keytool -importkeystore -srckeystore %s -destkeystore store.p12 -deststoretype PKCS12, and PEM of that: openssl pkcs12 -in store.p12 -noenc -out store.pem", path)
	case bytes.HasPrefix(head, []byte{0x30}) && bytes.Contains(head, pkcs12Version) && bytes.Contains(head, pkcs7Data):
		return fmt.Sprintf("is PKCS#12 (.p12, .pfx), not PEM; take the parts out: openssl pkcs12 -in %s -clcerts -nokeys -out tls.crt, -nocerts -noenc -out tls.key, and -cacerts -nokeys -out ca.crt", path)
	case isCertificate(data):
		return fmt.Sprintf("is a certificate in DER form, not PEM; convert it: openssl x509 -inform der -in %s -out tls.crt", path)
	case isKey(data):
		return fmt.Sprintf("is a private key in DER form, not PEM; convert it: openssl pkey -inform der -in %s -out tls.key", path)
	}
	if err := encodingError(data); err != nil {
		return err.Error()
	}
	return ""
}

// The first two things in PKCS#12 are its version, 3, and the kind of what follows, 1.2.840.113549.1.7.1.
var (
	pkcs12Version = []byte{0x02, 0x01, 0x03}
	pkcs7Data     = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}
)

func isCertificate(der []byte) bool {
	_, err := x509.ParseCertificate(der)
	return err == nil
}

func isKey(der []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(der)
	_, pkcs1 := x509.ParsePKCS1PrivateKey(der)
	_, ec := x509.ParseECPrivateKey(der)
	return pkcs8 == nil || pkcs1 == nil || ec == nil
}

// pair combines certificates and a key. The first certificate must belong to the key.
func pair(t TLS, certs *certificates, key []byte) (*tls.Certificate, error) {
	both, err := tls.X509KeyPair(certs.pem(), key)
	if err == nil {
		return &both, nil
	}
	for i := 1; i < len(certs.blocks); i++ {
		if _, err := tls.X509KeyPair(pem.EncodeToMemory(certs.blocks[i]), key); err == nil {
			return nil, fmt.Errorf("%s begins with the certificate of %q, but the certificate for the key is number %d, of %q; put that one first, then the one that signed it, and so on",
				t.CertFile, certs.parsed[0].Subject, i+1, certs.parsed[i].Subject)
		}
	}
	if strings.Contains(err.Error(), "does not match") {
		return nil, fmt.Errorf("the certificate of %q in %s does not belong to the key in %s; name a certificate and its own key",
			certs.parsed[0].Subject, t.CertFile, t.KeyFile)
	}
	return nil, fmt.Errorf("%s and %s cannot be used: %s; export them again", t.CertFile, t.KeyFile, strings.TrimPrefix(err.Error(), "tls: "))
}

// dateProblem says why a certificate is not valid at now; "" when it is valid.
func dateProblem(c *x509.Certificate, now time.Time) string {
	when := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case now.After(c.NotAfter):
		return fmt.Sprintf("the certificate of %q expired at %s; renew it, or set the clock right", c.Subject, when(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Sprintf("the certificate of %q is valid from %s only; set the clock right, or wait", c.Subject, when(c.NotBefore))
	}
	return ""
}
