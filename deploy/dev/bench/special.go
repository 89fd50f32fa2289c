package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
)

// latency of records that are produced at a steady rate, from the producer to the proxy's ack, through the
// bridge or the floor bridge.
func (l *lab) latency(ctx context.Context, subject string, perSecond int, length time.Duration, seed uint64) (p50, p99 time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	c := &cell{subject: "bridge", spec: brokerSpec{Partitions: 4, Empty: true}}
	broker, err := startBroker(ctx, &c.spec)
	if err != nil {
		return 0, 0, err
	}
	defer broker.kill()
	warm := length / 4
	// One pack in so many that some 50,000 records a second are looked at, at most.
	every := max(perSecond/50_000, 1)
	sink, err := start(ctx, "sink", true, "drain", "-latency", strconv.Itoa(every), "-latency-skip", (warm + time.Second).String())
	if err != nil {
		return 0, 0, err
	}
	var bridge *child
	if group := "bench-latency-" + strconv.Itoa(perSecond); subject == "floor" {
		if bridge, err = start(ctx, "floor bridge", false, "floor", "-brokers", broker.first, "-group", group, "-addr", sink.first); err == nil {
			<-time.After(2 * time.Second) // it does not say when it has its partitions
		}
	} else if bridge, err = l.startBridge(ctx, c, "latency", group, broker.first, nil, []string{sink.first}); err == nil {
		err = l.assigned(ctx, bridge, 4)
	}
	if bridge == nil {
		return 0, 0, errors.Join(err, sink.end())
	}
	if err == nil {
		var producer *child
		if producer, err = start(ctx, "producer", false, "produce", "-brokers", broker.first, "-rate", strconv.Itoa(perSecond), "-time", (warm + length).String(), "-seed", strconv.FormatUint(seed, 10)); err == nil {
			for range producer.lines { // until it has ended by itself
			}
			err = producer.end()
		}
	}
	<-time.After(500 * time.Millisecond) // the last packs
	bridge.kill()
	sink.stdin.Close() //nolint:errcheck // it ends the sink, whose report is what counts
	report, lineErr := sink.line(time.Minute)
	if err := errors.Join(err, lineErr, sink.end()); err != nil {
		return 0, 0, err
	}
	var n int
	if _, err := fmt.Sscanf(report, "latency %d %d %d", &p50, &p99, &n); err != nil {
		return 0, 0, fmt.Errorf("reading latencies %q: %w", report, err)
	}
	if n < 1000 {
		return 0, 0, fmt.Errorf("only %d records were looked at", n)
	}
	return p50, p99, nil
}

// serveProducer produces stamped records at a steady rate and ends.
func serveProducer(ctx context.Context, flags *flag.FlagSet, args []string, _ io.Reader) error {
	brokers := flags.String("brokers", "", "to produce to")
	topic := flags.String("topic", benchTopic, "to produce to")
	sent := flags.String("sent", "", "file for what was produced, and when")
	skip := flags.Duration("skip", 0, "with -sent, what was produced before this time has passed is left out")
	rate := flags.Int("rate", 1000, "records per second")
	length := flags.Duration("time", time.Second, "how long")
	seed := flags.Uint64("seed", 1, "of the corpus")
	if err := flags.Parse(args); err != nil {
		return err
	}
	records, err := newCorpus("json1k", *seed)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(*brokers, ",")...), kgo.DefaultProduceTopic(*topic),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		return fmt.Errorf("creating kafka client: %w", err)
	}
	defer cl.Close()
	// One record in so many that some 20,000 a second are noted, at most.
	every := max(*rate/20_000, 1)
	var to *sightings
	if *sent != "" {
		if to, err = createSightings(*sent); err != nil {
			return err
		}
	}
	from := ring{records: records}
	var failed error
	begin := time.Now()
	for sent := 0; ; {
		since := time.Since(begin)
		if since > *length || ctx.Err() != nil || failed != nil {
			break
		}
		for due := int(since.Seconds() * float64(*rate)); sent < due; sent++ {
			now := time.Now()
			if now.Sub(begin) > *length { // it does not keep up with the rate
				break
			}
			value := append(appendStamp(make([]byte, 0, 1<<10), now), from.next(1)[0][stampLen:]...)
			noted := to != nil && since >= *skip && sent%every == 0
			cl.Produce(ctx, &kgo.Record{Value: value}, func(r *kgo.Record, err error) { // one goroutine calls, and what it leaves is read at the end only
				if err != nil {
					failed = err
				} else if noted {
					to.add(r.Partition, r.Offset, now)
				}
			})
		}
		<-time.After(time.Millisecond)
	}
	err = cl.Flush(ctx)
	if to != nil {
		err = errors.Join(err, to.close())
	}
	return errors.Join(failed, err)
}

// assigned waits until a bridge has n partitions.
func (l *lab) assigned(ctx context.Context, bridge *child, n int) error {
	for {
		st, err := status(ctx, bridge.first)
		if err == nil && len(st.Parts) == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d partitions to be assigned: %w", n, errors.Join(context.Cause(ctx), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func status(ctx context.Context, admin string) (*connector.Status, error) {
	var text bytes.Buffer
	if err := get(ctx, "http://"+admin+"/status", &text); err != nil {
		return nil, err
	}
	st := new(connector.Status)
	if err := json.Unmarshal(text.Bytes(), st); err != nil {
		return nil, fmt.Errorf("reading status: %w", err)
	}
	return st, nil
}

// idle is what a bridge with partitions and nothing to do takes: of a core, and of memory.
func (l *lab) idle(ctx context.Context, partitions int, length time.Duration) (core float64, rss int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	c := &cell{subject: "bridge", spec: brokerSpec{Partitions: partitions, Empty: true}}
	broker, err := startBroker(ctx, &c.spec)
	if err != nil {
		return 0, 0, err
	}
	defer broker.kill()
	sink, err := start(ctx, "sink", true, "drain")
	if err != nil {
		return 0, 0, err
	}
	defer sink.kill()
	bridge, err := l.startBridge(ctx, c, "idle", "bench-idle", broker.first, nil, []string{sink.first})
	if err != nil {
		return 0, 0, err
	}
	defer bridge.kill()
	if err := l.assigned(ctx, bridge, partitions); err != nil {
		return 0, 0, err
	}
	<-time.After(5 * time.Second) // what a start does once
	before, err := cpuOf(bridge.pid())
	if err != nil {
		return 0, 0, err
	}
	from := time.Now()
	<-time.After(length)
	after, err := cpuOf(bridge.pid())
	if err != nil {
		return 0, 0, err
	}
	core = (after - before).Seconds() / time.Since(from).Seconds()
	rss, err = memoryOf(bridge.pid(), "VmRSS")
	if err == nil && l.profiles != "" {
		l.profile(ctx, c, bridge.first, 8)() // after what is measured, and long, since it does so little
	}
	return core, rss, err
}

// fairness is how far partitions are from their fair share while a bridge catches up: the least and the
// most progress among them, as parts of the mean, when the mean of those that are not hot is half of
// what they have.
func (l *lab) fairness(ctx context.Context, spec *brokerSpec) (least, most, hot float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	if err := l.close(); err != nil { // it needs the memory
		return 0, 0, 0, err
	}
	c := &cell{subject: "bridge", spec: *spec, whole: true}
	broker, err := startBroker(ctx, spec)
	if err != nil {
		return 0, 0, 0, err
	}
	defer broker.kill()
	sink, err := start(ctx, "sink", true, "drain")
	if err != nil {
		return 0, 0, 0, err
	}
	defer sink.kill()
	bridge, err := l.startBridge(ctx, c, "catchup", "bench-catchup", broker.first, nil, []string{sink.first})
	if err != nil {
		return 0, 0, 0, err
	}
	defer bridge.kill()
	half := float64(spec.Records-spec.Hot) / float64(spec.Partitions-1) / 2
	for {
		st, err := status(ctx, bridge.first)
		if err == nil && len(st.Parts) == spec.Partitions {
			sum := 0.0
			least, most = 1e18, 0
			for i := range st.Parts {
				p := &st.Parts[i]
				did := float64(p.Position - p.Start)
				if p.Partition == 0 {
					hot = did
					continue
				}
				sum += did
				least, most = min(least, did), max(most, did)
			}
			if mean := sum / float64(spec.Partitions-1); mean >= half {
				return least / mean, most / mean, hot / mean, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, 0, 0, fmt.Errorf("catching up: %w", errors.Join(context.Cause(ctx), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// errNoQuota says that this machine cannot hold a process to half a core.
var errNoQuota = errors.New("no cgroup with a CPU quota can be made here")

// halfCore holds a process to half a core until release.
func halfCore(pid int) (release func(), err error) {
	dir := filepath.Join("/sys/fs/cgroup/cpu", "bench-"+strconv.Itoa(pid)) // version 1
	files := map[string]string{"cpu.cfs_period_us": "20000", "cpu.cfs_quota_us": "10000", "cgroup.procs": strconv.Itoa(pid)}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // version 2
		dir = filepath.Join("/sys/fs/cgroup", "bench-"+strconv.Itoa(pid))
		files = map[string]string{"cpu.max": "10000 20000", "cgroup.procs": strconv.Itoa(pid)}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoQuota, err)
	}
	release = func() { os.Remove(dir) } //nolint:errcheck // empty groups are harmless
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			release()
			return nil, fmt.Errorf("%w: %w", errNoQuota, err)
		}
	}
	return release, nil
}

// groupRate is the rate of n bridges in a group, each held to half a core, and how many cores were busy
// in all.
func (l *lab) groupRate(ctx context.Context, n int, length time.Duration, seed uint64) (rate, cores float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	const partitions = 12
	c := &cell{subject: "bridge", spec: brokerSpec{Corpus: "json1k", Seed: seed, Partitions: partitions, Large: true}}
	broker, err := l.kafka(context.WithoutCancel(ctx), &c.spec)
	if err != nil {
		return 0, 0, err
	}
	sink, err := start(ctx, "sink", true, "drain")
	if err != nil {
		return 0, 0, err
	}
	defer sink.kill()
	l.groups++
	group := "bench-" + strconv.Itoa(l.groups)
	all := []*child{broker, sink}
	for i := range n {
		b, err := l.startBridge(ctx, c, "group-"+strconv.Itoa(i), group, broker.first, nil, []string{sink.first})
		if err != nil {
			return 0, 0, err
		}
		release, err := halfCore(b.pid())
		if err != nil {
			b.kill()
			return 0, 0, err
		}
		defer release()
		defer b.kill()
		all = append(all, b)
	}
	for _, b := range all[2:] {
		if err := l.assigned(ctx, b, partitions/n); err != nil {
			return 0, 0, err
		}
	}
	<-time.After(time.Second)
	var records, at [2]int64
	var used [2]time.Duration
	for i := range 2 {
		for _, p := range all {
			d, err := cpuOf(p.pid())
			if err != nil {
				return 0, 0, err
			}
			used[i] += d
		}
		if records[i], at[i], err = sink.count(); err != nil {
			return 0, 0, err
		}
		if i == 0 {
			<-time.After(length)
		}
	}
	took := time.Duration(at[1] - at[0]).Seconds()
	return float64(records[1]-records[0]) / took, (used[1] - used[0]).Seconds() / took, nil
}
