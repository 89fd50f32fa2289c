// Command module gives the repository's Go module another path: it rewrites go.mod, every import, and the import
// rules of the linter. The environment variable MODULE holds the new path (make module MODULE=example.org/you/inlong-bridge).
//
// With -zip DIR it writes the module as a version into DIR instead, laid out as a module proxy serves it
// (GOPROXY=file://DIR), so that another module can fetch it without a server.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

func main() {
	dir := flag.String("dir", ".", "the `directory` of the module")
	proxy := flag.String("zip", "", "write the module as a version into this `directory`, laid out as a module proxy serves it")
	version := flag.String("version", "v0.0.1", "the `version` that -zip writes")
	flag.Parse()
	var err error
	if *proxy != "" {
		err = writeVersion(*dir, *proxy, *version)
	} else {
		err = rename(*dir, os.Getenv("MODULE"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "module:", err)
		os.Exit(2)
	}
}

// checkPath reports why a path cannot be the module's.
func checkPath(to string) error {
	const hint = "hint: make module MODULE=example.org/you/inlong-bridge"
	if to == "" {
		return errors.New("MODULE is missing, nothing was changed; " + hint)
	}
	if err := module.CheckPath(to); err != nil {
		if invalid, ok := errors.AsType[*module.InvalidPathError](err); ok {
			err = invalid.Err
		}
		return fmt.Errorf("MODULE %q is no module path that go get can fetch (%w), nothing was changed; %s", to, err, hint)
	}
	return nil
}

// rename gives the module in dir the path to. It reads and rewrites every file in memory first: after an error nothing
// is changed, unless a file cannot be written.
func rename(dir, to string) error {
	if err := checkPath(to); err != nil {
		return err
	}
	from, err := modulePath(dir)
	if err != nil {
		return err
	}
	if from == to {
		fmt.Println("the module path is", to, "already")
		return nil
	}
	files, err := rewritten(dir, from, to)
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	for _, f := range files {
		if err := replaceFile(f.name, f.text); err != nil {
			return err
		}
	}
	fmt.Printf("the module path is %s now, it was %s: %d files were rewritten\n", to, from, len(files))
	return nil
}

func modulePath(dir string) (string, error) {
	name := filepath.Join(dir, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	p := modfile.ModulePath(text)
	if p == "" {
		return "", fmt.Errorf("%s has no module line", name)
	}
	return p, nil
}

type file struct {
	name string
	text []byte
}

// rewritten returns the files of the module that mention its path, with the new one.
func rewritten(dir, from, to string) (files []file, err error) {
	r := renamer{dir, from, to}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != dir && (base == ".git" || base == "bin" || base == "out") {
				return filepath.SkipDir
			}
			return nil
		}
		var rewrite func(name string, text []byte) ([]byte, error)
		switch {
		case !d.Type().IsRegular():
			return nil
		case d.Name() == "go.mod":
			rewrite = r.goMod
		case d.Name() == ".golangci.yml":
			rewrite = r.lintRules
		case path.Ext(name) == ".go":
			rewrite = r.goFile
		case path.Ext(name) == ".md":
			rewrite = r.page
		default:
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		next, err := rewrite(name, text)
		if err != nil {
			return err
		}
		if !bytes.Equal(next, text) {
			files = append(files, file{name, next})
		}
		return nil
	})
	return files, err
}

type renamer struct{ dir, from, to string }

// renamed returns the new path of a package of the module, and false for any other text. The product has the name that
// the module had once, so a text counts only if it names a directory of the module.
func (r renamer) renamed(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, r.from)
	if !ok || (rest != "" && rest[0] != '/') {
		return "", false
	}
	if rest != "" {
		if info, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(rest[1:]))); err != nil || !info.IsDir() || rest == "/" {
			return "", false
		}
	}
	return r.to + rest, true
}

func (r renamer) goMod(name string, text []byte) ([]byte, error) {
	f, err := modfile.Parse(name, text, nil)
	if err != nil {
		return nil, err
	}
	if f.Module == nil {
		return text, nil
	}
	next, ok := r.renamed(f.Module.Mod.Path)
	if !ok {
		return text, nil
	}
	if err := f.AddModuleStmt(next); err != nil {
		return nil, err
	}
	return f.Format()
}

// goFile rewrites imports, and the other strings that name a package of the module, such as the arguments of go build.
func (r renamer) goFile(name string, text []byte) ([]byte, error) {
	var failed error
	set := token.NewFileSet()
	in := set.AddFile(name, -1, len(text))
	var s scanner.Scanner
	s.Init(in, text, func(at token.Position, msg string) {
		failed = fmt.Errorf("%s: %s", at, msg)
	}, 0)
	var out []byte
	done := 0 // bytes of text that are in out
	for {
		at, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok != token.STRING {
			continue
		}
		value, err := strconv.Unquote(lit)
		if err != nil || value == r.from { // the bare path is the name of the product in most places
			continue
		}
		if next, ok := r.renamed(value); ok {
			start := in.Offset(at)
			out = append(append(out, text[done:start]...), strconv.Quote(next)...)
			done = start + len(lit)
		}
	}
	return append(out, text[done:]...), failed
}

// lintRules rewrites the paths in the linter's rules about imports, and the prefix of the imports that are sorted last.
func (r renamer) lintRules(_ string, text []byte) ([]byte, error) {
	path := regexp.QuoteMeta(r.from)
	text = regexp.MustCompile(`(?m)^(\s*- pkg: )`+path+`(/|\$|\s*$)`).ReplaceAll(text, []byte("${1}"+r.to+"${2}"))
	return regexp.MustCompile(`(?m)^(\s*local-prefixes: \[)`+path+`\]`).ReplaceAll(text, []byte("${1}"+r.to+"]")), nil
}

// page rewrites the packages that a page of the documentation names.
func (r renamer) page(_ string, text []byte) ([]byte, error) {
	word := regexp.MustCompile("([\"'` (])(" + regexp.QuoteMeta(r.from) + `(?:/[\w-]+)+)`)
	return word.ReplaceAllFunc(text, func(found []byte) []byte {
		if next, ok := r.renamed(string(found[1:])); ok {
			return append(found[:1:1], next...)
		}
		return found
	}), nil
}

// replaceFile replaces a file in one step, so that an interrupted run leaves no half of one.
func replaceFile(name string, text []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp := name + ".renamed"
	if err := os.WriteFile(tmp, text, info.Mode().Perm()); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// writeVersion writes the module in dir as a version of itself into proxy.
func writeVersion(dir, proxy, version string) (err error) {
	p, err := modulePath(dir)
	if err != nil {
		return err
	}
	if err := module.Check(p, version); err != nil {
		return err
	}
	escaped, err := module.EscapePath(p)
	if err != nil {
		return err
	}
	to := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	info := fmt.Appendf(nil, "{\"Version\":%q,\"Time\":%q}\n", version, time.Now().UTC().Format(time.RFC3339))
	for ending, text := range map[string][]byte{".mod": mod, ".info": info} {
		if err := os.WriteFile(filepath.Join(to, version+ending), text, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(to, "list"), []byte(version+"\n"), 0o644); err != nil {
		return err
	}
	archive, err := os.Create(filepath.Join(to, version+".zip"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	return zip.CreateFromDir(archive, module.Version{Path: p, Version: version}, dir)
}
