//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

// jwt is a token that no key has signed; brokers without keys take it, and ask only who and until when.
func jwt(subject string, expires time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." +
		part(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, subject, time.Now().Unix(), expires.Unix())) + "."
}

// tokenUser is who the tokens are about; it may do everything.
const tokenUser = "token-bridge"

// A bridge that gets tokens from a file, and one that asks for them.
func withToken(b *bench, k *kafka) {
	const group = "token"
	topics := []string{"token"}
	k.createTopics(2, 1, topics)
	to := b.startSink(k.cluster, 1, topics, 1, "--queue-delay", "100ms")
	l := newLedger()
	login := func(sasl map[string]any) map[string]any {
		sasl["mechanism"] = "oauthbearer"
		return map[string]any{"tls": map[string]any{"ca_file": k.secure.ca}, "sasl": sasl}
	}
	asked := 0
	issuer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "bridge" || secret != "s3cret" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		asked++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":600}`, jwt(tokenUser, time.Now().Add(10*time.Minute)))
	}))
	cert, err := tls.LoadX509KeyPair(k.secure.server, k.secure.server)
	if err != nil {
		b.Fatal(err)
	}
	issuer.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	issuer.StartTLS()
	defer issuer.Close()
	good := b.write("token", jwt(tokenUser, time.Now().Add(time.Hour)))
	for _, config := range []map[string]any{
		login(map[string]any{"token_file": good}),
		login(map[string]any{"token_url": issuer.URL, "client_id": "bridge", "client_secret": "s3cret"}),
	} {
		source := k.through(k.nodes[0].oauth, config)
		to.queue = source
		l.produce(k.cluster, 500, topics...)
		bridge := b.startBridge("bridge", bridgeSettings(source, group, topics, to))
		k.caughtUp(group, topics, drainLimit, bridge)
		bridge.signal(syscall.SIGTERM)
		if code := bridge.wait(drainLimit); code != 0 {
			b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, bridge.tail())
		}
	}
	to.queue = k.cluster
	b.complete("with a token", l.judge(to.inQueue(topics)), 0)
	if asked == 0 {
		b.Error("nobody asked for a token")
	}
	b.Run("expired token", func(t *testing.T) {
		b := b.on(t)
		old := login(map[string]any{"token_file": b.write("old-token", jwt(tokenUser, time.Now().Add(-time.Hour)))})
		endsOrRetries(t, b.startBridge("expired-token", bridgeSettings(k.through(k.nodes[0].oauth, old), group, topics, to)), "refuses the token")
	})
}
