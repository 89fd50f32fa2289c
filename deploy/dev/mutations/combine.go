package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Compiling and linking a test binary for each mutation takes far longer than the tests that catch it. So the
// mutations are put into the product's code side by side: a function that mutations change gets a copy for each of
// them, and begins with a switch that calls the copy of the mutation that the environment names. One test binary of
// each package then serves all its mutations. A mutation that changes more than the bodies of functions, such as a
// type, is built alone.

// chosenVariable is the environment variable that says which mutation of a combined binary is in force. Without it
// none is.
const chosenVariable = "INLONG_BRIDGE_MUTATION"

// switchFile is the file that the overlay adds to each package with mutations.
const switchFile = "zz_mutation_switch.go"

const switchText = `package %s

import (
	"os"
	"strconv"
)

var mutationInForce, _ = strconv.Atoi(os.Getenv(%q))
`

// mutant is the file of a mutation as the mutation leaves it.
type mutant struct {
	number int // how the combined binary knows it, from 1
	text   string
}

// combine returns the text of a file that holds all mutants beside the original, and the numbers of those that must
// be built alone. first tells for each of the others the line at which its copies begin; they end where the next
// one's begin.
func combine(original string, mutants []mutant) (text string, alone []int, first map[int]int, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", original, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, nil, err
	}
	functions := map[string]*ast.FuncDecl{}
	others := map[string]bool{} // the text of each declaration
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name != "init" && f.Name.Name != "_" {
			functions[functionKey(original, fset, f)] = f
		}
		others[source(original, fset, d)] = true
	}

	switches := map[string][]int{} // by function: which mutants have a copy
	var copies bytes.Buffer
	first = map[int]int{}
	line := strings.Count(original, "\n") + 2
	for _, m := range mutants {
		changed, text, ok := copiesOf(m, functions, others, len(file.Decls))
		if !ok {
			alone = append(alone, m.number)
			continue
		}
		first[m.number] = line
		line += strings.Count(text, "\n")
		copies.WriteString(text)
		for _, key := range changed {
			switches[key] = append(switches[key], m.number)
		}
	}

	var edits []edit
	for key, numbers := range switches {
		edits = append(edits, switchEdits(original, fset, functions[key], numbers)...)
	}
	slices.SortFunc(edits, func(a, b edit) int { return b.from - a.from })
	out := original
	for _, e := range edits {
		out = out[:e.from] + e.text + out[e.to:]
	}
	return out + "\n" + copies.String(), alone, first, nil
}

// edit replaces what stands from one offset to another.
type edit struct {
	from, to int
	text     string
}

// copiesOf returns the functions that a mutant changes, under names of its own, and what it adds to the file. It is
// not ok if the mutant changes anything else.
func copiesOf(m mutant, functions map[string]*ast.FuncDecl, others map[string]bool, decls int) (changed []string, text string, ok bool) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", m.text, parser.SkipObjectResolution)
	if err != nil {
		return nil, "", false // the compiler will say what is wrong
	}
	var b strings.Builder
	kept := 0
	for _, d := range file.Decls {
		whole := source(m.text, fset, d)
		if others[whole] {
			kept++
			continue
		}
		f, isFunction := d.(*ast.FuncDecl)
		if !isFunction {
			// Something new, unless something old is missing, which the count below shows.
			if g := d.(*ast.GenDecl); g.Tok == token.IMPORT {
				return nil, "", false
			}
			b.WriteString(whole + "\n")
			continue
		}
		key := functionKey(m.text, fset, f)
		if functions[key] == nil || callsRecover(f) {
			return nil, "", false
		}
		kept++
		changed = append(changed, key)
		at := fset.Position(f.Name.Pos()).Offset - fset.Position(f.Pos()).Offset
		after := at + len(f.Name.Name)
		b.WriteString(whole[:at] + copyName(f, m.number) + whole[after:] + "\n")
	}
	return changed, b.String(), kept == decls && len(changed) > 0
}

func copyName(f *ast.FuncDecl, number int) string {
	return fmt.Sprintf("%s_mutation%d", f.Name.Name, number)
}

// functionKey is a function's receiver, name and signature as they are written.
func functionKey(text string, fset *token.FileSet, f *ast.FuncDecl) string {
	if f.Body == nil {
		return source(text, fset, f)
	}
	return text[fset.Position(f.Pos()).Offset:fset.Position(f.Body.Pos()).Offset]
}

func source(text string, fset *token.FileSet, n ast.Node) string {
	return text[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset]
}

// callsRecover: recover answers only in the deferred function itself, and a copy is one call further down.
func callsRecover(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "recover" {
				found = true
			}
		}
		return !found
	})
	return found
}

// switchEdits names what the function leaves without a name and adds the switch to the beginning of its body, on the
// line of its brace, so that the lines below keep their numbers.
func switchEdits(text string, fset *token.FileSet, f *ast.FuncDecl, numbers []int) []edit {
	var edits []edit
	count := 0
	named := func(list *ast.FieldList) []string {
		var names []string
		if list == nil {
			return nil
		}
		for _, field := range list.List {
			if len(field.Names) == 0 {
				name := fmt.Sprintf("unnamed%d", count)
				count++
				at := fset.Position(field.Type.Pos()).Offset
				edits = append(edits, edit{at, at, name + " "})
				names = append(names, withDots(name, field))
			}
			for _, id := range field.Names {
				name := id.Name
				if name == "_" {
					name = fmt.Sprintf("unnamed%d", count)
					count++
					at := fset.Position(id.Pos()).Offset
					edits = append(edits, edit{at, at + 1, name})
				}
				names = append(names, withDots(name, field))
			}
		}
		return names
	}
	receiver := named(f.Recv)
	arguments := strings.Join(named(f.Type.Params), ", ")
	var b strings.Builder
	for _, n := range numbers {
		call := copyName(f, n)
		if receiver != nil {
			call = receiver[0] + "." + call
		}
		if types := f.Type.TypeParams; types != nil {
			var names []string
			for _, field := range types.List {
				for _, id := range field.Names {
					names = append(names, id.Name)
				}
			}
			call += "[" + strings.Join(names, ", ") + "]"
		}
		if f.Type.Results == nil {
			fmt.Fprintf(&b, " if mutationInForce == %d { %s(%s); return };", n, call, arguments)
		} else {
			fmt.Fprintf(&b, " if mutationInForce == %d { return %s(%s) };", n, call, arguments)
		}
	}
	at := fset.Position(f.Body.Lbrace).Offset + 1
	return append(edits, edit{at, at, b.String()})
}

func withDots(name string, field *ast.Field) string {
	if _, variadic := field.Type.(*ast.Ellipsis); variadic {
		return name + "..."
	}
	return name
}

// writeOverlay writes the texts (by path from the repository's root) into dir and returns the file for -overlay.
func writeOverlay(dir string, texts map[string]string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		broken := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(broken, []byte(texts[path]), 0o600); err != nil {
			return "", err
		}
		replace[abs] = broken
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o600)
}
