package connector

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/mapping/queuetopic"
)

// What a partition of the queue says of itself decides whether messages may have been deleted from it.
func TestPartitionsThatMayHaveDeletedMessages(t *testing.T) {
	now := time.Now()
	first := now.Add(-time.Hour)
	for _, tc := range []struct {
		name     string
		from, to confirm.Offset
		first    time.Time
		oldest   time.Time // zero: nothing was deleted
	}{
		{"Kafka, whole", confirm.At(0), confirm.At(9), first, time.Time{}},
		{"Kafka, never used", confirm.At(0), confirm.At(0), time.Time{}, time.Time{}},
		{"Kafka, begins later", confirm.At(3), confirm.At(9), first, first},
		{"Kafka, all of it is gone", confirm.At(9), confirm.At(9), time.Time{}, now},
		{"Pulsar, which does not tell", confirm.Unknown, confirm.Offset{Ledger: 7, Entry: 3}, first, first},
		{"Pulsar, never used", confirm.Unknown, confirm.Offset{}, time.Time{}, time.Time{}},
		{"Pulsar, all of it is gone", confirm.Offset{Ledger: 7}, confirm.Offset{Ledger: 7}, time.Time{}, now},
	} {
		v := &verification{VerifyOptions: VerifyOptions{now: now}}
		v.mayHaveExpired(confirm.Stretch{From: tc.from, To: tc.to}, tc.first)
		if !v.oldest.Equal(tc.oldest) || (v.expired == "") != tc.oldest.IsZero() || (v.sums.Expired == 0) != tc.oldest.IsZero() {
			t.Errorf("%s: oldest %v, %q, want %v", tc.name, v.oldest, v.expired, tc.oldest)
		}
		v.mayHaveExpired(confirm.Stretch{From: confirm.At(1), To: confirm.At(2)}, first.Add(-time.Hour))
		if want := tc.oldest; !want.IsZero() && !v.oldest.Equal(want) {
			t.Errorf("%s: a partition that holds older messages makes it %v, want %v", tc.name, v.oldest, want)
		}
	}
}

// namedCluster lists its topics, or cannot.
type namedCluster struct {
	confirm.Browser
	template queuetopic.Template
	topics   []string // nil: it cannot list them
}

func (c namedCluster) Topic(_, group, stream string) string { return c.template.Fill(group, stream) }

func (c namedCluster) Topics(context.Context, *regexp.Regexp) ([]string, error) {
	if c.topics == nil {
		return nil, confirm.ErrCannotList
	}
	return slices.Clone(c.topics), nil
}

func TestTopicsOfTheRoutesAreFoundInTheQueue(t *testing.T) {
	parse := func(routes string) *config.Config {
		cfg, err := config.Parse("t.yaml", []byte("kafka: {brokers: ['k:1'], group: g}\ninlong: {proxies: ['p:1']}\nroutes: "+routes), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	all := []string{"q.a.b", "q.a.x", "q.logs.web", "q.logs.", "other", "q.z.z"}
	for _, tc := range []struct {
		name, routes string
		topics       []string
		want         string
	}{
		{"names and captures", `[{topics: [orders], group: a, stream: b}, {topics: 'logs\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}]`, all, "q.a.b q.logs.web"},
		{"by key", `[{topics: [orders], group: a, stream: '{key}'}]`, all, "q.a.b q.a.x"},
		{"not to be listed", `[{topics: [orders], group: a, stream: b}, {topics: 'logs\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}]`, nil, "q.a.b q.logs.db"},
		{"not to be listed, by key", `[{topics: [orders], group: a, stream: '{key}'}]`, nil, "error"},
	} {
		v := &verification{cfg: parse(tc.routes), ordered: []*account{{id: part.ID{Topic: "logs.db"}}}}
		got, err := v.topicsOf(t.Context(), &Queue{}, namedCluster{template: "q.{group}.{stream}", topics: tc.topics})
		text := strings.Join(got, " ")
		if errors.Is(err, confirm.ErrCannotList) {
			text = "error"
		}
		if text != tc.want {
			t.Errorf("%s: %s, %v, want %s", tc.name, text, err, tc.want)
		}
	}
}
