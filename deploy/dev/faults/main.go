// Command faults counts what a sender loses while the proxy misbehaves. For each fault it starts a devproxy, gives the sender
// one record a line at a steady rate, lets the fault happen when a quarter of them is sent, waits until the sender ends, and
// compares what was handed over with what reached a proxy.
//
// The sender is package sdk, or with -sender any command that reads lines, sends each as a record of the stream orders of the
// group shop, and ends once it knows what became of all of them. In its arguments {proxy} is the proxy's address, and {manager}
// the URL under which InLong's SDKs ask the Manager.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// fault is one way to misbehave. begin returns when the fault is over, or has begun if it lasts as long as the run.
type fault struct {
	name  string
	early bool // from the first record on
	begin func(ctx context.Context, p *proxy) error
}

var faults = []fault{
	{name: "1 % of packs answered with code 114", early: true, begin: func(ctx context.Context, p *proxy) error {
		return p.control(ctx, url.Values{"kind": {"code"}, "code": {"114"}, "share": {"0.01"}})
	}},
	{name: "proxy killed, back after 2 s", begin: killed(2 * time.Second)},
	{name: "proxy killed, back after 5 s", begin: killed(5 * time.Second)},
	{name: "no answer to data for 10 s", begin: lasting(10*time.Second, "zombie")},
	{name: "every pack answered with code 2 for 2 s", begin: lasting(2*time.Second, "stop-service")},
	{name: "all connections cut, five times in 5 s", begin: func(ctx context.Context, p *proxy) error {
		for range 5 {
			if err := errors.Join(p.control(ctx, url.Values{"kind": {"reset"}}), wait(ctx, time.Second)); err != nil {
				return err
			}
		}
		return nil
	}},
}

func killed(away time.Duration) func(context.Context, *proxy) error {
	return func(ctx context.Context, p *proxy) error {
		p.kill()
		return errors.Join(wait(ctx, away), p.start(ctx))
	}
}

func lasting(d time.Duration, kind string) func(context.Context, *proxy) error {
	return func(ctx context.Context, p *proxy) error {
		if err := p.control(ctx, url.Values{"kind": {kind}, "on": {"true"}}); err != nil {
			return err
		}
		return errors.Join(wait(ctx, d), p.control(ctx, url.Values{"kind": {kind}, "on": {"false"}}))
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type settings struct {
	devproxy      []string // command
	sender        string   // command; empty for package sdk
	records, rate int
	limit         time.Duration // of one run
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "send" {
		if err := send(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "faults:", err)
			os.Exit(1)
		}
		return
	}
	s := settings{limit: 5 * time.Minute}
	devproxy := flag.String("devproxy", "bin/inlong-bridge", "the `program` whose devproxy is used")
	flag.StringVar(&s.sender, "sender", "", "the sender, as a `command` that reads records from its input; {proxy} and {manager} are replaced (default package sdk)")
	flag.IntVar(&s.records, "records", 200_000, "records of each run")
	flag.IntVar(&s.rate, "rate", 20_000, "records a second")
	only := flag.String("only", "", "only faults whose name this `expression` finds")
	flag.Parse()
	s.devproxy = []string{*devproxy}
	which, err := regexp.Compile(*only)
	if err == nil && (s.records < 4 || s.rate < 1) {
		err = errors.New("-records must be 4 at least, and -rate 1")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(2)
	}
	fmt.Println("| fault | handed over | reached a proxy | lost | twice | seconds | the sender said |\n|---|---|---|---|---|---|---|")
	for i := range faults {
		if !which.MatchString(faults[i].name) {
			continue
		}
		r, err := s.run(&faults[i])
		if err != nil {
			fmt.Fprintf(os.Stderr, "faults: %s: %v\n", faults[i].name, err)
			os.Exit(1)
		}
		fmt.Printf("| %s | %d | %d | %d | %d | %.0f | %s |\n", faults[i].name, r.handed, r.arrived, r.handed-r.arrived, r.twice, r.took.Seconds(), r.said)
	}
}

// result is what a run found.
type result struct {
	handed, arrived, twice int
	took                   time.Duration
	said                   string // last line of the sender's output
}

func (s *settings) run(f *fault) (r result, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.limit)
	defer cancel()
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p := &proxy{command: s.devproxy, out: filepath.Join(dir, "out")}
	if err := p.start(ctx); err != nil {
		return r, err
	}
	defer p.kill()

	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	args := []string{self, "send", p.addr}
	if s.sender != "" {
		args = strings.Fields(strings.NewReplacer("{proxy}", p.addr, "{manager}", p.manager+"/inlong/manager/openapi/dataproxy/getIpList").Replace(s.sender))
	}
	var said, complaints strings.Builder
	sender := exec.CommandContext(ctx, args[0], args[1:]...)
	sender.Stdout, sender.Stderr = &said, &complaints
	in, err := sender.StdinPipe()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := sender.Start(); err != nil {
		return r, err
	}
	var ended chan error // nil before the fault begins
	begin := func() {
		ended = make(chan error, 1)
		go func() { ended <- f.begin(ctx, p) }()
	}
	if f.early {
		begin()
	}
	r.handed, err = s.feed(in, func(n int) {
		if n == s.records/4 && !f.early {
			begin()
		}
	})
	if err != nil {
		cancel()
	}
	err = errors.Join(err, in.Close())
	if ended != nil {
		err = errors.Join(err, <-ended)
	}
	if err != nil {
		cancel()
		return r, errors.Join(err, sender.Wait())
	}
	exit := sender.Wait()
	r.took = time.Since(start)
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	r.said = cmp.Or(lines[len(lines)-1], "nothing")
	if exit != nil {
		last := strings.Split(strings.TrimSpace(complaints.String()), "\n")
		r.said += fmt.Sprintf(" (%v: %s)", exit, last[len(last)-1])
	}
	r.arrived, r.twice, err = p.arrived()
	return r, err
}

// feed writes records at the rate, and says after each millisecond's how many they are. A sender that takes no more slows it
// down; one that has ended ends it.
func (s *settings) feed(in io.Writer, wrote func(n int)) (n int, err error) {
	w := bufio.NewWriterSize(in, 64<<10)
	start := time.Now()
	for n < s.records {
		due := min(int(time.Since(start).Seconds()*float64(s.rate)), s.records)
		for ; n < due; n++ {
			_, _ = fmt.Fprintf(w, "{\"id\":%d,\"text\":\"a record of a hundred bytes, about as long as a line in the log of a server\"}\n", n) // Flush tells
			wrote(n + 1)
		}
		if err := w.Flush(); err != nil {
			return n, fmt.Errorf("the sender takes no more records: %w", err)
		}
		if err := wait(context.Background(), time.Millisecond); err != nil {
			return n, err
		}
	}
	return n, nil
}

// proxy is a devproxy in a process of its own.
type proxy struct {
	command       []string
	out           string // file with what reached it
	addr, manager string // the same after a restart
	url           string // of the control
	process       *exec.Cmd
	printed       io.Closer
}

func (p *proxy) start(ctx context.Context) error {
	args := append(p.command[1:], "devproxy", "--listen", cmp.Or(p.addr, "127.0.0.1:0"), "--manager", cmp.Or(strings.TrimPrefix(p.manager, "http://"), "127.0.0.1:0"),
		"--control", "127.0.0.1:0", "--out", p.out, "--out-at", "ack")
	c := exec.CommandContext(ctx, p.command[0], args...)
	c.Stderr = os.Stderr
	printed, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting devproxy: %w; hint: make build", err)
	}
	p.process, p.printed = c, printed
	lines := bufio.NewScanner(printed)
	for lines.Scan() {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		switch what {
		case "proxy":
			p.addr = value
		case "manager":
			p.manager = value
		case "control":
			p.url = value
			go func() { _, _ = io.Copy(io.Discard, printed) }() // it ends with the process
			return ctx.Err()
		}
	}
	p.kill()
	return errors.New("devproxy ended before it had started")
}

// kill ends the process as kill -9 does. What it had in memory is gone; what it acked stands in the file.
func (p *proxy) kill() {
	_ = p.process.Process.Kill() // it may have ended
	_ = p.process.Wait()
}

func (p *proxy) control(ctx context.Context, q url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/fault?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("devproxy answers %s to %s", resp.Status, q.Encode())
	}
	return nil
}

// arrived counts the records in the file, each once, and those that are there again.
func (p *proxy) arrived() (once, twice int, err error) {
	file, err := os.Open(p.out)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = file.Close() }() // it was only read
	seen := make(map[int]bool)
	for packs := json.NewDecoder(file); ; {
		var pack struct{ Records []struct{ Text string } }
		if err := packs.Decode(&pack); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // a kill may cut the last one off
			return len(seen), twice, nil
		} else if err != nil {
			return 0, 0, err
		}
		for _, r := range pack.Records {
			var record struct{ ID int }
			if err := json.Unmarshal([]byte(r.Text), &record); err != nil {
				return 0, 0, fmt.Errorf("record %q: %w", r.Text, err)
			}
			if seen[record.ID] {
				twice++
			}
			seen[record.ID] = true
		}
	}
}
