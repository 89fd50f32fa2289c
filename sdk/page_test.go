package sdk_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"inlong-bridge/sdk/dptest"
)

const senderPage = "../docs/sender.md"

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(senderPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

var codeRE = regexp.MustCompile("(?s)```go\n(.*?)```")

// program builds the program of the page as it stands there and returns the binary.
func program(t *testing.T) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	program := codeRE.FindStringSubmatch(readPage(t))
	if program == nil || !strings.HasPrefix(program[1], "package main") {
		t.Fatal("the page does not begin with a program")
	}
	lines := 0
	for line := range strings.Lines(program[1]) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines > 40 {
		t.Errorf("the program has %d lines, want at most 40", lines)
	}
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "main")
	if err := os.WriteFile(source, []byte(program[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"vet", source}, {"build", "-o", binary, source}} {
		if out, err := exec.CommandContext(t.Context(), goTool, args...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
	return binary
}

// The program of the page is built as it stands there. It sends three lines to a proxy, and with a wrong address it ends
// within its deadline and says why.
func TestProgramOfThePageDelivers(t *testing.T) {
	t.Parallel() // the second part waits for a deadline
	binary := program(t)
	queue := dptest.NewMemoryQueue(1, 1)
	proxy, err := dptest.NewProxy(queue, dptest.WithQueueDelay(0))
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), binary, proxy.Addr())
	run.Stdin = strings.NewReader("one\n\nthree\n")
	if out, err := run.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("the program: %v\n%s", err, out)
	}
	if err := proxy.Close(); err != nil {
		t.Error(err)
	}
	records, err := queue.Records("shop", "orders")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, string(r))
	}
	if text := strings.Join(got, ","); text != "one,,three" {
		t.Errorf("arrived: %q", text)
	}

	wrong := exec.CommandContext(t.Context(), binary, proxy.Addr()) // nobody listens there any more
	wrong.Stdin = strings.NewReader("one\n")
	out, err := wrong.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("with a wrong address the program ends with %v, want exit code 1", err)
	}
	said := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := said[len(said)-1]
	if !strings.Contains(last, "adding group shop: no proxy is connected: dialing "+proxy.Addr()) || !strings.Contains(last, "deadline exceeded") {
		t.Errorf("with a wrong address the last line is %q, want the reason and the deadline; all of it:\n%s", last, out)
	}
	if !strings.Contains(string(out), "connecting to proxy fails") {
		t.Errorf("the log says nothing:\n%s", out)
	}
}

// The pieces of code on the page are parts of examples, which run.
func TestCodeOfThePageStandsInExamples(t *testing.T) {
	lines := func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			kept = append(kept, strings.TrimSpace(line))
		}
		return strings.Join(kept, "\n")
	}
	examples := ""
	for _, file := range []string{"example_test.go", "example_program_test.go", "sdkprom/example_test.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples += lines(string(text)) + "\n"
	}
	pieces := codeRE.FindAllStringSubmatch(readPage(t), -1)
	for _, m := range pieces {
		if strings.HasPrefix(m[1], "package main") { // the first is built above, another one at least parsed
			if _, err := parser.ParseFile(token.NewFileSet(), "main.go", m[1], 0); err != nil {
				t.Error(err)
			}
		} else if !strings.Contains(examples, lines(strings.TrimSpace(m[1]))) {
			t.Errorf("no example has this piece of code:\n%s", m[1])
		}
	}
	if len(pieces) < 6 {
		t.Errorf("only %d pieces of code on the page", len(pieces))
	}
}

// exported returns what the package in dir exports, fields and methods as Type.Name.
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					recv := d.Recv.List[0].Type
					if star, ok := recv.(*ast.StarExpr); ok {
						recv = star.X
					}
					if id, ok := recv.(*ast.Ident); ok {
						name = id.Name + "." + name
					}
				}
				names[name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					case *ast.TypeSpec:
						names[s.Name.Name] = true
						if st, ok := s.Type.(*ast.StructType); ok {
							for _, field := range st.Fields.List {
								for _, n := range field.Names {
									names[s.Name.Name+"."+n.Name] = true
								}
							}
						}
					}
				}
			}
		}
	}
	return names
}

// Each name in the text is one that the code has, and each option of the code is in the text.
func TestThePageSpeaksOfWhatTheCodeHas(t *testing.T) {
	page := readPage(t)
	names := exported(t, ".")
	packages := map[string]map[string]bool{
		"sdk": names, "finality": exported(t, "finality"), "manager": exported(t, "manager"), "sdkprom": exported(t, "sdkprom"),
	}
	found := 0
	for _, m := range regexp.MustCompile(`\b(sdk|finality|manager|sdkprom)\.([A-Z]\w+(?:\.[A-Z]\w+)?)`).FindAllStringSubmatch(page, -1) {
		found++
		if !packages[m[1]][m[2]] {
			t.Errorf("there is no %s.%s", m[1], m[2])
		}
	}
	for _, m := range regexp.MustCompile("`((?:Sender|Message|Batch|Stream)\\.[A-Z]\\w+)").FindAllStringSubmatch(page, -1) {
		found++
		if !names[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
	if found < 50 {
		t.Errorf("only %d names found in the page", found)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := fs.Stat(os.DirFS(".."), filepath.ToSlash(filepath.Join("docs", m[1]))); err != nil && !strings.HasPrefix(m[1], "http") {
			t.Errorf("link to %s: %v", m[1], err)
		}
	}
}

// keys of the configuration file of InLong's C++ SDK.
const cppKeys = `inlong_group_ids manager_url manager_update_interval manager_url_timeout need_auth auth_id auth_key
max_proxy_num reserve_proxy_num enable_local_cache isolation_level msg_type per_groupid_thread_nums dispatch_interval_zip
dispatch_interval_send load_balance_interval heart_beat_interval enable_balance recv_buf_size send_buf_size
max_group_id_num max_stream_id_num max_cache_num enable_share_msg enable_pack pack_size pack_timeout ext_pack_size
enable_zip min_zip_len tcp_detection_interval tcp_idle_time enable_tcp_nagle retry_times proxy_repeat_times ser_ip
ser_port enable_setaffinity mask_cpuaffinity extend_field extend_report max_instance log_num log_size log_level log_path`

func TestThePageHasEveryKeyAndCodeOfTheCppSDK(t *testing.T) {
	page := readPage(t)
	rows := make(map[string]int)
	columns := 0 // of the table
	ofTheCppSDK := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "## ") {
			ofTheCppSDK = strings.TrimSpace(line) == "## Coming from the C++ SDK"
		}
		cells := strings.Split(line, "|")
		if len(cells) == 1 || columns == 0 {
			columns = len(cells) - 1
		}
		if len(cells) != columns+1 {
			t.Errorf("%d columns in a table of %d: %s", len(cells)-1, columns, line)
		}
		if !ofTheCppSDK || len(cells) < 4 || strings.TrimSpace(cells[len(cells)-2]) == "" {
			continue
		}
		for _, word := range regexp.MustCompile(`[a-z0-9_]+`).FindAllString(cells[1], -1) {
			rows[word]++
		}
	}
	for key := range strings.FieldsSeq(cppKeys) {
		if rows[key] != 1 {
			t.Errorf("key %s stands in %d rows", key, rows[key])
		}
	}
	for code := range 27 {
		if want := 1; code < 1 || code > 3 { // there are no codes 1 to 3
			if got := rows[strconv.Itoa(code)]; got != want {
				t.Errorf("code %d stands in %d rows", code, got)
			}
		}
	}
}

// The sender is used without the bridge: none of its texts speaks of the bridge's configuration.
func TestTextsSpeakOfNoKeyOfTheBridge(t *testing.T) {
	reference, err := os.ReadFile("../deploy/config/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	section := ""
	for line := range strings.Lines(string(reference)) {
		if m := regexp.MustCompile(`^(?:# ?)?([a-z_]+):`).FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		if m := regexp.MustCompile(`^(?:# ?)?  (?:# ?)?([a-z_]+):`).FindStringSubmatch(line); m != nil && section != "" {
			keys = append(keys, section+`\.`+m[1])
		}
	}
	if len(keys) < 40 {
		t.Fatalf("only %d keys found in the reference: %q", len(keys), keys)
	}
	key := regexp.MustCompile(`\b(` + strings.Join(keys, "|") + `)\b|\bsecret_(id|key)\b|\bconfirm: [a-z]`)
	texts := 0
	for _, dir := range []string{".", "manager", "sdkprom", "frame", "finality", "engine"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				texts++
				if found := key.FindString(lit.Value); found != "" {
					t.Errorf("%s: the text speaks of %s, a key of the bridge: %s", set.Position(lit.Pos()), found, lit.Value)
				}
				return true
			})
		}
	}
	if texts < 500 {
		t.Errorf("only %d texts were looked at", texts)
	}
}
