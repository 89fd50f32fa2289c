package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout bounds the whole question, so that it ends before the time-out of a container engine (which kills the command
// and says nothing).
const healthTimeout = 2 * time.Second

func newHealth(e *env) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "health -c FILE",
		Short: "ask a running bridge whether its process lives",
		Long: `health asks GET /healthz at admin.listen of the configuration, within 2 seconds: whether the
process lives. It never asks /readyz: a bridge that waits for a proxy or for Kafka is well,
and restarting it would not help. For the HEALTHCHECK of an image that has no shell.

Exit code 0 when it answers ok, 1 when it does not, 2 for a bad configuration or one
without admin.listen.`,
		Example: "  inlong-bridge health -c bridge.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			if cfg.Admin.Listen == "" {
				return usagef("%s: admin.listen is empty, so there is nothing to ask; hint: set it, or use no health check", path)
			}
			address, err := dialAddress(cfg.Admin.Listen)
			if err != nil {
				return &usageError{err}
			}
			if err := askHealth(cmd.Context(), address); err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.stdout, "ok")
			return err
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// dialAddress returns where a server that listens on listen is reached from the same machine.
func dialAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("admin.listen %q: %w", listen, err)
	}
	// A port of 0 is chosen by the system at each start, and nothing here can know which.
	if port == "0" {
		return "", fmt.Errorf("admin.listen %q: port 0 is another one at each start; hint: choose a fixed port", listen)
	}
	// Not localhost, which asks a resolver that an image from scratch may not have.
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

func askHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	url := "http://" + address + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	// No proxy of the environment and no redirect: the bridge itself must answer.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w; hint: the bridge does not run here, or not with this configuration", url, err)
	}
	defer response.Body.Close()
	// The headers may come in time and the rest never.
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10)); err != nil {
		return fmt.Errorf("asking %s: reading the answer: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: answered %s, want 200", url, response.Status)
	}
	return nil
}
