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

// Reasons found in an [Error] with errors.Is.
var (
	// ErrRefused means that the Manager understood the question and said no, for example because it
	// does not know the group. Every Manager of an installation says the same, so no other is asked.
	ErrRefused = errors.New("the Manager refused")
	// ErrNoNodes means that the Manager knows the group and has no DataProxy for it.
	ErrNoNodes = errors.New("the Manager lists no DataProxy")
	// ErrNoQueue means that the Manager knows no queue cluster behind the proxies.
	ErrNoQueue = errors.New("the Manager lists no queue cluster")
	// ErrMalformed means that the answer is not what a Manager answers.
	ErrMalformed = errors.New("the answer is malformed")
)

// Error is a question that one Manager did not answer. When several were asked in vain, errors.As
// finds the first one's.
type Error struct {
	URL    string // base URL that was asked, without credentials
	Op     string // what was asked for
	Status int    // of HTTP; 0 when there was none
	Hint   string // what to do; may be empty
	Err    error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s at %s: %v", e.Op, e.URL, e.Err)
	if e.Hint != "" {
		s += "; hint: " + e.Hint
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
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("nothing came within %v; check the address and the firewalls between, or raise the time-out", timeout)
	case errors.As(err, &dns):
		return "the host name cannot be resolved; check its spelling and the DNS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there; check host and port, and that the Manager is running"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &notTLS):
		return "the port does not speak TLS; use http://"
	case errors.As(err, &authority):
		return "the certificate is signed by an unknown authority; configure its CA certificate"
	case errors.As(err, &host):
		return "the certificate is for another name; use the name it was made for"
	case errors.As(err, &invalid):
		return "the certificate is not valid; look at its dates and purpose"
	}
	return "check the address, and that the Manager is running"
}

// statusHint says what to do about an answer with a status other than 200.
func statusHint(status int, credentials bool) string {
	switch {
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && !credentials:
		return "the Manager wants credentials; configure secret_id and secret_key"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return "the Manager does not accept the credentials; check secret_id and secret_key"
	case status == http.StatusNotFound:
		return "there is no InLong Manager under this URL; give its base URL only, http(s)://host:port"
	case status >= 300 && status < 400:
		return "the Manager is somewhere else; configure the URL it redirects to"
	case status == http.StatusBadRequest:
		return "the port may expect TLS; try https://"
	case status == http.StatusTooManyRequests || status >= 500:
		return "the Manager, or what stands before it, is in trouble; look at its log"
	}
	return "this is not what an InLong Manager answers; check the URL"
}
