package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
)

const (
	demoRate      = 40_000          // records produced a second
	demoLeast     = 5 * time.Second // production takes at least this long, however few records there are
	demoDownFor   = 2 * time.Second
	demoHeld      = 20                     // packs that the proxy must have acked and hold when it is killed
	demoAckRead   = 300 * time.Millisecond // for the bridge to read the last of those acks
	demoPatience  = 90 * time.Second       // for the last commit, on a machine that is very busy
	demoReadLimit = time.Minute
)

type demoFlags struct {
	records int
	seed    uint64
	confirm string
	settle  time.Duration
	queue   string // the user's, "" for the demo's own
	json    bool
	keep    bool
	verbose bool

	lossGrace time.Duration // queue.loss_grace; 0 for the default
}

func newDemo(e *env) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "kill a proxy under load and count what arrives",
		Long: `demo needs nothing but this program. It starts a small Kafka, two DataProxies with a
Manager, and the bridge as run does. It produces records to three topics, kills one proxy
halfway with everything that it holds in memory, and starts it again. At the end it reads
the queue behind the proxies and compares every record with what was produced.

The exit code is 0 only if nothing is lost and every byte matches, and 4 otherwise.
--confirm ack shows what an ack alone is worth: the records that the killed proxy held are
lost.`,
		Example: `  inlong-bridge demo
  inlong-bridge demo --confirm ack
  inlong-bridge demo --queue pulsar://localhost:6650/public/default
  inlong-bridge demo --json --seed 7 | tail -n 1`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), e, &f)
		},
	}
	fl := cmd.Flags()
	fl.IntVar(&f.records, "records", 300_000, "`number` of records to produce")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the records and of the proxies' choices")
	fl.StringVar(&f.confirm, "confirm", "queue", "`mode` in which a record counts as delivered: ack, settle or queue")
	fl.DurationVar(&f.settle, "settle", 10*time.Second, "delivery.settle, for --confirm settle")
	fl.StringVar(&f.queue, "queue", "", "`pulsar://host:port[/tenant/namespace]`: use your Pulsar as the queue behind the proxies; the demo's topics stay there")
	fl.BoolVar(&f.json, "json", false, "print the report as one JSON object on stdout, the progress on stderr")
	fl.BoolVar(&f.keep, "keep", false, "leave everything running after the report, until a signal")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "show the bridge's log on stderr")
	return cmd
}

func (f *demoFlags) check() error {
	switch {
	case f.records < 1000 || f.records > 50_000_000:
		return usagef("--records %d: want 1000 to 50000000", f.records)
	case f.confirm != "ack" && f.confirm != "settle" && f.confirm != "queue":
		return usagef("--confirm %q: want ack, settle or queue", f.confirm)
	case f.queue != "" && !strings.HasPrefix(f.queue, "pulsar://"):
		return usagef("--queue %q: want pulsar://host:port[/tenant/namespace]", f.queue)
	case f.settle < time.Second || f.settle > time.Hour:
		return usagef("--settle %v: want 1s to 1h", f.settle)
	}
	if f.queue != "" {
		_, err := parseDevQueue(f.queue)
		return err
	}
	return nil
}

// demo is one run.
type demo struct {
	flags   *demoFlags
	cluster *demoCluster
	live    *live
	began   time.Time
	books   [topicCount]*books
	took    [topicCount]time.Duration // time until the topic was committed
	report  demoReport
}

func runDemo(ctx context.Context, e *env, f *demoFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	out := e.stdout
	if f.json {
		out = e.stderr
	}
	d := &demo{flags: f, live: newLive(out), began: time.Now()}
	d.report.Confirm, d.report.Seed = f.confirm, f.seed
	for i := range d.books {
		d.books[i] = newBooks()
	}
	cluster, err := startDemoCluster(ctx, f)
	if err != nil {
		return err
	}
	defer cluster.close()
	d.cluster = cluster

	cfg, err := cluster.config(f)
	if err != nil {
		return fmt.Errorf("bug: the demo's own configuration is wrong: %w", err)
	}
	bridge, err := newBridge(cfg, newLogger(cfg.Log, e.stderr))
	if err != nil {
		return err
	}
	d.introduce()
	stop, stopped := runBeside(ctx, e.hard, bridge)
	defer func() { _ = stop() }() // its error is reported below

	err = d.play(ctx, stopped)
	d.live.clear()
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted before there was a report")
		}
		_ = stop() // if it failed, err says so already
		return err
	}
	if !f.json {
		err = d.report.printTable(e.stdout)
	}
	if err == nil && f.keep {
		d.live.say("everything keeps running; status: http://%s/status; stop with Ctrl-C", cluster.status)
		<-ctx.Done()
	}
	// A bridge that stops with work left has not done what the report claims.
	if stopErr := stop(); err == nil && !errors.Is(stopErr, context.Canceled) {
		err = stopErr
	}
	if f.json {
		err = errors.Join(err, d.report.printJSON(e.stdout))
	}
	return errors.Join(d.report.err(), err)
}

// runBeside runs the bridge until stop is called or the bridge fails; a failure cancels stopped with the error. stop
// drains and waits, and may be called again.
func runBeside(ctx, hard context.Context, bridge *connector.Bridge) (stop func() error, stopped context.Context) {
	run, cancel := context.WithCancel(ctx)
	stopped, end := context.WithCancelCause(context.WithoutCancel(ctx))
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = bridge.Run(run, hard)
		if err == nil && run.Err() == nil {
			err = errors.New("the bridge ended by itself")
		}
		end(err)
	}()
	return func() error {
		cancel()
		<-done
		return err
	}, stopped
}

func (d *demo) introduce() {
	if p := d.cluster.pulsar; p != nil {
		d.live.say("kafka    %s: %d topics", d.cluster.kafka.ListenAddrs()[0], len(demoTopics))
		d.live.say("queue    %s: %s", p.serviceURL, p.topicOf("{group}", "{stream}"))
	} else {
		d.live.say("kafka    %s: %d topics, and the queue behind the proxies", d.cluster.kafka.ListenAddrs()[0], len(demoTopics))
	}
	for _, p := range d.cluster.proxies {
		d.live.say("proxy    %s", p.Addr())
	}
	d.live.say("bridge   http://%s/status, confirm: %s", d.cluster.status, d.flags.confirm)
}

// play produces, kills, waits and counts. stopped is cancelled when the bridge fails.
func (d *demo) play(ctx, stopped context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(stopped, func() {
		cancel(fmt.Errorf("running the bridge: %w", context.Cause(stopped)))
	})()

	start := time.Now()
	producer := newProducer(d.cluster.client, d.flags, d.books[:])
	produced := make(chan error, 1)
	beside := func(ended chan<- error, work func() error) { // a failure ends the rest, and watch returns it
		err := work()
		if err != nil {
			cancel(err)
		}
		ended <- err
	}
	go beside(produced, func() error { return producer.run(ctx) })
	killed := make(chan error, 1)
	go beside(killed, func() error { return d.kill(ctx, producer) })
	err := d.watch(ctx, start, producer)
	if err != nil {
		cancel(err)
	}
	if err := cmp.Or(err, <-produced, <-killed); err != nil {
		return err
	}
	moved := time.Since(start)
	if err := d.settleDown(ctx); err != nil {
		return err
	}
	if err := d.count(ctx); err != nil {
		return err
	}
	for i, t := range demoTopics {
		v := d.books[i].close(t.name)
		v.Seconds = seconds(cmp.Or(d.took[i], moved))
		d.report.add(v)
	}
	d.report.Seconds = seconds(time.Since(d.began))
	return nil
}
