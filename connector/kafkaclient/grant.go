package kafkaclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"inlong-bridge/connector/config"
)

const (
	grantTimeout  = 10 * time.Second
	grantMaxReply = 1 << 20
)

// grant gets tokens by the client credentials grant (RFC 6749, 4.4) and keeps one until shortly before
// it expires. It is safe for concurrent use; one request is under way at a time.
type grant struct {
	sasl   config.SASL
	caFile string
	now    func() time.Time

	turn    chan struct{} // holds one value; the goroutine that took it owns the fields below
	value   string
	secret  string    // with which value was requested: a rotated secret requests a new one
	expires time.Time // zero if value must not be used again
}

func newGrant(s config.SASL, t config.TLS) (*grant, error) {
	if !strings.HasPrefix(s.TokenURL, "https://") {
		return nil, fmt.Errorf("asking %s for a token: the client's secret would cross the network in clear text; use https", s.TokenURL)
	}
	g := &grant{sasl: s, now: time.Now, turn: make(chan struct{}, 1)}
	if t.Enabled {
		g.caFile = t.CAFile
	}
	g.turn <- struct{}{}
	return g, nil
}

func (g *grant) token(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	select {
	case <-g.turn:
		defer func() { g.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	secret, err := g.sasl.ClientSecret.Value()
	if err != nil {
		return "", err
	}
	if g.secret == secret && g.now().Before(g.expires) {
		return g.value, nil
	}
	value, life, err := g.ask(ctx, secret)
	if err != nil {
		return "", fmt.Errorf("asking %s for a token: %w", g.sasl.TokenURL, err)
	}
	// A token is used for nine tenths of its life, so that it is still valid when the broker checks it.
	g.value, g.secret, g.expires = value, secret, g.now().Add(life/10*9)
	return value, nil
}

// ask makes one request on a new connection: tokens are rare, and the roots may have changed.
func (g *grant) ask(ctx context.Context, secret string) (value string, life time.Duration, err error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if g.caFile != "" {
		if err := config.AddRoots(roots, g.caFile); err != nil {
			return "", 0, fmt.Errorf("reading ca_file: %w", err)
		}
	}
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		DisableKeepAlives: true,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(g.sasl.Scopes) > 0 {
		form.Set("scope", strings.Join(g.sasl.Scopes, " "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.sasl.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(g.sasl.ClientID), url.QueryEscape(secret))
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, grantMaxReply))
	if err != nil {
		return "", 0, err
	}
	var reply struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"` // seconds; 0 if it is missing
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	jsonErr := json.Unmarshal(body, &reply)
	switch {
	case resp.StatusCode != http.StatusOK && reply.Error != "":
		return "", 0, refusedToken{fmt.Errorf("refused with %s: %s %s; check client_id, client_secret and scopes", resp.Status, reply.Error, reply.Description)}
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return "", 0, refusedToken{fmt.Errorf("refused with %s; check token_url, client_id and client_secret", resp.Status)}
	case resp.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("refused with %s; check token_url, client_id and client_secret", resp.Status)
	case jsonErr != nil:
		return "", 0, fmt.Errorf("the reply is not JSON: %w; check token_url", jsonErr)
	case reply.AccessToken == "":
		return "", 0, errors.New("the reply has no access_token; check token_url")
	}
	const year = 365 * 24 * 60 * 60
	return reply.AccessToken, time.Duration(min(max(reply.ExpiresIn, 0), year)) * time.Second, nil
}
