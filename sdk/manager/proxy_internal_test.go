package manager

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// through is a client whose questions go through an HTTP proxy, as they do where HTTP_PROXY names one.
func through(t *testing.T, proxy string) *Client {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{URLs: []string{"http://manager.example:8083"}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c.proxy = func(*http.Request) (*url.URL, error) { return u, nil }
	return c
}

// A proxy of the environment answers for a Manager that it does not reach, and its answers look like the Manager's.
// Before, the error named the Manager alone.
func TestErrorsNameTheHTTPProxyThatIsInForce(t *testing.T) {
	var status int
	var body string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	withPassword := strings.Replace(srv.URL, "://", "://user:password@", 1)
	for _, row := range []struct {
		name, proxy string
		status      int
		body        string
		says        []string // with the proxy's address and NO_PROXY; none when the Manager itself answered
	}{
		{"it cannot reach the Manager", withPassword, 502, "", []string{"status 502"}},
		{"it requires credentials", withPassword, 407, "", []string{"status 407", "requires credentials"}},
		{"it shows a page", withPassword, 200, "<html>", []string{"malformed"}},
		{"it is down", "http://127.0.0.1:1", 0, "", []string{"cannot be reached"}},
		{"the Manager refuses", withPassword, 200, `{"success":false,"errMsg":"no such group"}`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, body = row.status, row.body
			_, err := through(t, row.proxy).NodeList(t.Context(), "g1")
			if err == nil {
				t.Fatal("no error")
			}
			if row.says == nil {
				if strings.Contains(err.Error(), "PROXY") {
					t.Errorf("error %q names the proxy although the Manager answered", err)
				}
				return
			}
			_, host, _ := strings.Cut(strings.Replace(row.proxy, "user:password@", "", 1), "://")
			for _, want := range append(row.says, "http://manager.example:8083 through the HTTP proxy http://"+host+": ", "NO_PROXY") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "password") {
				t.Errorf("error %q tells a password", err)
			}
		})
	}
}
