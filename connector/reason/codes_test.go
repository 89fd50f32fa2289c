package reason

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants returns the values of all constants of a type in codes.go, by name.
func constants(t *testing.T, typ string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typ {
			return true
		}
		for i, name := range spec.Names {
			value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatalf("%s: %v", name.Name, err)
			}
			out[name.Name] = value
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("codes.go has no constant of type %s", typ)
	}
	return out
}

func TestEveryCodeIsInExactlyOneRow(t *testing.T) {
	rows := make(map[Code]int)
	for _, k := range Kinds() {
		rows[k.Code]++
	}
	byValue := make(map[Code]string)
	for name, value := range constants(t, "Code") {
		code := Code(value)
		if rows[code] != 1 {
			t.Errorf("the constant %s (%s) is in %d rows of kinds, want 1", name, value, rows[code])
		}
		if other := byValue[code]; other != "" {
			t.Errorf("%s and %s have the same value %q", name, other, value)
		}
		byValue[code] = name
		delete(rows, code)
	}
	for code := range rows {
		t.Errorf("kinds has a row for %q, which is no constant", code)
	}
}

func TestRowsSayWhatPeopleNeed(t *testing.T) {
	severities := constants(t, "Severity")
	// The values of the label reason of partition_stuck. They are an interface.
	stuck := []string{"", "budget", "window", "route", "endpoint", "queue", "broker", "rebalance", "transaction"}
	for _, k := range Kinds() {
		valid := false
		for _, s := range severities {
			valid = valid || string(k.Severity) == s
		}
		if !valid {
			t.Errorf("%s: severity %q is none of %v", k.Code, k.Severity, severities)
		}
		if len(k.Scopes) == 0 {
			t.Errorf("%s: no scope", k.Code)
		}
		for _, s := range k.Scopes {
			if !slices.Contains(scopes, s) {
				t.Errorf("%s: scope %q is none of %v", k.Code, s, scopes)
			}
		}
		if !slices.Contains(stuck, k.Stuck) {
			t.Errorf("%s: %q is no value of the label reason", k.Code, k.Stuck)
		}
		if !strings.HasSuffix(k.Meaning, ".") || len(k.Meaning) < 10 || strings.ContainsAny(k.Meaning, "\n\t") {
			t.Errorf("%s: meaning %q is no sentence", k.Code, k.Meaning)
		}
		if strings.Trim(string(k.Code), "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("code %q: alerts match codes of small letters and _", k.Code)
		}
		if k.Terminal && (!k.Stops || !slices.Contains(k.Scopes, Partition)) {
			t.Errorf("%s never ends by itself and does not stop a partition", k.Code)
		}
		if k.Stops && (!k.Strict || k.Severity != Page) {
			t.Errorf("%s stops a partition, and neither /readyz?strict=1 nor a page says so", k.Code)
		}
		if k.Severity == Page && !k.Strict {
			t.Errorf("%s pages somebody, and /readyz?strict=1 is silent", k.Code)
		}
		if KindOf(k.Code).Code != k.Code {
			t.Errorf("KindOf(%s) is that of %s", k.Code, KindOf(k.Code).Code)
		}
	}
	for _, code := range []Code{Truncated, Gap, Recreated, Poison, NoStart, LetterLimit} {
		if !KindOf(code).Terminal {
			t.Errorf("%s ends by itself; the log grows past the old offset, and what was lost is skipped in silence", code)
		}
	}
	for _, code := range []Code{Deleted, Refused, TooLarge, TooManyStreams, UnknownStream, LetterTopic} {
		if KindOf(code).Terminal {
			t.Errorf("%s never ends by itself, and one wrong answer stops a partition until the next assignment", code)
		}
	}
}

func TestRowsCannotBeChangedByTheirReaders(t *testing.T) {
	Kinds()[0].Code = "changed"
	if kinds[0].Code == "changed" {
		t.Error("Kinds gives the table away")
	}
}

func TestUnknownCodeIsABug(t *testing.T) {
	defer func() {
		if r, _ := recover().(string); !strings.HasPrefix(r, "bug: ") {
			t.Errorf("panic %q, want one that names the bug", r)
		}
	}()
	KindOf("nobody")
}
