package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDialAddress(t *testing.T) {
	for _, tc := range []struct{ listen, want string }{
		{":8080", "127.0.0.1:8080"},
		{"0.0.0.0:8080", "127.0.0.1:8080"},
		{"[::]:8080", "[::1]:8080"},
		{"10.0.0.7:8080", "10.0.0.7:8080"},
		{"bridge:8080", "bridge:8080"},
	} {
		if got, err := dialAddress(tc.listen); err != nil || got != tc.want {
			t.Errorf("dialAddress(%q) = %q, %v, want %q", tc.listen, got, err, tc.want)
		}
	}
	for _, listen := range []string{"", "8080", "127.0.0.1:0"} {
		if got, err := dialAddress(listen); err == nil {
			t.Errorf("dialAddress(%q) = %q, want an error", listen, got)
		}
	}
}

// configOf is a good configuration with this admin server.
func configOf(t *testing.T, listen string) string {
	t.Helper()
	return writeFile(t, goodConfig+"admin: {listen: '"+listen+"'}\n")
}

func TestHealthAsksHealthzAndNothingElse(t *testing.T) {
	var asked []string
	// An environment's proxy would answer for a bridge that is gone.
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	code, stdout, stderr := invoke(t, "health", "-c", configOf(t, server.Listener.Addr().String()))
	if code != exitClean || stdout != "ok\n" || stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q, want 0 and ok", code, stdout, stderr)
	}
	if got := strings.Join(asked, " "); got != "/healthz" {
		t.Errorf("asked %s, want /healthz alone", got)
	}
}

func TestHealthFailsWhenNobodyAnswersWell(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer broken.Close()
	moved := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer moved.Close()
	for name, tc := range map[string]struct{ address, want string }{
		"gone":   {gone.Listener.Addr().String(), "hint: is the bridge running here"},
		"broken": {broken.Listener.Addr().String(), "answered 500"},
		"moved":  {moved.Listener.Addr().String(), "answered 302"},
	} {
		code, stdout, stderr := invoke(t, "health", "-c", configOf(t, tc.address))
		if code != exitFailure || stdout != "" || !strings.Contains(stderr, tc.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, stdout %q, stderr %q, want 1 and one line with %q", name, code, stdout, stderr, tc.want)
		}
	}
}

// TestHealthDoesNotWaitForAHang: a process that accepts and says nothing is not well, and a container engine kills a check that
// takes too long without a word of why.
func TestHealthDoesNotWaitForAHang(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	start := time.Now()
	code, _, stderr := invoke(t, "health", "-c", configOf(t, listener.Addr().String()))
	if code != exitFailure || !strings.Contains(stderr, "deadline exceeded") {
		t.Errorf("exit %d, stderr %q, want 1 and a deadline", code, stderr)
	}
	if took := time.Since(start); took < healthTimeout || took > 10*healthTimeout {
		t.Errorf("took %v, want about %v", took, healthTimeout)
	}
}

func TestHealthWithoutAServerIsBadConfiguration(t *testing.T) {
	for _, listen := range []string{"", "127.0.0.1:0"} {
		code, _, stderr := invoke(t, "health", "-c", configOf(t, listen))
		if code != exitUsage || !strings.Contains(stderr, "admin.listen") {
			t.Errorf("listen %q: exit %d, stderr %q, want 2", listen, code, stderr)
		}
	}
}
