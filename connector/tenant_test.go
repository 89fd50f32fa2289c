package connector

import (
	"strings"
	"testing"

	"inlong-bridge/connector/config"
	"inlong-bridge/sdk/dptest"
)

// The key of the configuration reaches the Manager, and without it the Manager assumes public.
func TestManagerIsAskedForTheConfiguredTenant(t *testing.T) {
	m := dptest.StartManager(t, dptest.WithTenant("acme"))
	m.SetNodes("127.0.0.1:46801")
	for tenant, refused := range map[string]string{"": "none is configured, so the Manager assumes public", "tenant: acme": "", "tenant: other": `"other" is configured`} {
		text := "kafka: {brokers: [k:9092], group: g}\ninlong:\n  manager:\n    urls: ['" + m.URL() + "/inlong/manager/openapi/dataproxy/getIpList']\n    " +
			tenant + "\nroutes: [{topics: [t], group: g, stream: s}]\n"
		c, err := config.Parse("f", []byte(text), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		client, err := (&Bridge{cfg: c}).managerClient()
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.NodeList(t.Context(), "g")
		if refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), refused)) {
			t.Errorf("%q: %v, want %q", tenant, err, refused)
		}
	}
}
