package yamlnode_test

import (
	"fmt"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping/yamlnode"
)

func parse(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return yamlnode.Resolve(&n)
}

func TestKindsInWords(t *testing.T) {
	for text, want := range map[string]string{
		"{a: b}": "a section", "[]": "an empty list", "[a]": "a list", "''": "empty", "~": "empty", "null": "empty", "secret": "a single value", "'null'": "a single value",
	} {
		if got := yamlnode.Kind(parse(t, text)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	if got := yamlnode.Kind(&yaml.Node{}); got != "something else" {
		t.Errorf("a node without a kind is %s", got)
	}
}

func TestSectionVisitsKeysInOrderAndReportsRepetitions(t *testing.T) {
	n := parse(t, "a: &x [1, 2]\nb: *x\na: 3\n? [k]\n: list as key\n")
	var got []string
	yamlnode.Section(n, func(k, v *yaml.Node) {
		got = append(got, fmt.Sprintf("%s = %s", k.Value, yamlnode.Kind(v)))
	}, func(k *yaml.Node, first int) {
		got = append(got, fmt.Sprintf("%s again in line %d, first in %d", k.Value, k.Line, first))
	})
	want := []string{"a = a list", "b = a list", "a again in line 3, first in 1", " = a single value"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestResolve(t *testing.T) {
	if yamlnode.Resolve(nil) != nil {
		t.Error("nothing resolves to something")
	}
	for _, text := range []string{"~", "null", ""} {
		n := &yaml.Node{}
		if err := yaml.Unmarshal([]byte("k: "+text), n); err != nil {
			t.Fatal(err)
		}
		if v := yamlnode.Resolve(n).Content[1]; !yamlnode.Null(v) {
			t.Errorf("%q is not null", text)
		}
	}
}
