package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// program has every kind of function that a switch must fit: receivers and parameters with and without names, several
// results and none, a variadic one, a generic one, one that calls itself.
const program = `package main

import "fmt"

type point struct{ x int }

func (p *point) move(by int, more ...int) { p.x += by + len(more) }

func (point) name(int, string) (string, bool) { return "point", true }

func first[T any](list []T, _ int) T { return list[0] }

func sum(n int) int {
	if n == 0 {
		return 0
	}
	return n + sum(n-1)
}

func guarded() (err error) {
	defer caught(&err)
	panic("no")
}

func caught(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("caught %v", r)
	}
}

func main() {
	p := &point{}
	p.move(1, 2, 3)
	name, ok := p.name(1, "")
	fmt.Println(p.x, name, ok, first([]int{7, 8}, 0), sum(3), guarded())
}
`

// bodies are mutations that change bodies only.
var bodies = [][2]string{
	{"p.x += by +", "p.x -= by +"},
	{`return "point", true`, `return "line", false`},
	{"return list[0]", "return list[1]"},
	{"		return 0\n", "		return 10\n"},
	{"return n + sum(n-1)", "return n * sum(n-1)"},
}

// TestOneBinaryHoldsManyMutations builds one program with several mutations and runs it with each of them in force.
func TestOneBinaryHoldsManyMutations(t *testing.T) {
	for _, tc := range []struct {
		old, new string
		alone    bool
		want     string
	}{
		{"p.x += by +", "p.x -= by +", false, "-3 point true 7 6 caught no"},
		{`return "point", true`, `return "line", false`, false, "3 line false 7 6 caught no"},
		{"return list[0]", "return list[1]", false, "3 point true 8 6 caught no"},
		{"		return 0\n", "		return 10\n", false, "3 point true 7 16 caught no"},
		{"return n + sum(n-1)", "return n * sum(n-1)", false, "3 point true 7 0 caught no"},
		// The rest changes more than bodies, or must be the deferred function itself.
		{"x int }", "x int8 }", true, ""},
		{"func sum(n int) int {", "func sum(n int64) int {", true, ""},
		{`"caught %v"`, `"got %v"`, true, ""},
	} {
		t.Run(tc.new, func(t *testing.T) {
			// All of them are in the binary, one is in force.
			number := len(bodies) + 1
			var mutants []mutant
			for i, edit := range append(slices.Clone(bodies), [2]string{tc.old, tc.new}) {
				if strings.Count(program, edit[0]) != 1 {
					t.Fatalf("%q is not in the program once", edit[0])
				}
				mutants = append(mutants, mutant{i + 1, strings.Replace(program, edit[0], edit[1], 1)})
			}
			text, alone, _, err := combine(program, mutants)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(alone, number); got != tc.alone {
				t.Fatalf("alone: %v, want %v", got, tc.alone)
			}
			if tc.alone {
				return
			}
			if got := execute(t, text, 0); got != "3 point true 7 6 caught no" {
				t.Errorf("without a mutation it prints %q", got)
			}
			if got := execute(t, text, number); got != tc.want {
				t.Errorf("it prints %q, want %q", got, tc.want)
			}
		})
	}
}

func execute(t *testing.T, text string, number int) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module program\n\ngo 1.26\n", "main.go": text, switchFile: strings.Replace(strings.Replace(switchText, "%s", "main", 1), "%q", strconv.Quote(chosenVariable), 1),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), chosenVariable+"="+strconv.Itoa(number))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
	return strings.TrimSpace(string(out))
}

// TestTheCompilerBlamesOneMutation: a mutation that does not compile must not take the others with it.
func TestTheCompilerBlamesOneMutation(t *testing.T) {
	good := mutant{1, strings.Replace(program, "return list[0]", "return list[1]", 1)}
	bad := mutant{2, strings.Replace(program, "return n + sum(n-1)", "unused := n\n\treturn 0", 1)}
	text, _, first, err := combine(program, []mutant{good, bad})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	line := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "unused :=") }) + 1
	got := blamed("p/main.go:"+strconv.Itoa(line)+":2: declared and not used: unused\n", map[string]map[int]int{"p/main.go": first})
	if len(got) != 1 || !got[2] {
		t.Errorf("blamed %v for line %d, want 2", got, line)
	}
}
