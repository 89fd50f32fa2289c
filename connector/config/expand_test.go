package config

import (
	"strings"
	"testing"
)

func TestExpandEnv(t *testing.T) {
	vars := env("A=a", "EMPTY=", "DOLLAR=${A}")
	for _, c := range []struct{ in, want, wrong string }{
		{"plain", "plain", ""},
		{"${A}", "a", ""},
		{"x${A}y${A}z", "xayaz", ""},
		{"${EMPTY}", "", ""},
		{"${EMPTY:-b}", "b", ""},
		{"${NONE:-b}", "b", ""},
		{"${NONE:-}", "", ""},
		{"${NONE:-{group}.{stream}}!", "{group}.{stream}!", ""},
		{"${A:?said}", "a", ""},
		{"${NONE:?set me}", "", "variable NONE is not set: set me"},
		{"${EMPTY:?set me}", "", "set me"},
		{"${NONE:?}", "", "variable NONE is not set"},
		{"${NONE}", "", "variable NONE is not set"},
		{"${NONE}${NONE2}", "", "NONE2"},
		{"${DOLLAR}", "${A}", ""},
		{"$$", "$", ""},
		{"$${A}", "${A}", ""},
		{"$$$${A}", "$${A}", ""},
		{"a$", "a$", ""},
		{"a$b $(c)", "a$b $(c)", ""},
		{"${", "", "without }"},
		{"${}", "", "does not name a variable"},
		{"${A:}", "", "does not name a variable"},
		{"${A-b}", "", "does not name a variable"},
		{"${A:+b}", "", "is not known"},
	} {
		got, wrong := expandEnv(c.in, vars)
		if said := strings.Join(wrong, "; "); (c.wrong == "") != (said == "") || !strings.Contains(said, c.wrong) {
			t.Errorf("expandEnv(%q): wrong = %q, want %q", c.in, said, c.wrong)
		} else if c.wrong == "" && got != c.want {
			t.Errorf("expandEnv(%q) = %q, want %q", c.in, got, c.want)
		}
		if back, wrong := expandEnv(escapeEnv(c.in), vars); back != c.in || wrong != nil {
			t.Errorf("expandEnv(escapeEnv(%q)) = %q, %v", c.in, back, wrong)
		}
	}
}

func TestKeysAreNotExpanded(t *testing.T) {
	_, err := Parse("f", []byte(smallest+"${A}: x\n"), env("A=log"))
	if err == nil || !strings.Contains(err.Error(), "${A}: unknown key") {
		t.Errorf("got %v", err)
	}
}

func TestAliasesThatBlowUpAreRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for _, n := range []string{"1 0", "2 1", "3 2", "4 3", "5 4", "6 5", "7 6", "8 7"} {
		to, from, _ := strings.Cut(n, " ")
		b.WriteString("a" + to + ": &a" + to + " [" + strings.TrimSuffix(strings.Repeat("*a"+from+", ", 10), ", ") + "]\n")
	}
	_, err := Parse("f", []byte(b.String()), env())
	if err == nil || !strings.Contains(err.Error(), "aliases make more than") {
		t.Errorf("got %v", err)
	}
}
