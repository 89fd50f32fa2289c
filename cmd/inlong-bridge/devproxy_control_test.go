package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// ask sends a request to the control server and returns the code and the text of the answer.
func ask(t *testing.T, method, url string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: waitLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestDevproxyControlSwitchesFaults(t *testing.T) {
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	control := free.Addr().String()
	free.Close()
	out, addrs, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--queue-delay", "1ms", "--control", control)
	out.waitFor(t, func(s string) bool { return regexp.MustCompile(`control +http://`).MatchString(s) })
	at := "http://" + control
	turn := func(query string) {
		t.Helper()
		if code, text := ask(t, http.MethodPost, at+"/fault?"+query); code != http.StatusOK {
			t.Fatalf("POST /fault?%s: %d %s", query, code, text)
		}
	}
	answer := func(want int) {
		t.Helper()
		if ack := send(t, addrs[0], "g", "s", []byte("x")); ack.Code != want {
			t.Errorf("code %d, want %d", ack.Code, want)
		}
	}
	turn("kind=code&code=114")
	answer(114)
	turn("kind=code&code=114&on=false")
	answer(0)
	turn("kind=deny-stream&group=g&stream=s&proxy=" + addrs[0])
	answer(115)
	turn("kind=deny-stream&group=g&stream=s&on=false")
	turn("kind=bad-record&prefix=x&code=102")
	answer(102)
	turn("kind=bad-record&prefix=x&on=false")
	turn("kind=stall-queue")
	answer(0)
	turn("kind=reset")

	_, text := ask(t, http.MethodGet, at+"/stats")
	var stats []proxyStats
	if err := json.Unmarshal([]byte(text), &stats); err != nil || len(stats) != 1 {
		t.Fatalf("GET /stats: %v: %s", err, text)
	}
	if s := stats[0]; s.Address != addrs[0] || s.Packs != 2 || s.InMemory == 0 {
		t.Errorf("GET /stats = %+v, want 2 packs of %s, one of them in memory", s, addrs[0])
	}

	for query, want := range map[string]string{
		"kind=sleep":                       `kind="sleep": want one of freeze, zombie, stall-queue,`,
		"kind=zombie&on=maybe":             `on="maybe": want true or false`,
		"kind=zombie&proxy=nobody:1":       `proxy="nobody:1": none has that address`,
		"kind=code&code=x":                 `code="x": want a number above 0`,
		"kind=bad-record":                  "want prefix=",
		"kind=bad-record&prefix=x&code=0":  `code="0": want a number above 0`,
		"kind=code&code=1&share=2":         `share="2": want a number above 0 and up to 1`,
		"kind=ack-delay&delay=1":           `delay="1": want a duration`,
		"kind=drop-stream&group=g&stream=": "want group= and stream=",
	} {
		if code, text := ask(t, http.MethodPost, at+"/fault?"+query); code != http.StatusBadRequest || !strings.HasPrefix(text, want) {
			t.Errorf("POST /fault?%s: %d %q, want 400 and %q", query, code, text, want)
		}
	}
}

// A proxy that is killed and started again has its fault before it takes a pack.
func TestDevproxyBeginsWithAFault(t *testing.T) {
	_, addrs, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--queue-delay", "1ms", "--fault", "kind=bad-record&prefix=x&code=102")
	for value, want := range map[string]int{"x1": 102, "1x": 0} {
		if ack := send(t, addrs[0], "g", "s", []byte(value)); ack.Code != want {
			t.Errorf("%s: code %d, want %d", value, ack.Code, want)
		}
	}
}
