package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector"
)

// Rows on an Apache Kafka that somebody has started and that -kafka names: the embedded one collects garbage of what it
// keeps, and answers a fetch of many partitions in its own way.
func kafkaRows(addr string, filled func(subject, corpus string, change func(*cell)) cell) []bridgeRow {
	rows := []bridgeRow{
		keysRow(addr, filled, 1000),
		readyRow(addr, "5 %", 0.05, linger+30*time.Millisecond),
		readyRow(addr, "50 %", 0.5, 60*time.Millisecond),
		manyRow(addr, 10_000),
	}
	if addr != "" {
		return rows
	}
	for i := range rows {
		limits := rows[i].limits()
		goal := limits.goals()
		if rows[i].judge != nil {
			goal = rows[i].judge(&specials{}).goal
		}
		rows[i].special = func(context.Context, *lab, uint64, *specials) error { return nil }
		rows[i].judge = func(*specials) bridgeOutcome {
			return bridgeOutcome{text: "SKIPPED: needs an Apache Kafka, named by -kafka", goal: goal}
		}
	}
	return rows
}

// keysRow is a route by key over so many streams, to one with one stream. The work of this broker for a record does not depend on
// how much of a partition is fetched at once; that of the embedded one does.
func keysRow(addr string, filled func(subject, corpus string, change func(*cell)) cell, keys int) bridgeRow {
	with := func(keys int) cell {
		return filled("bridge", "json1k", func(c *cell) {
			c.spec.Keys, c.spec.Kafka, c.spec.Topic = keys, addr, fmt.Sprintf("bench-%d-keys-%d", time.Now().Unix(), keys)
		})
	}
	return bridgeRow{
		name:    fmt.Sprintf("Apache Kafka, 1 KiB, route by key template over %s streams, to its own rate with one", thousands(float64(keys))),
		minRate: 0.75, maxCPU: 1.35, of: with(keys), reference: with(0),
	}
}

// pollFactor is how much later than a consumer that only polls a record may be ready, beside the linger.
const pollFactor = 1.2

// noLinger is the bridge with pack.linger: 0, in which a record waits for nothing.
const noLinger = "bridge, linger 0"

// readyRow is the time from the producer until the offset of a record may be committed, at a part of what goes from
// producer to bridge at most. Beside it stand a bridge without a linger and a consumer that only polls, fed in the same way.
func readyRow(addr, name string, load float64, most time.Duration) bridgeRow {
	return bridgeRow{
		name: "Apache Kafka, latency at " + name + " load, produce to commit-ready, confirm: ack",
		special: func(ctx context.Context, l *lab, seed uint64, s *specials) error {
			if l.fullKafka == 0 {
				full, err := l.kafkaRate(ctx, addr, seed)
				if err != nil {
					return err
				}
				l.fullKafka = full
			}
			s.add("rate", l.fullKafka*load)
			return s.latencies([]string{"bridge", noLinger, "poll"}, func(subject string) (median, late time.Duration, err error) {
				return l.ready(ctx, addr, subject, int(l.fullKafka*load), 5*time.Second, seed)
			})
		},
		judge: func(s *specials) bridgeOutcome {
			late, polled := s.of("bridge p99").median, s.of("poll p99").median
			lingers := linger.Seconds() * 1e3
			return bridgeOutcome{
				outcome: outcome{Goal: most.Seconds() * 1e3, Met: late <= most.Seconds()*1e3 && late <= lingers+pollFactor*polled},
				text: fmt.Sprintf("%s rec/s: p50 %.1f ms, p99 %s ms; with pack.linger 0 %.1f and %s ms; only polled %.1f and %s ms",
					thousands(s.of("rate").median), s.of("bridge p50").median, s.of("bridge p99"), s.of(noLinger+" p50").median, s.of(noLinger+" p99"),
					s.of("poll p50").median, s.of("poll p99")),
				goal: fmt.Sprintf("p99 <= %v, and <= linger + %.1f of polled", most, pollFactor),
			}
		},
	}
}

// manyRow is a bridge with a topic of many partitions of which nearly all are idle.
func manyRow(addr string, partitions int) bridgeRow {
	return bridgeRow{
		name: fmt.Sprintf("Apache Kafka, %s partitions: start, idle with a scrape every 15 s", thousands(float64(partitions))),
		special: func(ctx context.Context, l *lab, _ uint64, s *specials) error {
			m, err := l.many(ctx, addr, partitions)
			s.add("start", m.start.Seconds())
			s.add("core", m.core*100)
			s.add("scrape", m.scrape.Seconds()*1e3)
			s.add("rss", float64(m.rss)/(1<<20))
			return err
		},
		judge: func(s *specials) bridgeOutcome {
			start, core, scrape := s.of("start"), s.of("core"), s.of("scrape")
			return bridgeOutcome{
				outcome: outcome{RSSMiB: s.of("rss").median, Goal: 10, Met: start.median <= 10 && core.median <= 1 && scrape.median <= 150},
				text:    fmt.Sprintf("first record after %s s, %s %% of a core, scrape %s ms", start, core, scrape),
				goal:    "<= 10 s, <= 1 % of a core, <= 150 ms",
			}
		},
	}
}

// kafkaTopic makes a topic and waits until a broker leads each of its partitions. One that is there already is used as it is.
func kafkaTopic(ctx context.Context, addr, topic string, partitions int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...))
	if err != nil {
		return fmt.Errorf("creating kafka client: %w", err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	admin.SetTimeoutMillis(120_000)
	const atOnce = 5000 // one request may make fewer than 10,000
	if _, err := admin.CreateTopic(ctx, int32(min(partitions, atOnce)), 1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", topic, err)
	}
	for n := 2 * atOnce; n < partitions+atOnce; n += atOnce {
		if _, err := admin.UpdatePartitions(ctx, min(n, partitions), topic); err != nil {
			return fmt.Errorf("adding partitions to topic %s: %w", topic, err)
		}
	}
	for {
		ends, err := admin.ListEndOffsets(kadm.WithAuthorizedOps(ctx), topic)
		if err == nil {
			if err = ends.Error(); err == nil && len(ends[topic]) == partitions {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d partitions of topic %s: %w", partitions, topic, errors.Join(context.Cause(ctx), err))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// dropTopic deletes a topic of this run, so that its records do not fill the disk.
func dropTopic(addr, topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...))
	if err == nil {
		defer cl.Close()
		_, err = kadm.NewClient(cl).DeleteTopic(ctx, topic)
	}
	if err != nil {
		log.Printf("deleting topic %s: %v", topic, err)
	}
}

// named makes a name that no earlier run has used on a Kafka that stays.
func (l *lab) named(what string) string {
	l.groups++
	return fmt.Sprintf("bench-%s-%d-%d", what, time.Now().Unix(), l.groups)
}

// kafkaRate is how many records of 1 KiB a second go from a producer through this Kafka and the bridge, as fast as the machine
// moves them: producer and broker take most of it.
func (l *lab) kafkaRate(ctx context.Context, addr string, seed uint64) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	topic := l.named("full")
	if err := kafkaTopic(ctx, addr, topic, 4); err != nil {
		return 0, err
	}
	defer dropTopic(addr, topic)
	sink, err := start(ctx, "sink", true, "drain")
	if err != nil {
		return 0, err
	}
	defer sink.kill()
	bridge, err := l.startBridge(ctx, &cell{subject: "bridge", spec: brokerSpec{Topic: topic}, confirm: "ack"}, "full", topic, addr, nil, []string{sink.first})
	if err != nil {
		return 0, err
	}
	defer bridge.kill()
	if err := l.assigned(ctx, bridge, 4); err != nil {
		return 0, err
	}
	const length = 8 * time.Second
	producer, err := start(ctx, "producer", false, "produce", "-brokers", addr, "-topic", topic, "-rate", "10000000", "-time", length.String(), "-seed", strconv.FormatUint(seed, 10))
	if err != nil {
		return 0, err
	}
	defer producer.kill()
	var records, at [2]int64
	for i, wait := range []time.Duration{length * 3 / 8, length / 2} {
		<-time.After(wait)
		if records[i], at[i], err = sink.count(); err != nil {
			return 0, err
		}
	}
	return float64(records[1]-records[0]) / time.Duration(at[1]-at[0]).Seconds(), nil
}

// ready measures how long records of a steady producer take until the bridge may commit them, or until they are polled.
func (l *lab) ready(ctx context.Context, addr, subject string, perSecond int, length time.Duration, seed uint64) (p50, p99 time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	topic := l.named("ready")
	if err := kafkaTopic(ctx, addr, topic, 4); err != nil {
		return 0, 0, err
	}
	defer dropTopic(addr, topic)
	sent, seen := filepath.Join(l.dir, topic+".sent"), filepath.Join(l.dir, topic+".seen")
	warm := length / 4
	produce := []string{
		"produce", "-brokers", addr, "-topic", topic, "-rate", strconv.Itoa(perSecond), "-time", (warm + length).String(),
		"-seed", strconv.FormatUint(seed, 10), "-sent", sent, "-skip", warm.String(),
	}
	var follower *child
	if subject == "poll" {
		follower, err = start(ctx, "poll floor", false, "poll", "-brokers", addr, "-group", topic, "-topic", topic, "-seen", seen)
		if err != nil {
			return 0, 0, err
		}
		<-time.After(2 * time.Second) // it does not say when it has its partitions
	} else {
		sink, err := start(ctx, "sink", true, "drain")
		if err != nil {
			return 0, 0, err
		}
		defer sink.kill()
		c := &cell{subject: "bridge", spec: brokerSpec{Partitions: 4, Topic: topic}, confirm: "ack", seen: seen, noLinger: subject == noLinger}
		if follower, err = l.startBridge(ctx, c, "ready", topic, addr, nil, []string{sink.first}); err != nil {
			return 0, 0, err
		}
		if err := l.assigned(ctx, follower, 4); err != nil {
			follower.kill()
			return 0, 0, err
		}
		if l.profiles != "" {
			stop := l.profile(ctx, c, follower.first, 4)
			defer stop()
		}
	}
	producer, err := start(ctx, "producer", false, produce...)
	if err == nil {
		for range producer.lines { // until it has ended by itself
		}
		err = producer.end()
	}
	<-time.After(500 * time.Millisecond) // the last packs
	if err := errors.Join(err, follower.end()); err != nil {
		return 0, 0, err
	}
	took, err := joinSightings(sent, seen)
	if err != nil {
		return 0, 0, err
	}
	if len(took) < 1000 {
		return 0, 0, fmt.Errorf("only %d records were looked at", len(took))
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// sighting is a line of a file: at a time in unix nanoseconds, an offset of a partition was produced, or all below it were polled
// or may be committed.
type sighting struct {
	partition int32
	offset    int64
	at        int64
}

// joinSightings says how long it took from each record sent until it was below an offset that was seen.
func joinSightings(sent, seen string) ([]time.Duration, error) {
	from, err := readSightings(sent)
	if err != nil {
		return nil, err
	}
	to, err := readSightings(seen)
	if err != nil {
		return nil, err
	}
	byPart := make(map[int32][]sighting)
	for _, s := range to {
		byPart[s.partition] = append(byPart[s.partition], s)
	}
	took := make([]time.Duration, 0, len(from))
	for _, s := range from {
		list := byPart[s.partition]
		i, _ := slices.BinarySearchFunc(list, s.offset+1, func(x sighting, offset int64) int { return int(x.offset - offset) })
		if i == len(list) {
			return nil, fmt.Errorf("offset %d of partition %d was produced and never seen", s.offset, s.partition)
		}
		took = append(took, time.Duration(list[i].at-s.at))
	}
	return took, nil
}

func readSightings(path string) (out []sighting, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading sightings: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	for in := bufio.NewScanner(f); in.Scan(); {
		var s sighting
		if _, err := fmt.Sscanf(in.Text(), "%d %d %d", &s.partition, &s.offset, &s.at); err != nil {
			return nil, fmt.Errorf("reading sighting %q: %w", in.Text(), err)
		}
		out = append(out, s)
	}
	return out, nil
}

// sightings writes them to a file.
type sightings struct {
	file *os.File
	out  *bufio.Writer
}

func createSightings(path string) (*sightings, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("writing sightings: %w", err)
	}
	return &sightings{f, bufio.NewWriterSize(f, 1<<16)}, nil
}

func (s *sightings) add(partition int32, offset int64, at time.Time) {
	fmt.Fprintf(s.out, "%d %d %d\n", partition, offset, at.UnixNano()) //nolint:errcheck // close tells
}

func (s *sightings) close() error { return errors.Join(s.out.Flush(), s.file.Close()) }

// watchReady notes the offsets below which the bridge may commit, each millisecond, until ctx ends.
func watchReady(ctx context.Context, b *connector.Bridge, path string) error {
	s, err := createSightings(path)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	last := make(map[int32]int64)
	for {
		select {
		case <-ctx.Done():
			return s.close()
		case <-tick.C:
		}
		st := b.Status()
		now := time.Now()
		for i := range st.Parts {
			if p := &st.Parts[i]; p.Final > last[p.Partition] {
				last[p.Partition] = p.Final
				s.add(p.Partition, p.Final, now)
			}
		}
	}
}

// manyResult is what a bridge with many partitions takes.
type manyResult struct {
	start  time.Duration // from the start of its process to the first record at the proxy
	core   float64       // of a core while it is idle and scraped every 15 s
	scrape time.Duration // median of what a scrape took
	rss    int64
}

const (
	manyScrape = 15 * time.Second
	manyIdle   = 2 * manyScrape
)

// many measures a bridge with a topic of many partitions, of which one in a hundred holds one record.
func (l *lab) many(ctx context.Context, addr string, partitions int) (m manyResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*cellTimeout)
	defer cancel()
	topic := fmt.Sprintf("bench-many-%d", partitions)
	if err := kafkaTopic(ctx, addr, topic, partitions); err != nil {
		return m, err
	}
	if err := fillTopic(ctx, strings.Split(addr, ","), topic, &brokerSpec{Corpus: "json1k", Seed: 1, Partitions: partitions / 100, Records: partitions / 100}); err != nil {
		return m, err
	}
	sink, err := start(ctx, "sink", true, "drain", "-marks", "1")
	if err != nil {
		return m, err
	}
	defer sink.kill()
	c := &cell{subject: "bridge", spec: brokerSpec{Partitions: partitions, Topic: topic}, scrape: manyScrape}
	began := time.Now()
	bridge, err := l.startBridge(ctx, c, "many", l.named("many"), addr, nil, []string{sink.first})
	if err != nil {
		return m, err
	}
	defer bridge.kill()
	_, at, err := sink.mark(cellTimeout)
	if err != nil {
		return m, err
	}
	m.start = time.Unix(0, at).Sub(began)
	if err := l.assigned(ctx, bridge, partitions); err != nil {
		return m, err
	}
	<-time.After(10 * time.Second) // what a start does once
	before, err := cpuOf(bridge.pid())
	if err != nil {
		return m, err
	}
	from := time.Now()
	<-time.After(manyIdle)
	after, err := cpuOf(bridge.pid())
	if err != nil {
		return m, err
	}
	m.core = (after - before).Seconds() / time.Since(from).Seconds()
	var took []time.Duration
	for range 5 {
		began := time.Now()
		if err := get(ctx, "http://"+bridge.first+"/metrics", io.Discard); err != nil {
			return m, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	m.scrape = took[len(took)/2]
	if m.rss, err = memoryOf(bridge.pid(), "VmRSS"); err == nil && l.profiles != "" {
		l.profile(ctx, c, bridge.first, 20)() // after what is measured, and long, since it does so little
	}
	return m, err
}
