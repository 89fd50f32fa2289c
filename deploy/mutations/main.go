// Command mutations breaks the rules of delivery one by one and shows that a test catches each break.
//
// A mutation replaces a piece of text in one file; the changed copy is given to `go test -overlay`, so
// the working tree is never touched. A mutation that no test catches, whose text is not found exactly
// once, or that does not compile fails the run.
//
//	go run ./deploy/mutations            # all, with a table at the end
//	go run ./deploy/mutations -run barrier
//	go run ./deploy/mutations -update    # also rewrite the table in DESIGN.md
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mutation is one break of one rule.
type mutation struct {
	name string // the rule that is broken
	file string // from the repository's root
	old  string // occurs exactly once in file
	new  string
	more [][2]string // further replacements, {old, new}, where the break needs them
	pkg  string      // whose tests must fail; several are separated by spaces
	run  string      // -run of these tests, all when empty
}

// atOnce is how many mutations are tried at a time: while one waits for its test, another is compiled.
const atOnce = 3

func main() {
	only := flag.String("run", "", "only mutations whose name matches this expression")
	update := flag.Bool("update", false, "rewrite the table in DESIGN.md")
	flag.Parse()
	if err := run(*only, *update); err != nil {
		fmt.Fprintln(os.Stderr, "mutations:", err)
		os.Exit(1)
	}
}

func run(only string, update bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("parsing -run: %w", err)
	}
	dir, err := os.MkdirTemp("", "mutations")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var rows, survivors []string
	start := time.Now()
	type outcome struct {
		caughtBy string
		err      error
	}
	outcomes := make([]chan outcome, len(mutations))
	workers := make(chan struct{}, atOnce)
	for i, m := range mutations {
		if outcomes[i] = make(chan outcome, 1); !match.MatchString(m.name) {
			continue
		}
		go func() {
			workers <- struct{}{}
			caughtBy, err := try(filepath.Join(dir, fmt.Sprint(i)), m)
			<-workers
			outcomes[i] <- outcome{caughtBy, err}
		}()
	}
	for i, m := range mutations {
		if !match.MatchString(m.name) {
			continue
		}
		o := <-outcomes[i]
		if err := o.err; err != nil {
			fmt.Printf("NOT CAUGHT  %s: %v\n", m.name, err)
			survivors = append(survivors, m.name)
			continue
		}
		fmt.Printf("caught      %-70s %s\n", m.name, o.caughtBy)
		rows = append(rows, fmt.Sprintf("| %s | `%s` | %s |", m.name, m.file, o.caughtBy))
	}
	fmt.Printf("%d mutations, %d caught, %d not caught, %s\n",
		len(rows)+len(survivors), len(rows), len(survivors), time.Since(start).Round(time.Second))
	if len(survivors) > 0 {
		return fmt.Errorf("not caught: %s", strings.Join(survivors, "; "))
	}
	if len(rows) == 0 {
		return fmt.Errorf("no mutation matches %q", only)
	}
	if update {
		return updateTable("DESIGN.md", rows)
	}
	return nil
}

// try runs the tests against the broken rule and returns the name of the test that caught it.
func try(dir string, m mutation) (caughtBy string, err error) {
	src, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	text := string(src)
	for _, edit := range append([][2]string{{m.old, m.new}}, m.more...) {
		if n := strings.Count(text, edit[0]); n != 1 {
			return "", fmt.Errorf("the text %q occurs %d times in %s, want once", edit[0], n, m.file)
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	broken := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {abs: broken}})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	args := []string{"test", "-vet=off", "-count=1", "-failfast", "-timeout=120s", "-overlay", overlayFile, "-run", m.run}
	args = append(args, strings.Fields(m.pkg)...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err == nil {
		return "", fmt.Errorf("%s passes", m.pkg)
	}
	if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
		return "", fmt.Errorf("the broken rule does not compile:\n%s", out)
	}
	f := failedTest.FindStringSubmatch(string(out))
	if f == nil {
		if strings.Contains(string(out), "panic: ") || strings.Contains(string(out), "DATA RACE") {
			return m.pkg + " " + m.run + " (panic)", nil
		}
		return "", fmt.Errorf("the test run failed without naming a test:\n%s", out)
	}
	return "`" + f[1] + "`", nil
}

var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

const tableStart, tableEnd = "<!-- mutations: begin -->", "<!-- mutations: end -->"

func updateTable(file string, rows []string) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(doc), tableStart)
	if !ok {
		return fmt.Errorf("%s has no line %s", file, tableStart)
	}
	_, after, ok := strings.Cut(rest, tableEnd)
	if !ok {
		return fmt.Errorf("%s has no line %s", file, tableEnd)
	}
	table := "\n| the break | in | caught by |\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
	return os.WriteFile(file, []byte(before+tableStart+table+tableEnd+after), 0o600)
}
