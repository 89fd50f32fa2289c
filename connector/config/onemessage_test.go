package config_test

import (
	"errors"
	"testing"

	"inlong-bridge/connector/config"
)

func TestMistypedRequiredKeyIsOneMistake(t *testing.T) {
	_, err := config.Parse("bridge.yaml", []byte(`
kafka: {broker: [k:9092], group: g}
inlong: {proxie: [dp:46801]}
route:
  - {topics: [orders], group: shop, stream: orders}
`), func(string) (string, bool) { return "", false })
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("Parse = %v, want problems", err)
	}
	if len(problems) != 3 {
		t.Errorf("%d problems, want one for each of three mistyped keys:\n%v", len(problems), err)
	}
}
