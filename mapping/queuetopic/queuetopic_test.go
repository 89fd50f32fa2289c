package queuetopic_test

import (
	"regexp"
	"testing"

	"inlong-bridge/mapping/queuetopic"
)

func TestTemplate(t *testing.T) {
	for _, tt := range []struct {
		template             queuetopic.Template
		fill, unknown, plain string
	}{
		{"{group}.{stream}", "g.{group}", "", "."}, // what is filled in is not filled again
		{"{stream}", "{group}", "", ""},
		{"in-{group}-{group}", "in-g-g", "", "in--"},
		{"fixed", "fixed", "", "fixed"},
		{"{group}.{topic}.{x}", "g.{topic}.{x}", "{topic}", ".."},
		{"{Group}", "{Group}", "{Group}", ""},
		{"{}", "{}", "{}", ""},
		{"{group", "{group", "{", "group"},
		{"{group}}", "g}", "}", ""},
		{"{{group}}", "{g}", "{", ""},
		{"", "", "", ""},
	} {
		if got := tt.template.Fill("g", "{group}"); got != tt.fill {
			t.Errorf("%q filled is %q, want %q", tt.template, got, tt.fill)
		}
		if got := tt.template.Unknown(); got != tt.unknown {
			t.Errorf("%q: unknown is %q, want %q", tt.template, got, tt.unknown)
		}
		if got := tt.template.Plain(); got != tt.plain {
			t.Errorf("%q: plain is %q, want %q", tt.template, got, tt.plain)
		}
	}
}

func TestExprMatchesWhatFillMakes(t *testing.T) {
	const template queuetopic.Template = "in.{group}+{stream}"
	re := regexp.MustCompile(`\A(?:` + template.Expr("a|b", "s[0-9]+") + `)\z`)
	for _, g := range []string{"a", "b"} {
		if name := template.Fill(g, "s17"); !re.MatchString(name) {
			t.Errorf("%v does not match %q", re, name)
		}
	}
	for _, name := range []string{"in.c+s17", "inxa+s17", "in.a+s", "in.ab+s17"} {
		if re.MatchString(name) {
			t.Errorf("%v matches %q", re, name)
		}
	}
}
