package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// signed is a certificate with its key, as PEM and as DER.
type signed struct {
	cert        *x509.Certificate
	key         *ecdsa.PrivateKey
	pem, keyPEM []byte
	der, keyDER []byte
}

// sign makes a certificate that by signs, or that signs itself.
func sign(t *testing.T, name string, ca bool, from, until time.Time, by *signed) *signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until,
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	s := &signed{key: key}
	if s.der, err = x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey); err != nil {
		t.Fatal(err)
	}
	if s.cert, err = x509.ParseCertificate(s.der); err != nil {
		t.Fatal(err)
	}
	if s.keyDER, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	s.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.der})
	s.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: s.keyDER})
	return s
}

func utf16(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, c := range text {
		out = append(out, c, 0)
	}
	return out
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(cases, "tls", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// withTLS is a configuration whose tls section is in line 5, with these files where they are not nil.
func withTLS(t *testing.T, ca, cert, key []byte) (text string, paths *strings.Replacer) {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var keys []string
	if ca != nil {
		keys = append(keys, "ca_file: "+put("ca.crt", ca))
	}
	if cert != nil {
		keys = append(keys, "cert_file: "+put("tls.crt", cert))
	}
	if key != nil {
		keys = append(keys, "key_file: "+put("tls.key", key))
	}
	text = "kafka:\n  brokers: [k1:9092]\n  group: g\n\n  tls: {" + strings.Join(keys, ", ") +
		"}\ninlong: {proxies: [dp1:46801]}\nroutes: [{topics: [t], group: g, stream: s}]\n"
	return text, strings.NewReplacer(dir+"/", "")
}

// Each of these was "holds no certificate", "failed to find any PEM data" or "private key does not match public key".
func TestFilesOfTLSThatCannotServeAreNamed(t *testing.T) {
	hour, now := time.Hour, time.Now()
	ca := sign(t, "ca", true, now.Add(-hour), now.Add(hour), nil)
	client := sign(t, "client", false, now.Add(-hour), now.Add(hour), ca)
	other := sign(t, "other", false, now.Add(-hour), now.Add(hour), ca)
	mark := []byte(byteOrderMark)
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for _, row := range []struct {
		name          string
		ca, cert, key []byte
		want          []string // a problem each
	}{
		{"good", ca.pem, client.pem, client.keyPEM, nil},
		{"a good chain", ca.pem, join(client.pem, ca.pem), client.keyPEM, nil},
		{"text before a certificate", join([]byte("subject=CN = ca\n"), ca.pem), nil, nil, nil},
		{"PKCS#12 everywhere", sample(t, "store.p12"), sample(t, "store.p12"), sample(t, "store.p12"), []string{
			"kafka.tls.ca_file: ca.crt is PKCS#12 (.p12, .pfx), not PEM; take the parts out: openssl pkcs12 -in ca.crt -clcerts",
			"kafka.tls.cert_file: tls.crt is PKCS#12",
			"kafka.tls.key_file: tls.key is PKCS#12",
		}},
		{"an encrypted key of PKCS#8", nil, client.pem, sample(t, "encrypted-pkcs8.key"), []string{
			"kafka.tls.key_file: the key in tls.key is encrypted, and the bridge takes no passphrase; decrypt it: openssl pkey -in tls.key",
		}},
		{"an encrypted key of OpenSSL", nil, client.pem, sample(t, "encrypted-openssl.key"), []string{"kafka.tls.key_file: the key in tls.key is encrypted"}},
		{"the CA first", nil, join(ca.pem, client.pem), client.keyPEM, []string{
			`kafka.tls.cert_file: tls.crt begins with the certificate of "CN=ca", but the certificate for the key is number 2, of "CN=client"; put that one first`,
		}},
		{"another key", nil, join(client.pem, ca.pem), other.keyPEM, []string{
			`kafka.tls.cert_file: the certificate of "CN=client" in tls.crt does not belong to the key in tls.key; name a certificate and its own key`,
		}},
		{"files exchanged", client.keyPEM, client.keyPEM, client.pem, []string{
			"kafka.tls.ca_file: ca.crt holds PRIVATE KEY and no certificate",
			"kafka.tls.cert_file: tls.crt holds PRIVATE KEY and no certificate",
			"kafka.tls.key_file: tls.key holds CERTIFICATE and no private key",
		}},
		{"DER", ca.der, client.der, client.keyDER, []string{
			"kafka.tls.ca_file: ca.crt is a certificate in DER form, not PEM; convert it: openssl x509 -inform der -in ca.crt",
			"kafka.tls.cert_file: tls.crt is a certificate in DER form",
			"kafka.tls.key_file: tls.key is a private key in DER form, not PEM; convert it: openssl pkey -inform der -in tls.key",
		}},
		{"a byte order mark", join(mark, ca.pem, ca.pem), join(mark, client.pem), join(mark, client.keyPEM), []string{
			"kafka.tls.ca_file: ca.crt begins with a byte order mark (EF BB BF), which counts as part of it; save it as UTF-8 without one",
			"kafka.tls.cert_file: tls.crt begins with a byte order mark",
			"kafka.tls.key_file: tls.key begins with a byte order mark",
		}},
		{"UTF-16", utf16(ca.pem), utf16(client.pem), utf16(client.keyPEM), []string{
			"kafka.tls.ca_file: ca.crt is UTF-16, as some editors and PowerShell write it, or binary; save it as UTF-8 without a byte order mark",
			"kafka.tls.cert_file: tls.crt is UTF-16",
			"kafka.tls.key_file: tls.key is UTF-16",
		}},
		{"a Java keystore", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"), nil, nil, []string{"kafka.tls.ca_file: ca.crt is a Java keystore, not PEM; make PKCS#12 of it: keytool"}},
		{"nothing", []byte("-"), []byte("-"), []byte("-"), []string{
			"kafka.tls.ca_file: ca.crt holds no certificate", "kafka.tls.cert_file: tls.crt holds no certificate", "kafka.tls.key_file: tls.key holds no private key",
		}},
		{"damaged", []byte(strings.Replace(string(ca.pem), "MII", "AII", 1)), client.pem, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), []string{
			"kafka.tls.ca_file: ca.crt holds no certificate that can be read", "kafka.tls.cert_file: tls.crt and tls.key cannot be used",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			text, paths := withTLS(t, row.ca, row.cert, row.key)
			c, err := Parse("f", []byte(text), env())
			said := ""
			if err != nil {
				said = paths.Replace(err.Error())
			}
			if (c == nil) != (len(row.want) > 0) || strings.Count(said, "f:5: ") != len(row.want) {
				t.Errorf("got\n%s\nwant %d problems of line 5", said, len(row.want))
			}
			for _, want := range row.want {
				if !strings.Contains(said, "f:5: "+want) {
					t.Errorf("got\n%s\nwant %q", said, want)
				}
			}
			if c != nil {
				if notes := strings.Join(c.Notes(), "\n"); notes != "" {
					t.Errorf("notes: %s", notes)
				}
			}
		})
	}
}

// Files are read again, and what has expired may be renewed while the bridge waits: that is a note, no mistake.
func TestCertificatesThatAreNotValidTodayAreNoted(t *testing.T) {
	hour, now := time.Hour, time.Now()
	good := sign(t, "good", true, now.Add(-hour), now.Add(hour), nil)
	old := sign(t, "old", true, now.Add(-2*hour), now.Add(-hour), nil)
	early := sign(t, "early", true, now.Add(hour), now.Add(2*hour), nil)
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	when := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	for _, row := range []struct {
		name          string
		ca, cert, key []byte
		want          []string
	}{
		{"one of them is good", append(old.pem, good.pem...), append(good.pem, old.pem...), good.keyPEM, nil},
		{"expired", append(early.pem, old.pem...), old.pem, old.keyPEM, []string{
			fmt.Sprintf(`kafka.tls.ca_file (line 5): the certificate of "CN=old" expired at %s; renew it, or set the clock right`, when(old.cert.NotAfter)),
			fmt.Sprintf(`kafka.tls.cert_file (line 5): the certificate of "CN=old" expired at %s; renew it, or set the clock right`, when(old.cert.NotAfter)),
		}},
		{"not valid yet", nil, early.pem, early.keyPEM, []string{
			fmt.Sprintf(`kafka.tls.cert_file (line 5): the certificate of "CN=early" is valid from %s only; set the clock right, or wait`, when(early.cert.NotBefore)),
		}},
		{"one cannot be read", append(broken, good.pem...), nil, nil, []string{
			"kafka.tls.ca_file (line 5): 1 of 2 certificates cannot be read and are left out: x509: malformed certificate",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			text, _ := withTLS(t, row.ca, row.cert, row.key)
			got := parse(t, text).Notes()
			if strings.Join(got, "\n") != strings.Join(row.want, "\n") {
				t.Errorf("notes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}
