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

// healthTimeout bounds the whole request, so that it ends before the time-out of a container engine, which kills the
// command without a message.
const healthTimeout = 2 * time.Second

func newHealth(e *env) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "health -c FILE",
		Short: "check that a running bridge is alive",
		Long: `health sends GET /healthz to admin.listen of the configuration and waits at most 2 seconds
for the answer. It never asks /readyz: a bridge that waits for a proxy or for Kafka is
healthy, and restarting it would not help. It serves as the HEALTHCHECK of an image without
a shell.

Exit code 0 if the bridge answers ok, 1 if it does not, 2 if the configuration is wrong or
has no admin.listen.`,
		Example: "  inlong-bridge health -c bridge.yaml",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			if cfg.Admin.Listen == "" {
				return usagef("%s: admin.listen is empty, so there is no server to ask; hint: set it, or run without a health check", path)
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

// dialAddress returns the address under which this machine reaches a server that listens on listen.
func dialAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("admin.listen %q: %w", listen, err)
	}
	// The system replaces port 0 by a free one at each start, and this command cannot know which.
	if port == "0" {
		return "", fmt.Errorf("admin.listen %q: port 0 means a different port at each start; hint: choose a fixed port", listen)
	}
	// Not localhost: an image from scratch may have no resolver.
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
	// No proxy from the environment and no redirect: the bridge itself must answer.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w; hint: is the bridge running here, and with this configuration?", url, err)
	}
	defer response.Body.Close()
	// The headers may arrive in time, and the body never.
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10)); err != nil {
		return fmt.Errorf("asking %s: reading the answer: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s: answered %s, want 200", url, response.Status)
	}
	return nil
}
