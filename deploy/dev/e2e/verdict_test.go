package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/pulsarhandler"
	"inlong-bridge/mapping/queuetopic"
)

// identity returns the identity in a value, and whether the rest of it is as it was produced.
func identity(value []byte) (string, bool) {
	id, _, ok := bytes.Cut(value, []byte("|"))
	return string(id), ok && bytes.Equal(value, valueOf(string(id)))
}

// arrivals counts what arrived, by identity.
type arrivals struct {
	times   map[string]int
	strange []string // values that nobody produced so
}

func (a *arrivals) add(value []byte) {
	id, ok := identity(value)
	if !ok {
		a.strange = append(a.strange, fmt.Sprintf("%.60q", value))
		return
	}
	a.times[id]++
}

// inQueue reads all that is in the queue of these source topics. Topics that do not exist are empty. While
// a broker is gone it tries again.
func (s *sink) inQueue(sources []string) (a *arrivals) {
	b := s.b
	if s.queue != nil {
		b = s.queue.b
	}
	b.Helper()
	b.eventually(drainLimit, func() (err error) {
		a, err = s.readQueue(sources)
		return err
	})
	return a
}

func (s *sink) readQueue(sources []string) (*arrivals, error) {
	a := &arrivals{times: make(map[string]int)}
	topics := s.topics(sources)
	if s.pulsar != nil {
		return a, s.readPulsar(a, topics)
	}
	ctx := s.queue.b.Context()
	there, err := s.queue.admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	topics = slices.DeleteFunc(topics, func(t string) bool {
		return !there.Has(t) || errors.Is(there[t].Err, kerr.UnknownTopicOrPartition)
	})
	if len(topics) == 0 {
		return a, nil
	}
	return a, kafkahandler.ReadAll(ctx, s.queue.opts, topics, func(p kafkahandler.Pack) error {
		if want := queuetopic.Template(s.template).Fill(p.Group, p.Stream); p.Err == nil && p.Topic != want {
			p.Err = fmt.Errorf("a pack of %s lies in topic %s", want, p.Topic)
		}
		if p.Err != nil {
			a.strange = append(a.strange, p.Err.Error())
		}
		for _, r := range p.Records {
			a.add(r)
		}
		return nil
	})
}

// readPulsar reads the topics of a Pulsar; it wants them to exist.
func (s *sink) readPulsar(a *arrivals, topics []string) error {
	ctx, cancel := context.WithTimeout(s.b.Context(), drainLimit)
	defer cancel()
	return pulsarhandler.ReadAll(ctx, *s.pulsar, topics, func(p pulsarhandler.Pack) error {
		if want := s.pulsar.TopicOf(p.Group, p.Stream); p.Err == nil && p.Topic != want {
			p.Err = fmt.Errorf("a pack of %s lies in topic %s", want, p.Topic)
		}
		if p.Err != nil {
			a.strange = append(a.strange, p.Err.Error())
		}
		for _, r := range p.Records {
			a.add(r)
		}
		return nil
	})
}

// inOutputs reads what devproxy --out wrote.
func (b *bench) inOutputs(paths ...string) *arrivals {
	b.Helper()
	a := &arrivals{times: make(map[string]int)}
	for _, path := range paths {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			b.Fatal(err)
		}
		lines := json.NewDecoder(file)
		for {
			var line struct {
				Records []struct {
					Text   *string
					Base64 []byte
				}
			}
			err := lines.Decode(&line)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatalf("reading %s: %v", path, err)
			}
			for _, r := range line.Records {
				if r.Text != nil {
					a.add([]byte(*r.Text))
				} else {
					a.add(r.Base64)
				}
			}
		}
		file.Close()
	}
	return a
}

// verdict is what became of the records of a ledger.
type verdict struct {
	produced, missing, duplicates int
	examples                      []string // of missing ones
	foreign                       []string // identities that were not produced, and values that were changed
}

// judge compares what arrived with what was produced.
func (l *ledger) judge(a *arrivals) verdict {
	produced := l.all()
	v := verdict{produced: len(produced), foreign: slices.Clone(a.strange)}
	for id, at := range produced {
		switch n := a.times[id]; n {
		case 0:
			v.missing++
			if len(v.examples) < 5 {
				v.examples = append(v.examples, fmt.Sprintf("%s of %s/%d at offset %d", id, at.topic, at.partition, at.offset))
			}
		default:
			v.duplicates += n - 1
		}
	}
	for id := range a.times {
		// Another prefix is another test's.
		if _, ok := produced[id]; !ok && strings.HasPrefix(id, l.prefix) {
			v.foreign = append(v.foreign, id)
		}
	}
	return v
}

func (v verdict) String() string {
	text := fmt.Sprintf("produced %d, missing %d, duplicates %d, foreign %d", v.produced, v.missing, v.duplicates, len(v.foreign))
	if len(v.examples) > 0 {
		text += "; missing are " + strings.Join(v.examples, ", ")
	}
	if len(v.foreign) > 0 {
		text += "; foreign are " + strings.Join(v.foreign[:min(5, len(v.foreign))], ", ")
	}
	return text
}

// complete ends the test if something is missing or foreign, or was sent again more often than allowed.
func (b *bench) complete(what string, v verdict, allowed int) {
	b.Helper()
	b.Logf("%s: %v (%d duplicates allowed)", what, v, allowed)
	if v.produced == 0 {
		b.Errorf("%s: nothing was produced, so this shows nothing", what)
	}
	if v.missing > 0 || len(v.foreign) > 0 || v.duplicates > allowed {
		b.Errorf("%s: %v, want nothing missing, nothing foreign, and at most %d duplicates", what, v, allowed)
	}
}

// committedIsSafe checks the promise itself: what is committed lies in the queue, at any moment. It returns
// how many records are not committed, which is the most that may be sent again if the bridge ends now.
func (l *ledger) committedIsSafe(c *cluster, group string, s *sink, topics []string) (uncommitted int) {
	c.b.Helper()
	committed := c.committed(group) // before the queue, which may grow meanwhile
	produced := l.all()
	a := s.inQueue(topics)
	for id, at := range produced {
		switch {
		case at.offset >= committed[at.topic][at.partition]:
			uncommitted++
		case a.times[id] == 0:
			c.b.Errorf("%s is committed (%s/%d at offset %d of %d) and not in the queue", id,
				at.topic, at.partition, at.offset, committed[at.topic][at.partition])
		}
	}
	return uncommitted
}

// proved has the program itself look up every committed offset in the queue.
func (b *bench) proved(s settings) {
	b.Helper()
	p := b.program("ledger", "ledger", "-c", b.writeSettings("ledger", s), "--verify")
	if code := p.wait(drainLimit); code != 0 {
		b.Errorf("ledger --verify: exit %d, want 0\n%s", code, p.output())
	}
}
