package mapping

import (
	"testing"

	"gopkg.in/yaml.v3"
)

func TestForgottenTargetIsMadeAgain(t *testing.T) {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte("- {topics: [t], group: g, stream: '{key}'}"), &n); err != nil {
		t.Fatal(err)
	}
	tab, problems := Parse(n.Content[0])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	topic := tab.ForTopic("t")
	for range 2 {
		target, result, err := topic.Route([]byte("k"), nil)
		if target != (Target{"g", "k"}) || result != Routed || err != nil || len(tab.targets.targets) != 1 {
			t.Fatalf("Route = %v, %v, %v with %d targets kept", target, result, err, len(tab.targets.targets))
		}
		if tab.Forget(target); len(tab.targets.targets) != 0 {
			t.Fatalf("%d targets kept after the only one was forgotten", len(tab.targets.targets))
		}
	}
}
