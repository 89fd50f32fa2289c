package sdk

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var needsLock = regexp.MustCompile(`(?i)\bunder (its stream's lock|\w*\.?mu\b)|caller holds`)

// A lock's holder is visible in the names: a function whose doc says that it needs a lock is called ...Locked, and
// nobody lets go of a lock that somebody else has taken.
func TestLocksAreHeldByWhoTookThem(t *testing.T) {
	fset := token.NewFileSet()
	functions := 0
	walk := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch f := n.(type) {
			case *ast.FuncDecl:
				functions++
				if filepath.Dir(path) == "." && needsLock.MatchString(f.Doc.Text()) && !strings.HasSuffix(f.Name.Name, "Locked") && f.Name.Name != "take" { // take says so of a lock that it may be called without
					t.Errorf("%s: %s needs a lock; call it %sLocked", fset.Position(f.Pos()), f.Name.Name, f.Name.Name)
				}
				if f.Body != nil {
					unlocksItsOwn(t, fset, f.Body)
				}
			case *ast.FuncLit:
				unlocksItsOwn(t, fset, f.Body)
			}
			return true
		})
		return nil
	}
	if err := filepath.WalkDir(".", walk); err != nil {
		t.Fatal(err)
	}
	if functions < 300 {
		t.Errorf("only %d functions were looked at", functions)
	}
}

// unlocksItsOwn checks that a body lets go only of locks that it has taken. Functions inside of it are looked at by
// themselves.
func unlocksItsOwn(t *testing.T, fset *token.FileSet, body *ast.BlockStmt) {
	t.Helper()
	taken := make(map[string]bool)
	ast.Inspect(body, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch lock := types.ExprString(f.X); f.Sel.Name {
		case "Lock", "TryLock":
			taken[lock] = true
		case "Unlock":
			if !taken[lock] {
				t.Errorf("%s: lets go of %s, which it has not taken", fset.Position(call.Pos()), lock)
			}
		}
		return true
	})
}
