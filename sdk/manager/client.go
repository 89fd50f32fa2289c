package manager

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// maxBody bounds the bytes of an answer that are read.
const maxBody = 4 << 20

// Config says where the Manager is and how to authenticate.
type Config struct {
	URLs      []string // base URLs, http(s)://host:port, or URLs that CutURL can cut to one; tried in turn
	SecretID  string
	SecretKey func() (string, error) // called at each request, so that a rotated file takes effect; nil for none
	Tenant    string                 // sent as the header tenant; "" sends none, and the Manager assumes public
	TLS       *tls.Config
	Timeout   time.Duration // of one request to one Manager; must be positive
}

// Client is safe for concurrent use.
type Client struct {
	urls      []string // without a slash at the end
	secretID  string
	secretKey func() (string, error)
	tenant    string
	timeout   time.Duration
	http      *http.Client
	proxy     func(*http.Request) (*url.URL, error) // of the environment

	lastGood atomic.Int64 // index into urls of the Manager that answered last
}

// New checks cfg and returns a client. It does no I/O.
func New(cfg Config) (*Client, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("manager: no URL; give at least one, such as http://manager:8083")
	}
	c := &Client{secretID: cfg.SecretID, secretKey: cfg.SecretKey, tenant: cfg.Tenant, timeout: cfg.Timeout, proxy: http.ProxyFromEnvironment}
	for _, raw := range cfg.URLs {
		base, err := baseURL(raw)
		if err != nil {
			return nil, err
		}
		c.urls = append(c.urls, base)
	}
	switch {
	case cfg.Timeout <= 0:
		return nil, fmt.Errorf("manager: time-out %v is not positive; give one request a few seconds", cfg.Timeout)
	case cfg.SecretID == "" && cfg.SecretKey != nil:
		return nil, errors.New("manager: a secret key without a secret id; configure both or neither")
	case cfg.SecretID != "" && cfg.SecretKey == nil:
		return nil, errors.New("manager: a secret id without a secret key; configure both or neither")
	case strings.Contains(cfg.SecretID, ":"):
		return nil, errors.New("manager: the secret id contains ':', which separates it from the key; no Manager accepts that")
	case !printable(cfg.Tenant):
		return nil, fmt.Errorf("manager: tenant %q begins or ends with white space, or contains a control character; give only the name of the tenant", cfg.Tenant)
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:           func(r *http.Request) (*url.URL, error) { return c.proxy(r) },
			TLSClientConfig: cfg.TLS.Clone(),
			// Requests are minutes apart: an idle connection would often be dead at the next one.
			DisableKeepAlives: true,
		},
		// A redirected POST would arrive as a GET, perhaps elsewhere and without credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// printable reports whether a header can carry s unchanged.
func printable(s string) bool {
	return s == strings.TrimSpace(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// root is the beginning of every path of the Manager.
const root = "/inlong/manager"

// CutURL splits a URL into the Manager's base, to which a Client adds paths, and the rest. The rest is "" for a base URL.
// It is the path of a request if the URL was copied from the configuration of one of InLong's SDKs, which have
// http://host:port/inlong/manager/openapi/dataproxy/getIpList, some with the group behind it.
func CutURL(raw string) (base, rest string) {
	i := strings.Index(raw, root)
	if i < 0 {
		return raw, ""
	}
	if rest = raw[i:]; len(rest) > len(root) && !strings.ContainsRune("/?#", rune(rest[len(root)])) {
		return raw, "" // such as /inlong/manager-2, of a gateway before the Manager
	}
	return raw[:i], rest
}

// baseURL checks one URL. It never repeats a URL that may hold a password.
func baseURL(raw string) (string, error) {
	raw, _ = CutURL(strings.TrimSpace(raw))
	u, err := url.Parse(raw)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err
		}
		if strings.Contains(raw, "@") {
			return "", errors.New("manager: one of the URLs cannot be parsed; give http(s)://host:port, and credentials as SecretID and SecretKey")
		}
		return "", fmt.Errorf("manager: URL %q: %w; give http(s)://host:port", raw, err)
	}
	switch {
	case u.User != nil || strings.Contains(raw, "@"):
		return "", fmt.Errorf("manager: the URL of host %q contains credentials; give them as SecretID and SecretKey", u.Host)
	case (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return "", fmt.Errorf("manager: URL %q is not of the form http(s)://host:port", raw)
	case u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("manager: URL %q has a query or a fragment; give http(s)://host:port", raw)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// question is one request that any of the Managers can answer.
type question struct {
	op          string // for errors: the purpose of the request
	path        string // escaped, behind the base URL
	contentType string
	body        string
}

// ask sends q to each Manager in turn, beginning with the one that answered last, until read accepts an answer. An answer
// that read calls final (a refusal, an empty list) ends the round.
func (c *Client) ask(ctx context.Context, q question, read func(body []byte) (hint string, err error)) error {
	var failed failures
	first := int(c.lastGood.Load())
	for i := range c.urls {
		at := (first + i) % len(c.urls)
		e := &Error{URL: c.urls[at], Op: q.op}
		body, err := c.post(ctx, e, q)
		if err == nil {
			e.Hint, err = read(body)
		}
		if err == nil {
			c.lastGood.Store(int64(at))
			return nil
		}
		e.Err = err
		failed = append(failed, e)
		if isFinal(err) {
			e.Proxy = "" // the Manager itself answered
			c.lastGood.Store(int64(at))
			return e
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return failed
}

// isFinal reports whether every Manager would give the same answer.
func isFinal(err error) bool {
	return errors.Is(err, ErrRefused) || errors.Is(err, ErrNoNodes) || errors.Is(err, ErrNoQueue)
}

// post sends q to the Manager at e.URL and returns the body of its answer. It fills in e's status and hint.
func (c *Client) post(ctx context.Context, e *Error, q question) ([]byte, error) {
	reqCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(reqCtx, http.MethodPost, e.URL+q.path, strings.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", q.contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "inlong-bridge")
	if c.secretKey != nil {
		key, err := c.secretKey()
		if err != nil {
			return nil, fmt.Errorf("reading the secret key: %w", err)
		}
		if key == "" || strings.ContainsAny(key, ":\r\n") {
			return nil, errors.New("the secret key is empty or contains ':' or a line break; no Manager accepts that")
		}
		req.SetBasicAuth(c.secretID, key)
	}
	if c.tenant != "" {
		req.Header.Set("tenant", c.tenant)
	}

	if u, err := c.proxy(req); err == nil && u != nil {
		e.Proxy = u.Scheme + "://" + u.Host // without credentials
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.noAnswer(ctx, e, err)
	}
	defer resp.Body.Close()
	e.Status = resp.StatusCode
	if resp.StatusCode != http.StatusOK {
		e.Hint = statusHint(resp.StatusCode, c.secretKey != nil, c.tenant)
		return nil, fmt.Errorf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, c.noAnswer(ctx, e, err)
	}
	if len(body) > maxBody {
		e.Hint = "an InLong Manager does not answer like this; check the URL"
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxBody)
	}
	return body, nil
}

// noAnswer distinguishes an end that the caller wanted from a failure of the request.
func (c *Client) noAnswer(ctx context.Context, e *Error, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e.Hint = transportHint(err, c.timeout)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // the message has the URL already
	}
	return err
}
