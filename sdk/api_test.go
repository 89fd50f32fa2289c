package sdk_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "rewrite testdata/api")

// apiOf lists what the package in dir exports, a line each: functions and methods with the types of their parameters and
// results, the exported fields of structs, the methods of interfaces, constants and variables with their types.
func apiOf(t *testing.T, dir string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	set := token.NewFileSet()
	text := func(n ast.Node) string {
		var b bytes.Buffer
		if err := printer.Fprint(&b, set, n); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(b.String()), " ")
	}
	list := func(l *ast.FieldList) string {
		var types []string
		if l != nil {
			for _, f := range l.List {
				types = append(types, slices.Repeat([]string{text(f.Type)}, max(len(f.Names), 1))...)
			}
		}
		return strings.Join(types, ", ")
	}
	signature := func(f *ast.FuncType) string {
		s := "(" + list(f.Params) + ")"
		switch results := list(f.Results); {
		case results == "":
		case f.Results.NumFields() == 1:
			s += " " + results
		default:
			s += " (" + results + ")"
		}
		return s
	}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				switch {
				case !d.Name.IsExported():
				case d.Recv == nil:
					say("func %s%s", d.Name, signature(d.Type))
				default:
					if recv := text(d.Recv.List[0].Type); ast.IsExported(strings.TrimPrefix(recv, "*")) {
						say("method (%s) %s%s", recv, d.Name, signature(d.Type))
					}
				}
			case *ast.GenDecl:
				typ := "" // of constants that repeat the one before
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.ValueSpec:
						if s.Type != nil {
							typ = " " + text(s.Type)
						} else if len(s.Values) > 0 {
							typ = ""
						}
						for _, n := range s.Names {
							if n.IsExported() {
								say("%s %s%s", d.Tok, n, typ)
							}
						}
					case *ast.TypeSpec:
						if !s.Name.IsExported() {
							continue
						}
						switch typ := s.Type.(type) {
						case *ast.StructType:
							say("type %s struct", s.Name)
							for _, field := range typ.Fields.List {
								for _, n := range field.Names {
									if n.IsExported() {
										say("type %s struct, %s %s", s.Name, n, text(field.Type))
									}
								}
								if name := text(field.Type); len(field.Names) == 0 && ast.IsExported(name[strings.LastIndexAny(name, "*.")+1:]) {
									say("type %s struct, embedded %s", s.Name, name)
								}
							}
						case *ast.InterfaceType:
							say("type %s interface", s.Name)
							for _, m := range typ.Methods.List {
								for _, n := range m.Names {
									if f, ok := m.Type.(*ast.FuncType); ok {
										say("type %s interface, %s%s", s.Name, n, signature(f))
									}
								}
								if len(m.Names) == 0 {
									say("type %s interface, embedded %s", s.Name, text(m.Type))
								}
							}
						default:
							equals := ""
							if s.Assign.IsValid() {
								equals = "= "
							}
							say("type %s %s%s", s.Name, equals, text(s.Type))
						}
					}
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// What other modules may use of a package is written down, so that nothing of it changes by accident. Package finality
// promises no more than the configuration that WithFinality takes.
func TestExportedNamesAreTheOnesWrittenDown(t *testing.T) {
	for _, dir := range []string{".", "manager", "sdkprom", "frame", "finality"} {
		name := dir
		if dir == "." {
			name = "sdk"
		}
		lines := apiOf(t, dir)
		if dir == "finality" {
			lines = slices.DeleteFunc(lines, func(line string) bool {
				return !regexp.MustCompile(`^(func DefaultConfig\(|const \w+ Mode$|method \(Mode\) |type (Mode|Config) )`).MatchString(line)
			})
		}
		if len(lines) < 2 {
			t.Errorf("package %s exports %d names", name, len(lines))
		}
		golden := filepath.Join("testdata", "api", name+".txt")
		if *updateAPI {
			if err := os.WriteFile(golden, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		written, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		was := strings.Split(strings.TrimSuffix(string(written), "\n"), "\n")
		for _, line := range was {
			if !slices.Contains(lines, line) {
				t.Errorf("package %s has no longer: %s", name, line)
			}
		}
		for _, line := range lines {
			if !slices.Contains(was, line) {
				t.Errorf("package %s has something new: %s", name, line)
			}
		}
		if t.Failed() {
			t.Log("go test ./sdk -run ExportedNames -update-api accepts it; a name that is gone or changed breaks programs, so say it in CHANGELOG.md")
		}
	}
}
