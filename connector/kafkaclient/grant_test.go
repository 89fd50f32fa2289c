package kafkaclient

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/connector/config"
)

// login is a token endpoint: it gives token-1, token-2, ... to client bridge with the secret it holds.
type login struct {
	*httptest.Server
	asked  atomic.Int64
	secret atomic.Value
	life   atomic.Int64
	reply  atomic.Value // func(http.ResponseWriter), instead of a token
}

func startLogin(t *testing.T) (*login, config.TLS) {
	t.Helper()
	l := &login{}
	l.secret.Store("s3cret")
	l.life.Store(100)
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := l.asked.Add(1)
		if f, ok := l.reply.Load().(func(http.ResponseWriter)); ok {
			f(w)
			return
		}
		id, secret, _ := r.BasicAuth()
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "a b" || id != "bridge" || secret != l.secret.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client","error_description":"no such client"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("token-%d", n), "expires_in": l.life.Load()})
	}))
	t.Cleanup(l.Close)
	ca := file(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw}))
	return l, config.TLS{Enabled: true, CAFile: ca}
}

func (l *login) sasl(secret config.Secret) config.SASL {
	return config.SASL{Mechanism: "oauthbearer", TokenURL: l.URL + "/token", ClientID: "bridge", ClientSecret: secret, Scopes: []string{"a", "b"}}
}

func mustToken(t *testing.T, g *grant, want string) {
	t.Helper()
	got, err := g.token(t.Context())
	if err != nil || got != want {
		t.Fatalf("token = %q, %v, want %q", got, err, want)
	}
}

func TestTokenIsKeptUntilShortlyBeforeItExpires(t *testing.T) {
	l, tc := startLogin(t)
	g, err := newGrant(l.sasl(config.NewSecret("s3cret")), tc)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	g.now = func() time.Time { return now }
	mustToken(t, g, "token-1")
	now = now.Add(89 * time.Second)
	mustToken(t, g, "token-1")
	now = now.Add(2 * time.Second) // past nine tenths of 100 s
	mustToken(t, g, "token-2")

	l.life.Store(0) // a server that does not say how long
	now = now.Add(time.Hour)
	mustToken(t, g, "token-3")
	mustToken(t, g, "token-4")
}

func TestConcurrentAuthenticationsAskOnce(t *testing.T) {
	l, tc := startLogin(t)
	g, err := newGrant(l.sasl(config.NewSecret("s3cret")), tc)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if v, err := g.token(t.Context()); v != "token-1" {
				t.Errorf("token = %q, %v", v, err)
			}
		})
	}
	wg.Wait()
	if n := l.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestRotatedClientSecretAsksAnew(t *testing.T) {
	l, tc := startLogin(t)
	path := file(t, "secret", []byte("s3cret\n"))
	g, err := newGrant(l.sasl(config.SecretFromFile(path)), tc)
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, g, "token-1")
	l.secret.Store("newer")
	write(t, path, []byte("newer\n"))
	mustToken(t, g, "token-2")
}

func TestTokenEndpointErrorsSayWhatToDo(t *testing.T) {
	l, tc := startLogin(t)
	for _, c := range []struct {
		name, want string
		secret     string
		reply      func(http.ResponseWriter)
	}{
		{"wrong secret", "invalid_client no such client; check client_id", "wrong", nil},
		{"not found", "404 Not Found; check token_url", "s3cret", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }},
		{"a redirect is not followed", "302 Found; check token_url", "s3cret", func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		}},
		{"no json", "not JSON", "s3cret", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }},
		{"no token", "no access_token", "s3cret", func(w http.ResponseWriter) { _, _ = w.Write([]byte("{}")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.reply != nil {
				l.reply.Store(c.reply)
			}
			g, err := newGrant(l.sasl(config.NewSecret(c.secret)), tc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.token(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q without the secret", err, c.want)
			}
		})
	}
	if _, err := newGrant(config.SASL{TokenURL: "http://login/token"}, tc); err == nil {
		t.Error("a token endpoint without TLS was accepted")
	}
}

func TestTokenFileIsReadAtEachAuthentication(t *testing.T) {
	path := file(t, "token", []byte("first\n"))
	m, err := mechanism(config.SASL{Mechanism: "oauthbearer", Token: config.SecretFromFile(path)}, config.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"first", "second"} {
		write(t, path, []byte(token+"\n"))
		_, hello, err := m.Authenticate(t.Context(), "broker:9092")
		if err != nil || !strings.Contains(string(hello), "auth=Bearer "+token+"\x01") {
			t.Errorf("hello = %q, %v, want token %s", hello, err, token)
		}
	}
}
