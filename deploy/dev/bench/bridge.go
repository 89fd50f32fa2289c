package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
)

// benchBridge measures the whole bridge against the floor.
func benchBridge(ctx context.Context, flags *flag.FlagSet, args []string, stdout, stderr io.Writer) error {
	rounds := flags.Int("rounds", 5, "how often everything is run; the medians count")
	size := flags.Int("mib", 1024, "values in the topic of each cell, MiB; it decides how long a cell takes")
	seed := flags.Uint64("seed", 1, "of the corpora")
	only := flags.String("only", "", "only rows whose name matches this expression")
	profiles := flags.String("profiles", "", "folder for a CPU and a heap profile of the bridge in each cell")
	pulsar := flags.String("pulsar", "", "pulsar://host:port/tenant/namespace of a Pulsar that runs, for the row that needs one")
	kafka := flags.String("kafka", "", "host:port of an Apache Kafka that runs, for the rows that need one")
	file := flags.String("json", "deploy/dev/bench/out/bridge.json", "where the results go, empty for nowhere")
	var with comparison
	with.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if with.base != "" {
		if err := withDefaults(flags, map[string]string{
			"rounds": strconv.Itoa(comparedRounds), "mib": "512", "json": "deploy/dev/bench/out/bridge-compared.json",
		}); err != nil {
			return err
		}
	}
	if *rounds < 1 || *size < 1 {
		return fmt.Errorf("%d rounds of %d MiB measure nothing; use at least 1 and 1", *rounds, *size)
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("parsing -only: %w", err)
	}
	all := bridgeRows(*seed, *size, *pulsar, *kafka)
	wanted := slices.DeleteFunc(slices.Clone(all), func(r bridgeRow) bool { return !match.MatchString(r.name) })
	if len(wanted) == 0 && with.base == "" {
		return fmt.Errorf("no row matches %q", *only)
	}
	if *profiles != "" && with.base != "" {
		return errors.New("-profiles and -base exclude each other: a profile slows down one side (hint: profile without -base)")
	}
	dir, err := os.MkdirTemp("", "bench-bridge-")
	if err != nil {
		return fmt.Errorf("making a folder for configurations: %w", err)
	}
	defer os.RemoveAll(dir)
	if *profiles != "" {
		if err := os.MkdirAll(*profiles, 0o755); err != nil {
			return fmt.Errorf("making the folder for profiles: %w", err)
		}
	}
	l := &lab{dir: dir, profiles: *profiles}
	if with.base != "" {
		with.rounds, with.title, with.file = *rounds, fmt.Sprintf("%d MiB a cell", *size), *file
		err := with.run(ctx, l.bridgeJobs(all, match), stdout, stderr)
		return errors.Join(err, l.close())
	}
	outcomes, err := l.measureAll(ctx, wanted, *rounds, *seed, log.New(stderr, "", 0))
	if err = errors.Join(err, l.close()); err != nil {
		return err
	}
	env := environment()
	text := fmt.Sprintf("%d rounds, %d MiB a cell; %s\n\n%s", *rounds, *size, env, bridgeTable(outcomes))
	if _, err := io.WriteString(stdout, text); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if *file == "" {
		return nil
	}
	short := make([]outcome, len(outcomes))
	for i := range outcomes {
		short[i] = outcomes[i].outcome
	}
	if err := writeJSON(*file, short); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(*file), "bridge.md"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// environment says on what was measured.
func environment() string {
	cpu := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	commit := os.Getenv("BENCH_COMMIT") // go run and -buildvcs=false record none
	if info, ok := debug.ReadBuildInfo(); ok && commit == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	if commit == "" {
		commit = "unknown"
	}
	return fmt.Sprintf("%d x %s, %s, commit %s", runtime.NumCPU(), cpu, runtime.Version(), commit)
}

// serveBridge is the bridge's process: what `inlong-bridge run` does.
func serveBridge(ctx context.Context, path, seen string, whole bool, stdin io.Reader, stderr io.Writer) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	logs := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	deps := connector.Deps{Log: logs}
	if whole {
		deps.KafkaOpts = append(deps.KafkaOpts, kgo.DisableFetchSessions())
	}
	b, err := connector.New(cfg, deps)
	if err != nil {
		return err
	}
	run, stop := untilEnd(ctx, stdin)
	defer stop()
	if seen == "" {
		return b.Run(run, ctx)
	}
	watched := make(chan error, 1)
	go func() { watched <- watchReady(run, b, seen) }()
	err = b.Run(run, ctx)
	stop()
	return errors.Join(err, <-watched)
}

// serveDrain is the sink's process for a bridge: it says its addresses, the marks, and at the end of
// stdin what it has measured.
func serveDrain(ctx context.Context, flags *flag.FlagSet, args []string, stdin io.Reader, stdout io.Writer) error {
	at := flags.String("marks", "", "numbers of records to say")
	proxies := flags.Int("proxies", 1, "how many addresses to listen on")
	queue := flags.String("queue", "", "where to write the packs to, as DataProxy does: brokers of a Kafka, or pulsar://host:port/tenant/namespace")
	topic := flags.String("queue-topic", "{group}.{stream}", "topic of a stream there")
	every := flags.Int("latency", 0, "open one pack in so many and measure since the stamps in it")
	skip := flags.Duration("latency-skip", 0, "forget what was measured before this time has passed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	numbers, err := parseMarks(*at)
	if err != nil {
		return err
	}
	h := hears{marks: newMarks(numbers, stdout)}
	if *queue != "" {
		if h.queue, err = newQueueWriter(*queue, *topic); err != nil {
			return err
		}
	}
	if *every > 0 {
		h.latency = &latencies{every: *every}
		time.AfterFunc(*skip, h.latency.skip)
	}
	var sinks []*sink
	var addrs []string
	for range *proxies {
		k, err := startSink(ctx, 0, h)
		if err != nil {
			return err
		}
		sinks = append(sinks, k)
		addrs = append(addrs, k.addr())
	}
	if _, err := fmt.Fprintln(stdout, strings.Join(addrs, ",")); err != nil {
		return fmt.Errorf("saying the addresses: %w", err)
	}
	// Each line asks for the number of records so far.
	for in := bufio.NewScanner(stdin); in.Scan(); {
		h.marks.say(stdout)
	}
	var errs []error
	for _, k := range sinks {
		_, err := k.close()
		errs = append(errs, err)
	}
	if h.queue != nil {
		h.queue.close() //nolint:errcheck // its broker has ended, and what was measured is measured
	}
	if h.latency != nil {
		p50, p99, n := h.latency.quantiles()
		fmt.Fprintf(stdout, "latency %d %d %d\n", p50, p99, n) //nolint:errcheck // the reader says when it is missing
	}
	return errors.Join(errs...)
}

func parseMarks(text string) ([]int64, error) {
	var out []int64
	for one := range strings.SplitSeq(text, ",") {
		if one == "" {
			continue
		}
		var n int64
		if _, err := fmt.Sscanf(one, "%d", &n); err != nil || n < 1 {
			return nil, fmt.Errorf("parsing marks %q: each is a number of records", text)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}
