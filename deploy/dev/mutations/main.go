// Command mutations breaks the rules of delivery one by one and shows that a test catches each break.
//
// A mutation replaces a piece of text in one file. The broken files are given to the compiler with `-overlay`, so the
// working tree is never touched; combine.go tells how one test binary holds many mutations. A mutation that no test
// catches, whose text is not found exactly once, or that does not compile fails the run, and so does one whose test
// fails without it as well.
//
//	go run ./deploy/dev/mutations            # all, with a table at the end
//	go run ./deploy/dev/mutations -run barrier
//	go run ./deploy/dev/mutations -update    # also rewrite the table in docs/mutations.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// atOnce is how many test binaries run at a time: many of them wait most of the time.
const atOnce = 3

// notAllocations leaves out the tests that count allocations: the switch of a combined binary is in their way.
const notAllocations = "Allocate"

func main() {
	only := flag.String("run", "", "only mutations whose name matches this expression")
	part := flag.String("part", "1/1", "only every nth mutation, from the kth on, as k/n; their texts are all looked for")
	update := flag.Bool("update", false, "rewrite the table in docs/mutations.md; not with -run and -part")
	flag.Parse()
	if err := run(*only, *part, *update); err != nil {
		fmt.Fprintln(os.Stderr, "mutations:", err)
		os.Exit(1)
	}
}

// caught is how a mutation was found.
type caught struct {
	pkg  string
	test string // empty where the binary ended with a panic
	run  string // the mutation's own -run
}

func (c caught) String() string {
	if c.test == "" {
		return strings.TrimSpace(c.pkg+" "+c.run) + " (panic)"
	}
	return "`" + c.test + "`"
}

// pattern is the -run by which the test that caught it is run alone.
func (c caught) pattern() string {
	pattern := "^" + c.test + "$"
	if _, sub, ok := strings.Cut(c.run, "/"); ok {
		pattern += "/" + sub
	}
	return pattern
}

// verdict is the outcome of one mutation.
type verdict struct {
	by  caught
	err error // it was not caught
}

func run(only, part string, update bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("parsing -run: %w", err)
	}
	var k, n int
	if _, err := fmt.Sscanf(part, "%d/%d", &k, &n); err != nil || k < 1 || k > n {
		return fmt.Errorf("-part %q: want k/n, such as 1/2 for the first half", part)
	}
	if update && (only != "" || n > 1) {
		return errors.New("-update rewrites the whole table; leave -run and -part out")
	}
	var tried []mutation
	for i, m := range mutations {
		_, stale := broken(m) // costs nothing, so no part leaves it out
		if match.MatchString(m.name) && (i%n == k-1 || stale != nil) {
			tried = append(tried, m)
		}
	}
	if len(tried) == 0 {
		return fmt.Errorf("no mutation matches %q", only)
	}
	fmt.Printf("%d of the %d mutations\n", len(tried), len(mutations))
	dir, err := os.MkdirTemp("", "mutations")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	verdicts := tryAll(dir, tried)

	var rows, survivors []string
	for i, m := range tried {
		if err := verdicts[i].err; err != nil {
			fmt.Printf("NOT CAUGHT  %s: %v\n", m.name, err)
			survivors = append(survivors, m.name)
			continue
		}
		fmt.Printf("caught      %-70s %s\n", m.name, verdicts[i].by)
		rows = append(rows, fmt.Sprintf("| %s | `%s` | %s |", m.name, m.file, verdicts[i].by))
	}
	fmt.Printf("%d mutations, %d caught, %d not caught, %s\n",
		len(tried), len(rows), len(survivors), time.Since(start).Round(time.Second))
	if len(survivors) > 0 {
		return fmt.Errorf("not caught: %s", strings.Join(survivors, "; "))
	}
	if update {
		return updateTable("docs/mutations.md", rows)
	}
	return nil
}

// tryAll returns a verdict for each mutation.
func tryAll(dir string, tried []mutation) []verdict {
	verdicts := make([]verdict, len(tried))
	mutants := map[string][]mutant{} // by file
	for i, m := range tried {
		text, err := broken(m)
		if err != nil {
			verdicts[i].err = err
			continue
		}
		mutants[m.file] = append(mutants[m.file], mutant{i + 1, text})
	}
	built, err := build(filepath.Join(dir, "combined"), tried, mutants)
	if err != nil {
		for i := range verdicts {
			verdicts[i].err = errors.Join(verdicts[i].err, err)
		}
		return verdicts
	}

	inParallel(func(yield func(func())) {
		for _, file := range slices.Sorted(maps.Keys(mutants)) {
			for _, m := range mutants[file] {
				i := m.number - 1
				yield(func() {
					if built.alone[m.number] {
						verdicts[i] = tryAlone(filepath.Join(dir, strconv.Itoa(m.number)), tried[i], m.text)
					} else {
						verdicts[i] = try(built.binaries, tried[i], m.number)
					}
				})
			}
		}
	})
	wrong := built.sound(verdicts)
	for i, v := range verdicts {
		if v.err == nil && v.by.test != "" {
			verdicts[i].err = wrong[v.by]
		}
	}
	return verdicts
}

// broken returns a mutation's file as the mutation leaves it.
func broken(m mutation) (string, error) {
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
	return text, nil
}

// combined is a set of test binaries that hold mutations side by side.
type combined struct {
	binaries map[string]string // by package
	alone    map[int]bool      // the mutations that they do not hold
}

// build makes the test binaries. A mutation that does not compile beside the others is built alone, where the
// compiler's message is about nothing else.
func build(dir string, tried []mutation, mutants map[string][]mutant) (*combined, error) {
	c := &combined{binaries: map[string]string{}, alone: map[int]bool{}}
	var pkgs []string
	for _, ms := range mutants {
		for _, m := range ms {
			pkgs = append(pkgs, strings.Fields(tried[m.number-1].pkg)...)
		}
	}
	slices.Sort(pkgs)
	pkgs = slices.Compact(pkgs)
	for round := 0; ; round++ {
		texts := map[string]string{}
		firsts := map[string]map[int]int{}
		for file, ms := range mutants {
			original, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			ms = slices.DeleteFunc(slices.Clone(ms), func(m mutant) bool { return c.alone[m.number] })
			text, alone, first, err := combine(string(original), ms)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			for _, n := range alone {
				c.alone[n] = true
			}
			texts[file], firsts[file] = text, first
			if texts[filepath.Join(filepath.Dir(file), switchFile)], err = switchOf(file); err != nil {
				return nil, err
			}
		}
		overlay, err := writeOverlay(filepath.Join(dir, strconv.Itoa(round)), texts)
		if err != nil {
			return nil, err
		}
		args := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", dir + string(filepath.Separator)}, pkgs...)
		out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput()
		if err == nil {
			break
		}
		left := len(c.alone)
		for n := range blamed(string(out), firsts) {
			c.alone[n] = true
		}
		if len(c.alone) == left {
			return nil, fmt.Errorf("building the tests: %w\n%s", err, out)
		}
	}
	for _, pkg := range pkgs {
		c.binaries[pkg] = filepath.Join(dir, filepath.Base(pkg)+".test")
	}
	return c, nil
}

func switchOf(file string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(switchText, f.Name.Name, chosenVariable), nil
}

var compileError = regexp.MustCompile(`(?m)^(\S+\.go):(\d+):`)

// blamed returns the mutations in whose copies the compiler found mistakes.
func blamed(out string, firsts map[string]map[int]int) map[int]bool {
	found := map[int]bool{}
	for _, at := range compileError.FindAllStringSubmatch(out, -1) {
		line, _ := strconv.Atoi(at[2])
		for file, first := range firsts {
			if filepath.Clean(at[1]) != filepath.Clean(file) {
				continue
			}
			best := 0
			for n, from := range first {
				if from <= line && (best == 0 || from > first[best]) {
					best = n
				}
			}
			if best != 0 {
				found[best] = true
			}
		}
	}
	return found
}

// try runs the tests of a combined binary with one mutation in force.
func try(binaries map[string]string, m mutation, number int) verdict {
	for pkg := range strings.FieldsSeq(m.pkg) {
		out, err := runTests(pkg, binaries[pkg], m.run, number)
		if err == nil {
			continue
		}
		by, err := whatFailed(out, m, pkg)
		return verdict{by, err}
	}
	return verdict{err: fmt.Errorf("%s passes", m.pkg)}
}

// runTests runs the tests of a package in its directory; no mutation is in force where number is 0.
func runTests(pkg, binary, run string, number int) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.failfast", "-test.paniconexit0", "-test.timeout=120s",
		"-test.skip="+notAllocations, "-test.run="+run)
	cmd.Dir = filepath.FromSlash(pkg)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", chosenVariable, number))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tryAlone runs the tests against one broken file.
func tryAlone(dir string, m mutation, text string) verdict {
	overlay, err := writeOverlay(dir, map[string]string{m.file: text})
	if err != nil {
		return verdict{err: err}
	}
	for pkg := range strings.FieldsSeq(m.pkg) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		out, err := exec.CommandContext(ctx, "go", "test", "-vet=off", "-count=1", "-failfast", "-timeout=120s",
			"-overlay", overlay, "-skip="+notAllocations, "-run", m.run, pkg).CombinedOutput()
		cancel()
		if err == nil {
			continue
		}
		if strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]") {
			return verdict{err: fmt.Errorf("the broken rule does not compile:\n%s", out)}
		}
		by, err := whatFailed(string(out), m, pkg)
		return verdict{by, err}
	}
	return verdict{err: fmt.Errorf("%s passes", m.pkg)}
}

// whatFailed reads the output of a package's tests that failed.
func whatFailed(out string, m mutation, pkg string) (caught, error) {
	by := caught{pkg: pkg, run: m.run}
	if f := failedTest.FindStringSubmatch(out); f != nil {
		by.test = f[1]
		return by, nil
	}
	if strings.Contains(out, "panic: ") || strings.Contains(out, "DATA RACE") {
		return by, nil
	}
	return by, fmt.Errorf("the test run failed without naming a test:\n%s", out)
}

// sound returns what is wrong with the tests that fail without any mutation as well.
func (c *combined) sound(verdicts []verdict) map[caught]error {
	wrong := map[caught]error{}
	var mu sync.Mutex
	inParallel(func(yield func(func())) {
		asked := map[caught]bool{}
		for _, v := range verdicts {
			if v.err != nil || v.by.test == "" || asked[v.by] {
				continue
			}
			asked[v.by] = true
			yield(func() {
				if out, err := runTests(v.by.pkg, c.binaries[v.by.pkg], v.by.pattern(), 0); err != nil {
					mu.Lock()
					defer mu.Unlock()
					wrong[v.by] = fmt.Errorf("%s fails without the mutation as well:\n%s", v.by.test, out)
				}
			})
		}
	})
	return wrong
}

// inParallel runs what jobs yields, atOnce at a time, and returns when all have ended.
func inParallel(jobs func(yield func(job func()))) {
	var wg sync.WaitGroup
	workers := make(chan struct{}, atOnce)
	jobs(func(job func()) {
		workers <- struct{}{}
		wg.Go(func() {
			defer func() { <-workers }()
			job()
		})
	})
	wg.Wait()
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
