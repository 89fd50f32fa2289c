package confirmtest

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"inlong-bridge/connector/confirm"
)

// browse reads a topic by hand: everything once and in order, in any part, and beside what is watched.
func browse(b *bench) {
	b.open(1, 10*time.Second)
	b.broker[0].Create(b.T, 2)
	at, bounds := b.holds()
	if len(bounds) != 2 || at.From != confirm.Unknown && at.From.Before(at.To) {
		b.Fatalf("an empty topic: %v, %+v", bounds, at)
	}
	if got, err := b.browse(at); err != nil || len(got) != 0 {
		b.Errorf("an empty partition: %v, %v", got, err)
	}
	b.put(0, 0, Packs(0, 5)...)
	b.put(0, 0, Packs(5, 300)...)
	b.put(0, 1, Packs(1000, 1001)...)
	at, _ = b.holds()
	b.put(0, 0, Packs(300, 310)...) // behind the end that was asked for
	all, err := b.browse(at)
	if err != nil || len(all) != 300 {
		b.Fatalf("%d messages, %v, want 300", len(all), err)
	}
	for i, m := range all {
		if string(m.Value) != string(Pack(Instance, uint64(i))) || m.Place != at.Place || m.Err != nil || !m.At.Before(m.Next) {
			b.Fatalf("message %d is %+v", i, m)
		}
	}
	middle := at
	middle.From, middle.To = all[3].At, all[200].At
	if part, err := b.browse(middle); err != nil || len(part) != 197 || part[0].At != all[3].At || part[196].At != all[199].At {
		b.Errorf("from the middle: %d messages, %v, want those from 3 to 199", len(part), err)
	}
	enough, n := errors.New("enough"), 0
	if err := b.browser().Browse(b.Context(), at, func(*confirm.Message) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		b.Errorf("an error of the callee: %v after %d messages", err, n)
	}
	if names, err := b.browser().Topics(b.Context(), regexp.MustCompile(regexp.QuoteMeta(at.Topic))); !errors.Is(err, confirm.ErrCannotList) && !slices.Contains(names, at.Topic) {
		b.Errorf("topics %q, %v, want %q among them", names, err, at.Topic)
	}
}

// browseSince: what was put at a time or later lies from where the cluster says on, and nothing else if nobody's clock is wrong.
func browseSince(b *bench) {
	b.open(1, 20*time.Second)
	b.broker[0].Create(b.T, 3)
	tick := func() time.Time { // the clocks of queues are cut to milliseconds
		<-time.After(20 * time.Millisecond)
		now := time.Now()
		<-time.After(20 * time.Millisecond)
		return now
	}
	begun := tick()
	b.put(0, 0, Packs(0, 40)...)
	b.put(0, 1, Packs(100, 120)...)
	later := tick()
	b.put(0, 0, Packs(40, 50)...)
	b.put(0, 0, Packs(50, 60)...)
	at, bounds := b.holds()
	ended := tick()
	for _, tc := range []struct {
		since time.Time
		want  [3]int // messages of the partitions
	}{{begun, [3]int{60, 20, 0}}, {later, [3]int{20, 0, 0}}, {ended, [3]int{}}, {time.UnixMilli(0), [3]int{60, 20, 0}}} {
		first, err := b.browser().Since(b.Context(), at.Topic, tc.since)
		if err != nil || len(first) != len(bounds) {
			b.Fatalf("since %v: %v, %v, want %d offsets", tc.since, first, err, len(bounds))
		}
		for n, bound := range bounds {
			s := at
			s.Partition, s.From, s.To = n, first[n], bound.End
			all, err := b.browse(s)
			if err != nil || len(all) != tc.want[n] {
				b.Errorf("partition %d since %v: %d messages from %v, %v, want %d", n, tc.since, len(all), first[n], err, tc.want[n])
			}
			if rest := 60 - len(all); n == 0 && len(all) > 0 && string(all[0].Value) != string(Pack(Instance, uint64(rest))) {
				b.Errorf("since %v: the first message is not number %d", tc.since, rest)
			}
		}
	}
}

// browseOutage: a broker that goes and comes back costs no message.
func browseOutage(b *bench) {
	const messages, size, batch = 60, 190 << 10, 5 // more than a fetch
	b.open(1, 20*time.Second)
	b.broker[0].Create(b.T, 1)
	value := func(i int) []byte { return append(make([]byte, size), byte(i)) }
	for i := 0; i < messages; i += batch {
		var values [][]byte
		for j := range batch {
			values = append(values, value(i+j))
		}
		b.put(0, 0, values...)
	}
	at, _ := b.holds()
	third, broken, n := make(chan struct{}), make(chan struct{}), 0
	done := make(chan error, 1)
	go func() {
		done <- b.browser().Browse(b.Context(), at, func(m *confirm.Message) error {
			if !bytes.Equal(m.Value, value(n)) {
				b.Errorf("message %d is another one", n)
			}
			if n++; n == 3 {
				close(third)
				<-broken
			}
			return nil
		})
	}()
	select {
	case <-third:
	case err := <-done:
		b.Fatalf("reading ended before the third message: %v", err)
	}
	b.broker[0].Break(b.T)
	close(broken)
	<-time.After(300 * time.Millisecond) // long enough for a fetch to fail; nothing is decided by it
	b.broker[0].Mend(b.T)
	if err := <-done; err != nil || n != messages {
		b.Errorf("%d messages, %v, want %d", n, err, messages)
	}
}

// browseSilence: a cluster that stays away is an error in bounded time.
func browseSilence(b *bench) {
	b.open(1, time.Second)
	b.broker[0].Create(b.T, 1)
	b.put(0, 0, Packs(0, 5)...)
	at, _ := b.holds()
	b.broker[0].Break(b.T)
	ctx, cancel := context.WithTimeout(b.Context(), Patience)
	defer cancel()
	if err := b.browser().Browse(ctx, at, func(*confirm.Message) error { return nil }); err == nil || ctx.Err() != nil {
		b.Errorf("a cluster that is down: %v", err)
	}
	b.broker[0].Mend(b.T)
}

func (b *bench) browser() confirm.Browser {
	b.Helper()
	all := b.reader.Browsers()
	if len(all) != 1 {
		b.Fatalf("%d browsers, want 1", len(all))
	}
	return all[0]
}

// holds returns the first partition as a stretch.
func (b *bench) holds() (first confirm.Stretch, all map[int32]confirm.Bounds) {
	b.Helper()
	c := b.browser()
	topic := c.Topic("", Group, Stream)
	var l confirm.TopicListing
	b.wait("the topic exists", func() bool {
		var err error
		l, err = c.Holds(b.Context(), topic)
		return err == nil && l.Exists
	})
	p := l.Partitions[0]
	return confirm.Stretch{Place: confirm.Place{Cluster: c.Name(), Topic: topic, Partition: 0}, TopicID: l.ID, From: p.Start, To: p.End}, l.Partitions
}

func (b *bench) browse(s confirm.Stretch) (all []confirm.Message, err error) {
	err = b.browser().Browse(b.Context(), s, func(m *confirm.Message) error {
		all = append(all, *m)
		return nil
	})
	return all, err
}
