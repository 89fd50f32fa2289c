package confirm_test

import (
	"os/exec"
	"strings"
	"testing"
)

const (
	kafkaClient   = "github.com/twmb/franz-go/"
	pulsarClient  = "github.com/apache/pulsar-client-go/"
	confirmPrefix = "inlong-bridge/connector/confirm/"
)

// deps returns what a package imports, directly or not.
func deps(t *testing.T, pkg string, flags ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append(append([]string{"list", "-deps"}, flags...), pkg)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

func imports(deps []string, prefix string) bool {
	for _, d := range deps {
		if strings.HasPrefix(d+"/", prefix) {
			return true
		}
	}
	return false
}

func TestOnlyTheAdapterOfAQueueImportsItsClient(t *testing.T) {
	for _, tt := range []struct {
		pkg           string
		kafka, pulsar bool
	}{
		{"inlong-bridge/connector/confirm", false, false},
		{confirmPrefix + "confirmtest", false, false},
		{confirmPrefix + "managed", false, false},
		{confirmPrefix + "kafka", true, false},
		{confirmPrefix + "pulsar", false, true},
	} {
		all := deps(t, tt.pkg)
		if kafka, pulsar := imports(all, kafkaClient), imports(all, pulsarClient); kafka != tt.kafka || pulsar != tt.pulsar {
			t.Errorf("%s: imports the client of Kafka %v and of Pulsar %v, want %v and %v", tt.pkg, kafka, pulsar, tt.kafka, tt.pulsar)
		}
		for _, adapter := range []string{"kafka", "pulsar", "managed"} {
			if p := confirmPrefix + adapter; p != tt.pkg && imports(all, p+"/") {
				t.Errorf("%s imports %s", tt.pkg, p)
			}
		}
	}
}

func TestBuildWithoutPulsarContainsNothingOfItsClient(t *testing.T) {
	const program = "inlong-bridge/cmd/inlong-bridge"
	if !imports(deps(t, program), pulsarClient) {
		t.Error("the standard build contains nothing of Pulsar's client")
	}
	if imports(deps(t, program, "-tags", "nopulsar"), pulsarClient) {
		t.Error("a build with -tags nopulsar contains Pulsar's client")
	}
}
