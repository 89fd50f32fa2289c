package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/sdk/dptest"
)

const (
	devProxyAddr   = "127.0.0.1:46801"
	devManagerAddr = "127.0.0.1:8083"
	devDownFor     = 2 * time.Second // a killed proxy stays down this long
	devReportEvery = 10 * time.Second
)

// devproxyFlags are the flags of devproxy.
type devproxyFlags struct {
	listen     []string
	proxies    int
	manager    string
	auth       string
	https      string
	clusterIDs []string
	advertise  string
	streams    []string
	out, outAt string
	queues     []string
	queueToken string
	control    string
	ackDelay   time.Duration
	errorCodes []string
	faults     []string
	killEvery  time.Duration
	queueDelay time.Duration
	maxFrame   int
	seed       uint64
}

func newDevproxy(e *env) *cobra.Command {
	var f devproxyFlags
	cmd := &cobra.Command{
		Use:   "devproxy",
		Short: "run a DataProxy and a Manager for development",
		Long: `devproxy is a DataProxy and a Manager that any InLong SDK can talk to over TCP; DataProxy's
HTTP port is not there. As the real one, it acks a pack when it has it in memory, and moves
it to its queue later: kill it and what it held is gone.

With --group-stream the Manager knows these groups only, and answers others with
success=false, as the real one does. A group with a slash gets 404 from both.

--out writes a JSON line per pack when the pack reaches the queue (what survives), or with
--out-at ack when it is acked. --queue forwards packs to a real Kafka or Pulsar as DataProxy's
KafkaHandler or PulsarHandler does, over several clusters where it is repeated. The other
flags make it misbehave.

--control switches faults while it runs: POST /fault?kind=KIND&on=true, or on=false to end
it, at all proxies or at proxy=host:port. KIND is
  freeze        nothing is answered and nothing moves, as after SIGSTOP
  zombie        heartbeats are answered, data is not, what is in memory stays there
  stall-queue   packs are acked and stay in memory
  stop-service  data is answered with code 2
  drop-stream   packs of group= and stream= are acked and thrown away
  deny-stream   packs of group= and stream= are answered with 115
  code          packs are answered with code=N, or a share=0.01 of them
  bad-record    packs are answered with code=N, or without it their connection is closed, if
                one of their records begins with prefix=
  ack-delay     acks wait for delay=500ms
  reset         all connections are cut, once
GET /stats tells in JSON what each proxy took and holds.`,
		Example: `  inlong-bridge devproxy --out -
  inlong-bridge devproxy --proxies 2 --queue kafka://localhost:9092/{group}.{stream}
  inlong-bridge devproxy --queue pulsar://localhost:6650/public/default/{group}.{stream}
  inlong-bridge devproxy --listen 0.0.0.0:46801 --manager 0.0.0.0:8083 --error-code 114:0.01 --kill-every 30s
  inlong-bridge devproxy --control 127.0.0.1:8084 & curl -X POST 'http://127.0.0.1:8084/fault?kind=zombie&on=true'`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDevproxy(cmd.Context(), e, &f)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.listen, "listen", []string{devProxyAddr}, "`host:port` of a proxy; may be repeated")
	fl.IntVar(&f.proxies, "proxies", 1, "`number` of proxies on ports that follow that of --listen; port 0 takes free ones")
	fl.StringVar(&f.manager, "manager", devManagerAddr, "`host:port` of the Manager; empty for none")
	fl.StringVar(&f.auth, "manager-auth", "", "`id:key` that the Manager wants; others are refused with 403 (default anybody may ask)")
	fl.StringVar(&f.https, "manager-https", "", "serve the Manager over https, with a certificate made at the start, and write that to this `file` (PEM) for its clients to trust")
	fl.StringArrayVar(&f.clusterIDs, "group-cluster", nil, "`group=id`: the id of the group's cluster of proxies, in the Manager's answers; may be repeated (default 1)")
	fl.StringVar(&f.advertise, "advertise", "", "`host` under which the Manager names the proxies (default that of --listen, or 127.0.0.1 for all addresses)")
	fl.StringArrayVar(&f.streams, "group-stream", nil, "a `group.stream` that exists, or a group for all of its streams; others are refused with 115; may be repeated (default all exist)")
	fl.StringVar(&f.out, "out", "", "write packs as JSON lines to this `file`, - for stdout")
	fl.StringVar(&f.outAt, "out-at", "queue", "`when` to write a pack: when it reaches the queue (queue) or when it is acked (ack)")
	fl.StringArrayVar(&f.queues, "queue", nil, "forward packs to Kafka or Pulsar: `kafka://host:port[,host:port][/topic]` or pulsar://host:port[,host:port][/tenant/namespace[/topic]], namespace and topic templates over {group} and {stream}; may be repeated, a cluster each")
	fl.StringVar(&f.queueToken, "queue-token-file", "", "`file` with the token for all Pulsar clusters of --queue")
	fl.StringVar(&f.control, "control", "", "`host:port` of an HTTP server that switches faults; see above")
	fl.DurationVar(&f.ackDelay, "ack-delay", 0, "wait this long before each ack")
	fl.StringArrayVar(&f.errorCodes, "error-code", nil, "answer a share of packs with an error, as `code:share`, such as 114:0.01; may be repeated")
	fl.StringArrayVar(&f.faults, "fault", nil, "begin with a fault, `kind=KIND&...` as POST /fault takes it, such as 'kind=bad-record&prefix=x'; may be repeated")
	fl.DurationVar(&f.killEvery, "kill-every", 0, "kill a proxy this often, with what it holds in memory; it comes back after 2s")
	fl.DurationVar(&f.queueDelay, "queue-delay", 0, "move packs to the queue after this time, instead of the 1s to 5s of the real one")
	fl.IntVar(&f.maxFrame, "max-frame", 524288, "largest frame in `bytes` (max-msg-length); a larger one closes the connection")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the choice of packs and proxies for faults")
	return cmd
}

// devproxy is a running set of proxies.
type devproxy struct {
	proxies []*dptest.Proxy
	say     func(format string, args ...any)
}

func runDevproxy(ctx context.Context, e *env, f *devproxyFlags) (err error) {
	addrs, codes, err := f.check()
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	report := e.stdout
	if f.out == "-" {
		report = e.stderr
	}
	d := &devproxy{say: func(format string, args ...any) { printf(report, format+"\n", args...) }}

	var queue dptest.Queue
	if len(f.queues) > 0 {
		q, closeQueue, err := openDevQueue(ctx, f.queues, f.queueToken)
		if err != nil {
			return err
		}
		defer closeQueue()
		queue = saying(q, d.say)
	}
	opts := f.options()
	if f.out != "" {
		w, closeOut, err := openOut(f.out, e.stdout)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeOut()) }()
		out := &packWriter{w: w}
		if f.outAt == "queue" {
			queue = &outQueue{next: queue, out: out, broken: fail}
		} else {
			opts = append(opts, dptest.WithOnPack(func(p dptest.PackInfo) {
				if err := out.write(p.Group, p.Stream, p.Value); err != nil {
					fail(err)
				}
			}))
		}
	}
	defer d.close()
	for i, addr := range addrs {
		p, err := dptest.NewProxy(queue, append(opts, dptest.WithListen(addr), dptest.WithSeed(f.seed+uint64(i)))...)
		if err != nil {
			return listenError(err, "proxy", addr, "--listen")
		}
		p.AckDelay(f.ackDelay)
		for code, share := range codes {
			p.Code(code, share)
		}
		d.proxies = append(d.proxies, p)
		d.say("proxy    %s over TCP", p.Addr())
	}
	for _, text := range f.faults {
		if err := d.beginWith(text); err != nil {
			return err
		}
	}
	if f.manager != "" {
		m, url, err := f.startManager(ctx, d.proxies)
		if err != nil {
			return err
		}
		defer func() { _ = m.Close() }()
		d.say("manager  %s", url)
	}
	if f.control != "" {
		stop, err := d.control(ctx, f.control)
		if err != nil {
			return listenError(err, "control", f.control, "--control")
		}
		defer stop()
	}
	d.serve(ctx, f.killEvery, f.seed)
	d.summary()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// check reports the first mistake in the flags, and returns the addresses and error codes they mean.
func (f *devproxyFlags) check() (addrs []string, codes map[int]float64, err error) {
	switch {
	case f.proxies < 1:
		return nil, nil, usagef("--proxies %d: want at least 1", f.proxies)
	case f.proxies > 1 && len(f.listen) > 1:
		return nil, nil, usagef("--proxies together with several --listen; hint: repeat --listen for each proxy, or give the first port only")
	case f.outAt != "queue" && f.outAt != "ack":
		return nil, nil, usagef("--out-at %q: want queue or ack", f.outAt)
	case f.ackDelay < 0 || f.killEvery < 0 || f.queueDelay < 0:
		return nil, nil, usagef("--ack-delay, --kill-every and --queue-delay may not be negative")
	}
	for _, l := range f.listen {
		host, port, err := net.SplitHostPort(l)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil {
			return nil, nil, usagef("--listen %q: want host:port", l)
		}
		for i := range f.proxies {
			p := int(n) + i
			if n == 0 {
				p = 0
			}
			if p > 65535 {
				return nil, nil, usagef("--listen %q with --proxies %d: ports end at 65535", l, f.proxies)
			}
			addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(p)))
		}
	}
	if _, _, err := net.SplitHostPort(f.manager); f.manager != "" && err != nil {
		return nil, nil, usagef("--manager %q: want host:port", f.manager)
	}
	if _, _, err := net.SplitHostPort(f.control); f.control != "" && err != nil {
		return nil, nil, usagef("--control %q: want host:port", f.control)
	}
	if id, key, ok := strings.Cut(f.auth, ":"); f.auth != "" && (!ok || id == "" || key == "" || strings.Contains(key, ":")) {
		return nil, nil, usagef("--manager-auth: want id:key, neither with a colon in it")
	}
	for _, c := range f.clusterIDs {
		group, id, ok := strings.Cut(c, "=")
		if n, err := strconv.Atoi(id); !ok || group == "" || err != nil || n < 1 {
			return nil, nil, usagef("--group-cluster %q: want group=id, such as shop=2, with an id above 0", c)
		}
	}
	codes = make(map[int]float64)
	for _, c := range f.errorCodes {
		code, share, ok := strings.Cut(c, ":")
		n, err1 := strconv.Atoi(code)
		s, err2 := strconv.ParseFloat(share, 64)
		if !ok || err1 != nil || err2 != nil || n <= 0 || !(s > 0 && s <= 1) {
			return nil, nil, usagef("--error-code %q: want code:share, such as 114:0.01, with a share above 0 and up to 1", c)
		}
		codes[n] = s
	}
	return addrs, codes, nil
}

func (f *devproxyFlags) options() []dptest.Option {
	opts := []dptest.Option{dptest.WithMaxFrame(f.maxFrame)}
	if len(f.streams) > 0 {
		opts = append(opts, dptest.WithStreams(f.streams...))
	}
	if f.queueDelay > 0 {
		opts = append(opts, dptest.WithQueueDelay(f.queueDelay))
	}
	return opts
}

// openOut opens the file for appending, so that a restart does not lose what was there.
func openOut(path string, stdout io.Writer) (io.Writer, func() error, error) {
	if path == "-" {
		return stdout, func() error { return nil }, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("opening --out: %w; hint: choose a file that can be written", err)
	}
	return file, file.Close, nil
}

// listenError says in one sentence why a port could not be had.
func listenError(err error, what, addr, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("starting %s on %s: the port is in use; hint: choose another one with %s, port 0 takes a free one", what, addr, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("starting %s on %s: this user may not listen there; hint: choose a port above 1023 with %s", what, addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("starting %s on %s: this machine does not have that address; hint: choose another one with %s", what, addr, flag)
	}
	return fmt.Errorf("starting %s on %s: %w; hint: choose another address with %s", what, addr, err, flag)
}
