package pulsar_test

import (
	"errors"
	"regexp"
	"slices"
	"testing"
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
