package connector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// web is the admin server.
type web struct {
	ln   net.Listener
	srv  *http.Server
	done chan struct{}
}

// listenAdmin starts the server, nil when none is configured. A port in use is an error at once.
func listenAdmin(b *Bridge) (*web, error) {
	if b.cfg.Admin.Listen == "" {
		return nil, nil
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", b.cfg.Admin.Listen)
	if err != nil {
		hint := "choose an address of this machine, or set admin.listen to \"\" for no server"
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			hint = "another process has the port; choose another, or set admin.listen to \"\" for no server"
		case errors.Is(err, syscall.EACCES):
			hint = "this user may not listen there; choose a port above 1023"
		}
		return nil, fmt.Errorf("listening on admin.listen %s: %w; hint: %s", b.cfg.Admin.Listen, err, hint)
	}
	w := &web{ln: ln, done: make(chan struct{})}
	w.srv = &http.Server{Handler: b.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelWarn)}
	go func() {
		defer close(w.done)
		if err := w.srv.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			b.log.Error("admin server ended", "err", err)
		}
	}()
	return w, nil
}

func (w *web) addr() string { return w.ln.Addr().String() }

func (w *web) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.srv.Shutdown(ctx) != nil {
		_ = w.srv.Close() // whoever still reads a profile is cut off
	}
	<-w.done
}

// handler serves /metrics, /healthz (the process lives), /readyz (it does its work; 503 with the reasons
// otherwise), /status and, when enabled, /debug/pprof/.
func (b *Bridge) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.deps.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := b.Status().Ready
		code := http.StatusOK
		if !r.Ready {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, r)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, b.Status()) })
	if b.cfg.Admin.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the reader went away
}
