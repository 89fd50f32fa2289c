package connector

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
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

// handler serves /metrics, /healthz (the process lives), /readyz (it has joined and its loops run; 503 otherwise, and with strict=1
// also when records do not move), /status (with limit=N at most N of each list, with summary=1 no lists) and, when enabled,
// /debug/pprof/.
func (b *Bridge) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(b.deps.Registry))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		strict, err := flagOf(req.URL.Query(), "strict")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r := b.Status().Ready
		code := http.StatusOK
		if !r.Ready || strict && !r.Strict {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, r)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, req *http.Request) {
		cut, err := cutOf(req.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s := b.Status()
		s.Cut(cut)
		writeJSON(w, http.StatusOK, s)
	})
	if b.cfg.Admin.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// metricsHandler serves a registry. With hundreds of streams a scrape is megabytes of text, and the compression that promhttp has built in
// takes as long as making it.
func metricsHandler(from prometheus.Gatherer) http.Handler {
	compressed, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil {
		panic(err) // only for options that cannot be
	}
	return compressed(promhttp.HandlerFor(from, promhttp.HandlerOpts{DisableCompression: true}))
}

// flagOf reads a parameter that is 1 or 0, 0 where it is missing.
func flagOf(q url.Values, name string) (bool, error) {
	switch v := q.Get(name); v {
	case "", "0":
		return false, nil
	case "1":
		return true, nil
	default:
		return false, fmt.Errorf("%s=%s is neither 0 nor 1", name, v)
	}
}

// cutOf reads how many of each list /status is to show, -1 for all.
func cutOf(q url.Values) (int, error) {
	summary, err := flagOf(q, "summary")
	if err != nil || summary {
		return 0, err
	}
	v := q.Get("limit")
	if v == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("limit=%s is no number of at least 0", v)
	}
	return n, nil
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the reader went away
}
