package pulsar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// errNoNamespace says that a topic can never appear before somebody creates its namespace.
var errNoNamespace = errors.New("the namespace does not exist")

// askNamespace asks the admin URL, where there is one, whether the namespace of a topic exists. The protocol of the
// brokers does not tell a missing topic from a missing namespace. Only a clear no is an error: the right to ask
// may be missing.
func (c *cluster) askNamespace(ctx context.Context, topic string) error {
	parts := strings.Split(strings.TrimPrefix(topic, "persistent://"), "/")
	if c.cfg.AdminURL == "" || len(parts) != 3 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	url := strings.TrimSuffix(c.cfg.AdminURL, "/") + "/admin/v2/namespaces/" + parts[0] + "/" + parts[1] + "/retention"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if c.cfg.Token != nil {
		token, err := c.cfg.Token()
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c.cfg.AdminTLS, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
	resp, err := client.Do(req)
	if err != nil {
		c.Log().Warn("asking the admin URL of a queue cluster fails", "cluster", c.Name(), "err", err)
		return nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return c.explain(fmt.Errorf("%w: NamespaceNotFound: %s/%s", errNoNamespace, parts[0], parts[1]), topic)
	}
	return nil
}
