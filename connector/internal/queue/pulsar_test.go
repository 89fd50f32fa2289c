//go:build !nopulsar

package queue

import (
	"strings"
	"testing"

	"inlong-bridge/connector/config"
)

// A token must not go out in clear because the Manager names an address without TLS.
func TestPulsarClusterWithoutTLSIsRefusedWhereTLSIsConfigured(t *testing.T) {
	for _, tt := range []struct {
		url     string
		enabled bool
		ok      bool
	}{
		{"pulsar://p:6650", true, false}, {"pulsar://p:6650", false, true}, {"pulsar+ssl://p:6651", true, true}, {"pulsar+ssl://p:6651", false, true},
	} {
		c, err := pulsarCluster(config.PulsarCluster{Name: "p", ServiceURL: tt.url, TLS: config.TLS{Enabled: tt.enabled}})
		if (err == nil) != tt.ok || tt.ok && (c.TLS != nil) != strings.HasPrefix(tt.url, "pulsar+ssl") {
			t.Errorf("%s with tls %v: TLS %v, %v", tt.url, tt.enabled, c.TLS != nil, err)
		}
		if err == nil && c.AdminTLS != nil && c.AdminTLS.ServerName != "" {
			t.Errorf("%s: the admin URL, which may be another host's, must show a certificate for %s", tt.url, c.AdminTLS.ServerName)
		}
	}
}
