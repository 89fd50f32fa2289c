package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"inlong-bridge/sdk/dptest"
)

// startManager starts the Manager of devproxy, and returns its URL.
func (f *devproxyFlags) startManager(ctx context.Context, proxies []*dptest.Proxy) (m *dptest.Manager, url string, err error) {
	var opts []dptest.ManagerOption
	if id, key, ok := strings.Cut(f.auth, ":"); ok {
		opts = append(opts, dptest.WithAuth(id, key))
	}
	m = dptest.NewManager(opts...)
	m.SetNodes(f.nodes(proxies)...)
	m.SetQueue(f.queueConfig())
	if len(f.streams) > 0 {
		var groups []string
		for _, id := range f.streams {
			group, _, _ := strings.Cut(id, ".")
			groups = append(groups, group)
		}
		m.SetGroups(groups...)
	}
	for _, c := range f.clusterIDs {
		group, id, _ := strings.Cut(c, "=")
		n, _ := strconv.Atoi(id) // check has looked at it
		m.SetClusterID(group, n)
	}
	var config *tls.Config
	if f.https != "" {
		if config, err = f.certificate(); err != nil {
			return nil, "", err
		}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.manager)
	if err != nil {
		return nil, "", listenError(err, "Manager", f.manager, "--manager")
	}
	url = "http://" + l.Addr().String()
	if config != nil {
		url = "https://" + l.Addr().String()
		l = tls.NewListener(l, config)
	}
	m.Serve(l)
	return m, url, nil
}

// certificate makes a certificate for the Manager that lasts for a month, and writes it to the file of --manager-https.
func (f *devproxyFlags) certificate() (*tls.Config, error) {
	failed := func(err error) (*tls.Config, error) {
		return nil, fmt.Errorf("making the certificate of --manager-https: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return failed(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "devproxy"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	host, _, _ := net.SplitHostPort(f.manager) // check has looked at it
	for _, name := range []string{host, f.advertise} {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if name != "" {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return failed(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(f.https, text, 0o644); err != nil {
		return nil, fmt.Errorf("writing the certificate of --manager-https: %w; hint: choose a file that can be written", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, nil
}

// nodes are the addresses that the Manager hands out.
func (f *devproxyFlags) nodes(proxies []*dptest.Proxy) (addrs []string) {
	for _, p := range proxies {
		host, port, _ := net.SplitHostPort(p.Addr())
		if f.advertise != "" {
			host = f.advertise
		} else if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		addrs = append(addrs, net.JoinHostPort(host, port))
	}
	return addrs
}

// queueConfig is what the Manager tells about the queue: its brokers, and the topics of the streams that
// were named.
func (f *devproxyFlags) queueConfig() dptest.QueueConfig {
	var c dptest.QueueConfig
	queues, err := parseDevQueues(f.queues)
	if err != nil || len(queues) == 0 {
		return c
	}
	for i, q := range queues {
		name := "devproxy"
		if i > 0 {
			name += "-" + strconv.Itoa(i+1)
		}
		c.Type = q.kind
		c.Clusters = append(c.Clusters, dptest.QueueClusterConfig{Name: name, Params: q.params()})
	}
	for _, id := range f.streams {
		if group, stream, ok := strings.Cut(id, "."); ok {
			c.Streams = append(c.Streams, queues[0].streamConfig(group, stream))
		}
	}
	return c
}
