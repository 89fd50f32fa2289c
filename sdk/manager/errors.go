package manager

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Reasons of an [Error], for errors.Is.
var (
	// ErrRefused means that the Manager understood the request and refused it, for example because it does not know the
	// group. Every Manager of an installation gives the same answer, so no other is asked.
	ErrRefused = errors.New("the Manager refused")
	// ErrNoNodes means that the Manager knows the group and has no DataProxy for it.
	ErrNoNodes = errors.New("the Manager lists no DataProxy")
	// ErrNoQueue means that the Manager knows no queue cluster behind the proxies.
	ErrNoQueue = errors.New("the Manager lists no queue cluster")
	// ErrMalformed means that the answer is not one of a Manager.
	ErrMalformed = errors.New("the answer is malformed")
)

// Error is a request that one Manager did not answer. If several failed, errors.As finds the error of the first.
type Error struct {
	URL    string // base URL that was asked, without credentials
	Op     string // what was asked for
	Status int    // of HTTP; 0 when there was none
	Proxy  string // HTTP proxy from the environment that the request used, without credentials; "" for none, and if the Manager answered
	Hint   string // what to do; may be empty
	Err    error
}

func (e *Error) Error() string {
	where, hint := e.URL, e.Hint
	if e.Proxy != "" {
		where += " through the HTTP proxy " + e.Proxy
		if hint != "" {
			hint += "; "
		}
		hint += "the proxy comes from HTTP_PROXY or HTTPS_PROXY; to bypass it, add the Manager's host to NO_PROXY"
	}
	s := fmt.Sprintf("%s at %s: %v", e.Op, where, e.Err)
	if hint != "" {
		s += "; hint: " + hint
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// failures are the errors of all Managers that were asked, in the order of asking.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; then ")
}

func (f failures) Unwrap() []error { return f }

// transportHint says what to do about a request that got no answer.
func transportHint(err error, timeout time.Duration) string {
	var (
		dns       *net.DNSError
		notTLS    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the HTTP proxy cannot be reached; correct its address"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer came within %v; check the address and firewalls, or raise the time-out", timeout)
	case errors.As(err, &dns):
		return "the host name cannot be resolved; check its spelling and DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there; check host and port, and that the Manager is running"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &notTLS):
		return "the port does not speak TLS; use http://"
	case errors.As(err, &authority):
		return "the certificate is signed by an unknown authority; configure its CA certificate"
	case errors.As(err, &host):
		return "the certificate is for another name; use the name in the certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate is valid only from %s to %s; renew it, or correct the clock",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid):
		return "the certificate is not valid; check its dates and purpose"
	}
	return "check the address, and that the Manager is running"
}

// statusHint says what to do about an answer with a status other than 200. tenant is the one in the request.
func statusHint(status int, credentials bool, tenant string) string {
	// The Manager refuses a user without a role in the tenant in the same way as a wrong key.
	asked := "none is configured, so the Manager assumes public; set tenant"
	if tenant != "" {
		asked = fmt.Sprintf("%q is configured; correct tenant", tenant)
	}
	switch {
	case status == http.StatusUnauthorized && !credentials:
		return "the Manager requires credentials; give a secret id and a secret key"
	case status == http.StatusUnauthorized:
		return "the Manager does not accept the credentials; check the secret id and the secret key"
	case status == http.StatusForbidden && !credentials:
		return fmt.Sprintf("either the Manager requires credentials (a secret id and a secret key), or the tenant is wrong (%s)", asked)
	case status == http.StatusForbidden:
		return fmt.Sprintf("either the Manager does not accept the credentials or the user lacks rights (check the secret id and the secret key), or the user has no role in the tenant (%s)", asked)
	case status == http.StatusProxyAuthRequired:
		return "the HTTP proxy requires credentials; put them into its URL, or bypass it"
	case status == http.StatusNotFound:
		return "there is no InLong Manager at this URL; give only its base URL, http(s)://host:port"
	case status >= 300 && status < 400:
		return "the Manager redirects to another URL; configure that one"
	case status == http.StatusBadRequest:
		return "the port may expect TLS; try https://"
	case status == http.StatusTooManyRequests || status >= 500:
		return "the Manager, or a gateway before it, has a problem; look at its log"
	}
	return "an InLong Manager does not answer like this; check the URL"
}
