package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runRounds runs every process once in each round; every other round goes backwards, so that nobody is
// always the first or the second of a pair.
func runRounds(ctx context.Context, all []process, rounds int, profiles string, progress *log.Logger) (map[process][]result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	results := make(map[process][]result)
	for round := range rounds {
		order := slices.Clone(all)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, p := range order {
			w := p.work
			if profiles != "" && !p.raw && round == 0 {
				w.Profile = filepath.Join(profiles, p.file()+".pprof")
			}
			r, err := runProcess(ctx, self, p.raw, &w)
			if err != nil {
				return nil, fmt.Errorf("round %d of %d, %s: %w", round+1, rounds, p, err)
			}
			results[p] = append(results[p], r)
			progress.Printf("round %d of %d  %-45s %12s rec/s %7.3f CPU s/M %5.0f MiB",
				round+1, rounds, p, thousands(r.rate()), r.cpuPerMillion(), r.rssMiB())
		}
	}
	return results, nil
}

// String names the process for people.
func (p process) String() string {
	w := &p.work
	parts := []string{"ours", w.Corpus}
	if p.raw {
		parts[0] = "raw"
	}
	if w.Plain {
		parts = append(parts, "plain")
	}
	if w.Snappy {
		parts = append(parts, "snappy")
	}
	if w.Rate > 0 {
		parts = append(parts, fmt.Sprint(w.Rate>>20, " MiB per second"))
	}
	if w.Async {
		parts = append(parts, "async")
	}
	if w.Streams > 1 {
		parts = append(parts, fmt.Sprint(w.Streams, " streams"))
	}
	if w.Settle > 0 {
		parts = append(parts, fmt.Sprint("settle ", w.Settle))
	}
	if w.Delay > 0 {
		parts = append(parts, fmt.Sprint("delay ", w.Delay))
	}
	return strings.Join(parts, ", ")
}

func (p process) file() string {
	return strings.NewReplacer(", ", "-", " ", "-").Replace(p.String())
}

// runProcess starts a sink and a sender, each as a process of its own, and compares what was sent with
// what arrived. The sender is the program's; the sink is always this one's.
func runProcess(ctx context.Context, program string, raw bool, w *work) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, fmt.Errorf("finding this program: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*ackTimeout+2*w.Length.Time)
	defer cancel()

	sink := exec.CommandContext(ctx, self, "sink", "-delay", w.Delay.String())
	sink.Stderr = os.Stderr
	end, err := sink.StdinPipe()
	if err != nil {
		return result{}, fmt.Errorf("starting sink: %w", err)
	}
	out, err := sink.StdoutPipe()
	if err != nil {
		return result{}, fmt.Errorf("starting sink: %w", err)
	}
	if err := sink.Start(); err != nil {
		return result{}, fmt.Errorf("starting sink: %w", err)
	}
	said := bufio.NewReader(out)
	r, sendErr := runSender(ctx, program, said, raw, w)
	end.Close() //nolint:errcheck // it ends the sink, whose report is what counts
	text, readErr := io.ReadAll(said)
	if err := errors.Join(sendErr, readErr, sink.Wait()); err != nil {
		return result{}, err
	}
	var arrived sinkReport
	if err := json.Unmarshal(text, &arrived); err != nil {
		return result{}, fmt.Errorf("reading the sink's report %q: %w", text, err)
	}
	if arrived.Records != r.Sent {
		return result{}, fmt.Errorf("%d records were sent, but %d arrived", r.Sent, arrived.Records)
	}
	// The sink cannot tell the packs of the warm-up from the others.
	r.packs = float64(arrived.Packs) * float64(r.Records) / float64(r.Sent)
	size := float64(corpora[w.Corpus].size)
	if r.shrunk = float64(r.Sent) * size / float64(arrived.WireBytes); w.Rate > 0 { // the sink's bytes have the warm-up in them, the rate has not
		r.shrunk = r.rate() * size / float64(w.Rate)
	}
	return r, nil
}

func runSender(ctx context.Context, program string, sink *bufio.Reader, raw bool, w *work) (result, error) {
	addr, err := sink.ReadString('\n')
	if err != nil {
		return result{}, fmt.Errorf("reading the sink's address: %w", err)
	}
	task, err := json.Marshal(w)
	if err != nil {
		return result{}, fmt.Errorf("writing task: %w", err)
	}
	who := "ours"
	if raw {
		who = "raw"
	}
	cmd := exec.CommandContext(ctx, program, who, "-addr", strings.TrimSpace(addr), "-work", string(task))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("sending: %w", err)
	}
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return result{}, fmt.Errorf("reading the sender's report %q: %w", text, err)
	}
	return r, nil
}

// serveSink is the sink's process: it says its address, and what has arrived once stdin ends.
func serveSink(ctx context.Context, delay time.Duration, stdin io.Reader, stdout io.Writer) error {
	k, err := startSink(ctx, delay, hears{})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, k.addr()); err != nil {
		return fmt.Errorf("saying the address: %w", err)
	}
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return fmt.Errorf("waiting for the end: %w", err)
	}
	report, err := k.close()
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(report)
}

// serveSender is a sender's process.
func serveSender(ctx context.Context, raw bool, addr, task string, stdout io.Writer) error {
	var w work
	if err := json.Unmarshal([]byte(task), &w); err != nil {
		return fmt.Errorf("reading task: %w", err)
	}
	r, err := runHere(ctx, raw, addr, &w)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

// runHere sends in this process.
func runHere(ctx context.Context, raw bool, addr string, w *work) (r result, err error) {
	var s sender
	if raw {
		s, err = newRaw(ctx, addr, w)
	} else {
		s, err = newOurs(ctx, addr, w)
	}
	if err != nil {
		return result{}, err
	}
	r, err = measure(s, w)
	return r, errors.Join(err, s.close())
}
