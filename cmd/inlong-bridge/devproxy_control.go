package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"inlong-bridge/sdk/dptest"
)

// controlTimeout bounds how long one request to --control may take.
const controlTimeout = 10 * time.Second

// faultKinds are the faults that --control switches while devproxy runs, in the order of the help text.
// q holds what was asked for; on says whether the fault begins or ends.
var faultKinds = []struct {
	name string
	set  func(p *dptest.Proxy, q url.Values, on bool) error
}{
	{"freeze", func(p *dptest.Proxy, _ url.Values, on bool) error { p.Freeze(on); return nil }},
	{"zombie", func(p *dptest.Proxy, _ url.Values, on bool) error { p.Zombie(on); return nil }},
	{"stall-queue", func(p *dptest.Proxy, _ url.Values, on bool) error { p.StallQueue(on); return nil }},
	{"stop-service", func(p *dptest.Proxy, _ url.Values, on bool) error { p.StopService(on); return nil }},
	{"drop-stream", func(p *dptest.Proxy, q url.Values, on bool) error { return setStream(q, on, p.DropStream) }},
	{"deny-stream", func(p *dptest.Proxy, q url.Values, on bool) error { return setStream(q, on, p.DenyStream) }},
	{"code", setCode},
	{"bad-record", setBadRecord},
	{"ack-delay", setAckDelay},
	{"reset", func(p *dptest.Proxy, _ url.Values, on bool) error {
		if on {
			p.ResetConnections()
		}
		return nil
	}},
}

func setStream(q url.Values, on bool, set func(group, stream string, on bool)) error {
	group, stream := q.Get("group"), q.Get("stream")
	if group == "" || stream == "" {
		return errors.New("want group= and stream=")
	}
	set(group, stream, on)
	return nil
}

func setCode(p *dptest.Proxy, q url.Values, on bool) error {
	code, err := strconv.Atoi(q.Get("code"))
	if err != nil || code <= 0 {
		return fmt.Errorf("code=%q: want a number above 0, such as 114", q.Get("code"))
	}
	share := 1.0
	if text := q.Get("share"); text != "" {
		if share, err = strconv.ParseFloat(text, 64); err != nil || !(share > 0 && share <= 1) {
			return fmt.Errorf("share=%q: want a number above 0 and up to 1", text)
		}
	}
	if !on {
		share = 0
	}
	p.Code(code, share)
	return nil
}

func setBadRecord(p *dptest.Proxy, q url.Values, on bool) error {
	if q.Get("prefix") == "" {
		return errors.New("want prefix=")
	}
	code := dptest.CloseConnection
	if text := q.Get("code"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return fmt.Errorf("code=%q: want a number above 0, such as 102", text)
		}
		code = n
	}
	if !on {
		code = 0
	}
	p.BadRecord(q.Get("prefix"), code)
	return nil
}

func setAckDelay(p *dptest.Proxy, q url.Values, on bool) error {
	if !on {
		p.AckDelay(0)
		return nil
	}
	delay, err := time.ParseDuration(q.Get("delay"))
	if err != nil || delay < 0 {
		return fmt.Errorf("delay=%q: want a duration, such as 500ms", q.Get("delay"))
	}
	p.AckDelay(delay)
	return nil
}

// fault switches one fault at all proxies, or at the one that proxy= names.
func (d *devproxy) fault(q url.Values) error {
	on, err := strconv.ParseBool(q.Get("on"))
	if q.Get("on") == "" {
		on, err = true, nil
	}
	if err != nil {
		return fmt.Errorf("on=%q: want true or false", q.Get("on"))
	}
	var names []string
	for _, kind := range faultKinds {
		names = append(names, kind.name)
		if kind.name != q.Get("kind") {
			continue
		}
		hit := false
		for _, p := range d.proxies {
			if addr := q.Get("proxy"); addr != "" && addr != p.Addr() {
				continue
			}
			hit = true
			if err := kind.set(p, q, on); err != nil {
				return err
			}
		}
		if !hit {
			return fmt.Errorf("proxy=%q: none has that address", q.Get("proxy"))
		}
		d.say("fault    %s", q.Encode())
		return nil
	}
	return fmt.Errorf("kind=%q: want one of %s", q.Get("kind"), strings.Join(names, ", "))
}

// beginWith switches the fault of a flag on.
func (d *devproxy) beginWith(text string) error {
	q, err := url.ParseQuery(text)
	if err == nil {
		err = d.fault(q)
	}
	if err != nil {
		return usagef("--fault %q: %v", text, err)
	}
	return nil
}

// proxyStats is what GET /stats tells of a proxy; its names are API.
type proxyStats struct {
	Address  string `json:"address"`
	Packs    uint64 `json:"packs"`
	Records  uint64 `json:"records"`
	Queued   uint64 `json:"queued_packs"`
	InMemory int    `json:"in_memory_packs"`
}

// control serves POST /fault and GET /stats at addr until stop is called.
func (d *devproxy) control(ctx context.Context, addr string) (stop func(), err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		if err := d.fault(r.URL.Query()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		all := make([]proxyStats, 0, len(d.proxies))
		for _, p := range d.proxies {
			s := p.Stats()
			all = append(all, proxyStats{p.Addr(), s.Packs, s.Records, s.Queued, s.InMemory})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(all) // the client may have gone
	})
	server := &http.Server{Handler: mux, ReadTimeout: controlTimeout, WriteTimeout: controlTimeout}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // it ends when it is closed
	}()
	d.say("control  http://%s", l.Addr())
	return func() { _ = server.Close(); <-ended }, nil
}
