package main

import (
	"strings"
	"testing"
)

const config = `{"config": {"scan_level": "symbol"}}`

// The frames of a trace begin with the vulnerable function, package or module.
func finds(id, module, fixed, frame string) string {
	return `{"finding": {"osv": "` + id + `", "fixed_version": "` + fixed + `", "trace": [{"module": "` + module + `", "version": "v1.0.0"` + frame + `}]}}`
}

const (
	inPackage  = `, "package": "p"`
	inFunction = `, "package": "p", "function": "F"`
)

func TestFindingsAreJudged(t *testing.T) {
	for _, tc := range []struct {
		name, list, found string
		fails             string // what the error names; empty: none
		says              string
	}{
		{"nothing", "", config, "", "0 findings"},
		{"a fix exists and the function is reached", "", config + finds("GO-1", "m", "v1.1.0", inFunction), "GO-1", "go get m@v1.1.0"},
		{"a fix exists and the package is imported", "", config + finds("GO-1", "m", "v1.1.0", inPackage), "GO-1", "(imported)"},
		{"a fix exists and the module is only required", "", config + finds("GO-1", "m", "v1.1.0", ""), "GO-1", "(required)"},
		{"the list does not accept what has a fix", "GO-1 m reached because", config + finds("GO-1", "m", "v1.1.0", inFunction), "GO-1", "FAIL"},
		{"no fix and not in the list", "", config + finds("GO-1", "m", "", inPackage), "GO-1", "no fix yet"},
		{"no fix and in the list", "# why\nGO-1 m imported nobody calls it", config + finds("GO-1", "m", "", inPackage), "", "accepted  GO-1 m@v1.0.0 (imported) : nobody calls it"},
		{"no fix and in the list for another module", "GO-1 n imported nobody calls it", config + finds("GO-1", "m", "", inPackage), "GO-1", "no fix yet"},
		{"no fix and closer than the list says", "GO-1 m imported nobody calls it", config + finds("GO-1", "m", "", inPackage) + finds("GO-1", "m", "", inFunction), "GO-1", "judge it again"},
		{"in the list and gone", "GO-1 m imported nobody calls it", config, "", "gone      GO-1 m"},
		{"of the Go release", "", config + finds("GO-1", "stdlib", "v1.0.1", inFunction), "", "release   GO-1 stdlib@v1.0.0 (reached) : fixed in v1.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			known, err := parseList("list", tc.list)
			if err != nil {
				t.Fatal(err)
			}
			found, err := parseFindings(strings.NewReader(tc.found))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err = judge(found, known, &out)
			if (err != nil) != (tc.fails != "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("judge: %v, want an error with %q", err, tc.fails)
			}
			if !strings.Contains(out.String(), tc.says) {
				t.Errorf("it says\n%s\nwant %q", &out, tc.says)
			}
		})
	}
}

// A scan that broke off must not look like one that found nothing.
func TestScanThatFailedIsNoCleanScan(t *testing.T) {
	for _, in := range []string{"", `{"finding": `, `{"config": {"scan_level": "module"}}`} {
		if found, err := parseFindings(strings.NewReader(in)); err == nil {
			t.Errorf("parseFindings(%q) = %v, want an error", in, found)
		}
	}
}

func TestListWithoutReasonIsRefused(t *testing.T) {
	for _, line := range []string{"GO-1 m reached", "GO-1 m somewhere because"} {
		if known, err := parseList("list", line); err == nil {
			t.Errorf("parseList(%q) = %v, want an error", line, known)
		}
	}
}
