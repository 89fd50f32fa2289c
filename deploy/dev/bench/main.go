// Command bench measures the sender against the limit, a program that packs, compresses, writes and
// counts acks, and the bridge against the floor, one that also polls a Kafka. See README.md.
//
//	go run ./deploy/dev/bench bridge -rounds 1 -only '1 KiB'
//	go run ./deploy/dev/bench sender                       # the whole table, some minutes
//	go run ./deploy/dev/bench sender -rounds 1 -time 300ms # a quick look
//	go run ./deploy/dev/bench sender -only '100 B' -cpuprofile /tmp
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"
)

const usage = `bench measures the sender and the bridge on this machine.

  bench sender [flags]                what sdk.Sender reaches, beside the limit
  bench bridge [flags]                what the bridge reaches, beside the floor
  bench growth [flags]                CPU per record by partitions, streams, proxies, open pieces and lag, as plots
  bench sender|bridge -base BINARY    old and new in turn, and whether a row became worse

The first two print a table and write JSON, growth writes docs/growth-*.svg; bench sender -h and bench bridge -h list the flags.

With -base, every row runs with BINARY (old) and with this program (new), one right after the other, for 10 rounds; which of
the two comes first alternates. BINARY is the bench of another commit: make bench-base BASE=<commit> builds it as bin/bench-base.

  worse      the median of new/old is below 0.97 for the rate or above 1.03 for CPU, and both quartiles lie on that side of
             1; or allocations per record (by more than 0.001) or per pack (by more than 0.1) rise in nine rounds of ten
  undecided  such a median, but the quartiles lie on both sides of 1; or such a rise in three rounds of four
  better     the opposite of worse in one measurement, and no other is worse or undecided
  same       anything else

Rows that are worse or undecided run for 10 rounds more and are judged by all of them; -again says how often. The exit code is 1
if a row is worse or cannot be measured. On a busy machine, read CPU and allocations; the rate needs a quiet one.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("name a command: sender, bridge or growth; the others are the processes that these start")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	switch args[0] {
	case "-h", "-help", "--help", "help":
		_, err := io.WriteString(stdout, usage)
		return err
	case "sender":
		return benchSender(ctx, flags, args[1:], stdout, stderr)
	case "bridge":
		return benchBridge(ctx, flags, args[1:], stdout, stderr)
	case "growth":
		return benchGrowth(ctx, flags, args[1:], stdout, stderr)
	case "broker":
		spec := flags.String("spec", "", "what it holds, as JSON")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return serveBroker(ctx, *spec, stdin, stdout)
	case "bridge-process":
		path := flags.String("c", "", "configuration")
		whole := flags.Bool("whole", false, "fetch without sessions")
		seen := flags.String("seen", "", "file for what may be committed, and when")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return serveBridge(ctx, *path, *seen, *whole, stdin, stderr)
	case "drain":
		return serveDrain(ctx, flags, args[1:], stdin, stdout)
	case "produce":
		return serveProducer(ctx, flags, args[1:], stdin)
	case "floor", "poll":
		brokers := flags.String("brokers", "", "to poll")
		group := flags.String("group", "", "to join")
		addr := flags.String("addr", "", "of the sink")
		topic := flags.String("topic", benchTopic, "to poll")
		seen := flags.String("seen", "", "file for what was polled, and when")
		at := flags.String("marks", "", "numbers of records to say")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		numbers, err := parseMarks(*at)
		if err != nil {
			return err
		}
		if args[0] == "poll" {
			return servePoll(ctx, *brokers, *topic, *group, *seen, newMarks(numbers, stdout), stdin)
		}
		return serveFloor(ctx, *brokers, *group, *addr, stdin)
	case "sink":
		delay := flags.Duration("delay", 0, "pause before each ack")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return serveSink(ctx, *delay, stdin, stdout)
	case "ours", "raw":
		addr := flags.String("addr", "", "of the sink")
		task := flags.String("work", "", "what to send, as JSON")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return serveSender(ctx, args[0] == "raw", *addr, *task, stdout)
	}
	return fmt.Errorf("command %q is not known; use sender, bridge or growth", args[0])
}

func benchSender(ctx context.Context, flags *flag.FlagSet, args []string, stdout, stderr io.Writer) error {
	rounds := flags.Int("rounds", 5, "how often everything is run; the medians count")
	length := length{}
	flags.DurationVar(&length.Time, "time", 3*time.Second, "how long each process sends, after a warm-up of a quarter of that")
	flags.IntVar(&length.Records, "records", 0, "how many records each process sends, instead of -time")
	seed := flags.Uint64("seed", 1, "of the corpora")
	only := flags.String("only", "", "only rows whose name matches this expression")
	profiles := flags.String("cpuprofile", "", "folder for a CPU profile of each of our processes")
	file := flags.String("json", "deploy/dev/bench/out/sender.json", "where the results go, empty for nowhere")
	var with comparison
	with.flags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if with.base != "" {
		if err := withDefaults(flags, map[string]string{
			"rounds": strconv.Itoa(comparedRounds), "json": "deploy/dev/bench/out/sender-compared.json",
		}); err != nil {
			return err
		}
	}
	if *rounds < 1 || length.Records < 0 || length.Records == 0 && length.Time <= 0 {
		return fmt.Errorf("%d rounds of %v measure nothing; use at least 1 round of 1 record", *rounds, length)
	}
	if length.Records > 0 {
		length.Time = 0
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("parsing -only: %w", err)
	}
	if with.base != "" {
		if *profiles != "" {
			return errors.New("-cpuprofile and -base exclude each other: a profile slows down one side (hint: profile without -base)")
		}
		with.rounds, with.title, with.file = *rounds, length.String()+" each", *file
		return with.run(ctx, senderJobs(rows(*seed, length), match), stdout, stderr)
	}
	wanted := slices.DeleteFunc(rows(*seed, length), func(r row) bool { return !match.MatchString(r.name) })
	if len(wanted) == 0 {
		return fmt.Errorf("no row matches %q", *only)
	}
	if *profiles != "" {
		if err := os.MkdirAll(*profiles, 0o755); err != nil {
			return fmt.Errorf("making the folder for profiles: %w", err)
		}
	}
	results, err := runRounds(ctx, processes(wanted), *rounds, *profiles, log.New(stderr, "", 0))
	if err != nil {
		return err
	}
	outcomes := evaluate(wanted, results)
	text := fmt.Sprintf("%d rounds of %s each, %d cores, %s\n\n", *rounds, length, runtime.GOMAXPROCS(0), runtime.Version())
	if _, err := io.WriteString(stdout, text+table(outcomes)); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	if *file == "" {
		return nil
	}
	return writeJSON(*file, outcomes)
}
