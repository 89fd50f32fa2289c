// Command vuln judges what govulncheck found: `govulncheck -format json ./... | vuln -list known.txt`.
//
// A finding in a module for which a fix exists fails, however far the code is from it. A finding without a fix must
// stand in the list, with how far it reaches and why it is accepted. Findings in the Go release are printed only:
// whoever builds chooses the release.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	list := flag.String("list", "deploy/dev/vuln/known.txt", "the `file` with the findings that are accepted")
	flag.Parse()
	if err := run(*list, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

// reach is how close the product's code comes to what is vulnerable.
type reach int

const (
	required reach = iota // the module is needed, the vulnerable package is not built in
	imported              // the package is built in, no call leads to the vulnerable function
	reached               // the call graph has a way to the vulnerable function
)

var reachNames = []string{"required", "imported", "reached"}

func (r reach) String() string { return reachNames[r] }

// finding is one vulnerability in one module, at its closest.
type finding struct {
	id, module, version, fixed string
	reach                      reach
	summary                    string
}

// accepted is a line of the list.
type accepted struct {
	id, module string
	reach      reach
	reason     string
}

func run(list string, in io.Reader, out io.Writer) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	known, err := parseList(list, string(text))
	if err != nil {
		return err
	}
	found, err := parseFindings(in)
	if err != nil {
		return fmt.Errorf("reading what govulncheck wrote: %w", err)
	}
	return judge(found, known, out)
}

// parseList reads lines of the form `ID MODULE REACH REASON...`; those that begin with # are comments.
func parseList(name, text string) ([]accepted, error) {
	var known []accepted
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 4 {
			return nil, fmt.Errorf("%s:%d: want `ID MODULE REACH REASON`, got %q", name, n, line)
		}
		r := slices.Index(reachNames, words[2])
		if r < 0 {
			return nil, fmt.Errorf("%s:%d: reach is %q, want one of %v", name, n, words[2], reachNames)
		}
		known = append(known, accepted{words[0], words[1], reach(r), strings.Join(words[3:], " ")})
	}
	return known, lines.Err()
}

// parseFindings reads the stream of JSON objects of govulncheck. A stream without its first object, the
// configuration, comes from a run that failed.
func parseFindings(in io.Reader) ([]finding, error) {
	type frame struct{ Module, Version, Package, Function string }
	type message struct {
		Config *struct {
			ScanLevel string `json:"scan_level"`
		}
		OSV     *struct{ ID, Summary string }
		Finding *struct {
			OSV          string
			FixedVersion string `json:"fixed_version"`
			Trace        []frame
		}
	}
	type key struct{ id, module string }
	closest := map[key]finding{}
	summaries := map[string]string{}
	configured := false
	for d := json.NewDecoder(in); ; {
		var m message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		switch {
		case m.Config != nil:
			if m.Config.ScanLevel != "symbol" {
				return nil, fmt.Errorf("the scan level is %q, want symbol", m.Config.ScanLevel)
			}
			configured = true
		case m.OSV != nil:
			summaries[m.OSV.ID] = m.OSV.Summary
		case m.Finding != nil && len(m.Finding.Trace) > 0:
			at := m.Finding.Trace[0]
			f := finding{id: m.Finding.OSV, module: at.Module, version: at.Version, fixed: m.Finding.FixedVersion}
			switch {
			case at.Function != "":
				f.reach = reached
			case at.Package != "":
				f.reach = imported
			}
			k := key{f.id, f.module}
			if old, ok := closest[k]; !ok || old.reach < f.reach {
				closest[k] = f
			}
		}
	}
	if !configured {
		return nil, errors.New("no configuration in it; hint: govulncheck itself failed")
	}
	var found []finding
	for _, f := range closest {
		f.summary = summaries[f.id]
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b finding) int { return cmp.Or(cmp.Compare(a.module, b.module), cmp.Compare(a.id, b.id)) })
	return found, nil
}

// judge prints every finding with what follows from it, and returns an error if one may not stay.
func judge(found []finding, known []accepted, out io.Writer) error {
	var wrong []string
	say := func(verdict string, f finding, more string) {
		_, _ = fmt.Fprintf(out, "%-9s %s %s@%s (%s) %s: %s\n", verdict, f.id, f.module, f.version, f.reach, f.summary, more)
	}
	used := map[string]bool{}
	release := 0
	for _, f := range found {
		i := slices.IndexFunc(known, func(a accepted) bool { return a.id == f.id && a.module == f.module })
		if i >= 0 {
			used[f.id+" "+f.module] = true
		}
		fixed := cmp.Or(f.fixed, "no version yet")
		switch {
		case f.module == "stdlib" || f.module == "toolchain":
			release++
			say("release", f, "fixed in "+fixed)
		case f.fixed != "":
			wrong = append(wrong, f.id)
			say("FAIL", f, "fixed in "+f.fixed+"; hint: go get "+f.module+"@"+f.fixed)
		case i < 0:
			wrong = append(wrong, f.id)
			say("FAIL", f, "no fix yet; hint: judge it, and add a line with the reason to the list")
		case f.reach > known[i].reach:
			wrong = append(wrong, f.id)
			say("FAIL", f, fmt.Sprintf("the list knows it as %s; hint: judge it again", known[i].reach))
		default:
			say("accepted", f, known[i].reason)
		}
	}
	for _, a := range known {
		if !used[a.id+" "+a.module] {
			_, _ = fmt.Fprintf(out, "gone      %s %s: it stands in the list and was not found; hint: remove its line\n", a.id, a.module)
		}
	}
	_, _ = fmt.Fprintf(out, "vulncheck: %d findings: %d of the Go release, %d accepted, %d to mend\n",
		len(found), release, len(found)-release-len(wrong), len(wrong))
	if len(wrong) > 0 {
		return fmt.Errorf("to mend: %s", strings.Join(wrong, ", "))
	}
	return nil
}
