package pulsar_test

import (
	"errors"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/pulsar"
)

func TestTopicsOfANamespaceAreListedByTheirNames(t *testing.T) {
	d := pulsar.NewDouble()
	d.SetPartitions("persistent://acme/ns/flat", 0)
	d.SetPartitions("persistent://acme/ns/three", 3)
	d.SetPartitions("persistent://acme/ns/odd-partition-x", 0)
	d.SetPartitions("persistent://acme/another/three", 1)
	list := func(namespace string) ([]string, error) {
		cfg := doubleCluster(0)
		cfg.Namespace = namespace
		r, err := pulsar.NewOver(pulsar.Config{Instance: confirmtest.Instance, Timeout: time.Second, Clusters: []pulsar.Cluster{cfg}}, d)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return r.Browsers()[0].Topics(t.Context(), regexp.MustCompile("flat|three|odd"))
	}
	want := []string{"persistent://acme/ns/flat", "persistent://acme/ns/odd-partition-x", "persistent://acme/ns/three"}
	if got, err := list("ns"); err != nil || !slices.Equal(got, want) {
		t.Errorf("topics %q, %v, want %q", got, err, want)
	}
	if _, err := list("{group}"); !errors.Is(err, confirm.ErrCannotList) {
		t.Errorf("a namespace for each group: %v, want ErrCannotList", err)
	}
}

// A reader whose connection ends goes on without the rest of the batch it holds: what it returns then is dropped, and read again.
func TestBrowsingMissesNothingWhenAReaderReconnects(t *testing.T) {
	r, doubles := newPulsarQueue(t, 1, 5*time.Second)
	doubles[0].SetPartitions(pulsarTopic, 1)
	for i := range uint64(10) {
		if err := doubles[0].PutBatch(pulsarTopic, 0, confirmtest.Packs(5*i, 5*i+5)...); err != nil {
			t.Fatal(err)
		}
	}
	b := r.Browsers()[0]
	l, err := b.Holds(t.Context(), pulsarTopic)
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	err = b.Browse(t.Context(), confirm.Stretch{Place: confirm.Place{Topic: pulsarTopic}, From: l.Partitions[0].Start, To: l.Partitions[0].End}, func(m *confirm.Message) error {
		if string(m.Value) != string(confirmtest.Pack(confirmtest.Instance, n)) {
			t.Errorf("message %d is another one", n)
		}
		if n++; n == 7 {
			doubles[0].Disconnect(pulsarTopic)
		}
		return nil
	})
	if err != nil || n != 50 {
		t.Errorf("%d messages, %v, want 50", n, err)
	}
}

// The client of Pulsar does not always come back after its broker disconnected it because of a seek.
func TestSinceIsAskedAgainWhenAReaderHangs(t *testing.T) {
	for _, tc := range []struct {
		hangs int
		ok    bool
	}{{2, true}, {3, false}} {
		synctest.Test(t, func(t *testing.T) {
			r, doubles := newPulsarQueue(t, 1, 8*time.Second)
			doubles[0].SetPartitions(pulsarTopic, 1)
			begun := time.Now()
			if err := doubles[0].PutBatch(pulsarTopic, 0, confirmtest.Packs(0, 5)...); err != nil {
				t.Fatal(err)
			}
			b := r.Browsers()[0]
			want, err := b.Since(t.Context(), pulsarTopic, begun)
			if err != nil || want[0] == confirm.Unknown {
				t.Fatal(want, err)
			}
			doubles[0].HangSeeks(tc.hangs)
			first, err := b.Since(t.Context(), pulsarTopic, begun)
			if took := time.Since(begun); took > 8*time.Second || (err == nil) != tc.ok {
				t.Errorf("%d readers hang: %v after %v, want an answer: %v", tc.hangs, err, took, tc.ok)
			}
			if tc.ok && first[0] != want[0] {
				t.Errorf("%d readers hang: the first message is at %v, want %v", tc.hangs, first[0], want[0])
			}
		})
	}
}
