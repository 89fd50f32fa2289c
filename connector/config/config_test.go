package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const cases = "../../testdata/config"

func env(vars ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, v := range vars {
			if k, value, _ := strings.Cut(v, "="); k == name {
				return value, true
			}
		}
		return "", false
	}
}

const smallest = `kafka: {brokers: [k1:9092], group: g}
inlong: {proxies: [dp1:46801]}
routes: [{topics: [t], group: g, stream: s}]
`

func parse(t *testing.T, text string, vars ...string) *Config {
	t.Helper()
	c, err := Parse("bridge.yaml", []byte(text), env(vars...))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return c
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(cases, dir, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	return paths
}

// Beside each case lies what is said about it, a problem a line.
func TestInvalidFilesSayEverythingThatIsWrong(t *testing.T) {
	for _, path := range files(t, "invalid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !HasPulsar && bytes.Contains(data, []byte("pulsar:")) {
				t.Skip("what is wrong beside Pulsar is said in the standard build")
			}
			c, err := Parse(filepath.Base(path), data, env())
			if err == nil || c != nil {
				t.Fatalf("Parse = %v, %v, want only an error", c, err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".want", []byte(err.Error()+"\n"))
		})
	}
}

// Beside each case lies what check --print shows of it on a machine of 2 GiB.
func TestValidFilesPrintWhatIsInForce(t *testing.T) {
	for _, path := range files(t, "valid") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(filepath.Base(path), data, env("PASSWORD=p${w}d"))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := c.print(&out, c.limits(memory{physical: 2 * gib})); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".want", out.Bytes())
			if strings.Contains(out.String(), "p${w}d") || strings.Contains(out.String(), "k$y") {
				t.Error("a secret is printed")
			}

			again, err := Parse("printed", out.Bytes(), env())
			if err != nil {
				t.Fatalf("what is printed does not load: %v\n%s", err, out.Bytes())
			}
			var twice bytes.Buffer
			if err := again.print(&twice, c.limits(memory{physical: 2 * gib})); err != nil {
				t.Fatal(err)
			}
			body := func(b bytes.Buffer) string { s, _, _ := strings.Cut(b.String(), "\n#"); return s }
			if body(out) != body(twice) {
				t.Errorf("printed, loaded and printed again differs:\n%s\n%s", body(out), body(twice))
			}
		})
	}
}

func TestFiveMistakesAreFiveProblemsWithTheirLines(t *testing.T) {
	_, err := Load(filepath.Join(cases, "invalid/five.yaml"))
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		t.Fatalf("error is %T: %v", err, err)
	}
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
	}
	if want := []int{2, 3, 7, 11, 13}; !slices.Equal(lines, want) {
		t.Errorf("lines = %v, want %v:\n%v", lines, want, err)
	}
}

func TestExamplesLoad(t *testing.T) {
	for _, name := range []string{"stream.yaml", "migration.yaml"} {
		data, err := os.ReadFile(filepath.Join("../../deploy/config/examples", name))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(name, data, env())
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Kafka.Brokers) != 2 || c.Delivery.Confirm != "queue" {
			t.Errorf("%s: brokers %v, confirm %s", name, c.Kafka.Brokers, c.Delivery.Confirm)
		}
	}
}

func TestLoadOfAMissingFileNamesTheSwitch(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "bridge.yaml"))
	if err == nil || !strings.Contains(err.Error(), "-c") {
		t.Errorf("got %v", err)
	}
}

func TestConfirmFollowsFromTheQueueSection(t *testing.T) {
	const queue = "queue: {kafka: [{brokers: [mq1:9092]}]}\n"
	for _, c := range []struct {
		text, want string
		given      bool
		note       string
	}{
		{"", "settle", false, ""},
		{queue, "queue", false, ""},
		{queue + "delivery: {confirm: queue}\n", "queue", true, ""},
		{queue + "delivery: {confirm: settle}\n", "settle", true, "the queue is not read"},
		{"delivery: {confirm: ack}\n", "ack", true, "loses the records"},
	} {
		cfg := parse(t, smallest+c.text)
		if cfg.Delivery.Confirm != c.want || cfg.Delivery.ConfirmGiven != c.given {
			t.Errorf("%q: confirm %s, given %v", c.text, cfg.Delivery.Confirm, cfg.Delivery.ConfirmGiven)
		}
		if notes := strings.Join(cfg.Notes(), "\n"); !strings.Contains(notes, c.note) || (c.note == "") != (notes == "") {
			t.Errorf("%q: notes %q, want %q", c.text, notes, c.note)
		}
		if !strings.Contains(cfg.Summary(), "confirm "+c.want+", ") {
			t.Errorf("summary %q", cfg.Summary())
		}
	}
}

func TestValuesReachTheirFields(t *testing.T) {
	c := parse(t, `
kafka:
  brokers: k1:9092, k2:9092
  group: 123
  start: 2026-01-02T15:04:05+01:00
  start_timeout: 0
  tls: {server_name: k}
  sasl: {mechanism: oauthbearer, token_url: 'https://l/t', client_id: c, client_secret: s, scopes: [a, b]}
inlong: {manager: {urls: ['https://m:1'], tls: {insecure_skip_verify: true}}, max_frame: 65536, max_streams: 1}
routes: [{topics: [t], group: g, stream: s}]
delivery: {proxy_rate: 0, settle: 1m, drain: 2m}
queue: {kafka: [{brokers: [a:1]}, {brokers: [b:1], name: b, tls: {enabled: false}}]}
pack: {bytes: 32KiB}
admin: {listen: ""}
`)
	k := c.Kafka
	if !slices.Equal(k.Brokers, []string{"k1:9092", "k2:9092"}) || k.Group != "123" || k.Start != "timestamp" ||
		!k.StartTime.Equal(time.Date(2026, 1, 2, 14, 4, 5, 0, time.UTC)) || !k.TLS.Enabled || k.TLS.ServerName != "k" || k.StartTimeout != 0 {
		t.Errorf("kafka: %+v", k)
	}
	if s := k.SASL; s.TokenURL != "https://l/t" || s.ClientID != "c" || !slices.Equal(s.Scopes, []string{"a", "b"}) || !s.ClientSecret.Set() || s.Password.Set() {
		t.Errorf("sasl: %+v", s)
	}
	if !c.HasManager() || !c.InLong.ManagerTLS.Enabled || c.InLong.ManagerTimeout != 10*time.Second || c.InLong.MaxFrame.N != 65536 || c.InLong.MaxStreams != 1 {
		t.Errorf("inlong: %+v", c.InLong)
	}
	if c.Delivery.ProxyRate.N != 0 || c.Delivery.Settle != time.Minute || c.Admin.Listen != "" || c.Routes == nil || !c.Routes.Wants("t") {
		t.Errorf("delivery %+v, admin %+v", c.Delivery, c.Admin)
	}
	if q := c.Queue.Kafka; q[0].Name != "a:1" || q[1].Name != "b" || q[1].TLS.Enabled || q[1].Topic != "{group}.{stream}" {
		t.Errorf("queue: %+v", q)
	}
}

func TestReferenceLoadsWithTheDefaults(t *testing.T) {
	data, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("reference.yaml", data, env())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	// What has no default stands in the reference as an example.
	want.Path, want.Routes, want.routes = got.Path, got.Routes, got.routes
	want.Kafka.Brokers, want.Kafka.Group = got.Kafka.Brokers, got.Kafka.Group
	want.InLong.ManagerURLs, want.hasManager, want.InLong.ManagerTimeout = got.InLong.ManagerURLs, true, 10*time.Second
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the reference's values are not the defaults:\n%+v\n%+v", got, want)
	}
}

// With the # taken out, every key of the reference is one that the code knows, and every key that the
// code knows is there, with its default.
func TestReferenceHasEveryKeyAndNoOther(t *testing.T) {
	data, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	var full []string
	for line := range strings.Lines(string(data)) {
		body := strings.TrimLeft(line, " ")
		if hidden, ok := strings.CutPrefix(body, "#"); ok && !strings.HasPrefix(hidden, " ") && hidden != "\n" {
			line = line[:len(line)-len(body)] + hidden
		}
		full = append(full, line)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(strings.Join(full, "")), &doc); err != nil {
		t.Fatal(err)
	}
	got, want := map[string]string{}, map[string]string{}
	flatten(doc.Content[0], "", got)
	known(new(Config).schema(), "", want)
	for key, def := range want {
		value, ok := got[key]
		if !ok {
			t.Errorf("%s is not in the reference", key)
		} else if def != "" && value != def {
			t.Errorf("%s is %q in the reference, the default is %q", key, value, def)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok && !strings.HasPrefix(key, "routes[") {
			t.Errorf("%s of the reference is not a key", key)
		}
	}
	_, err = Parse("full.yaml", []byte(strings.Join(full, "")), env("HOSTNAME=h", "PASSWORD=p"))
	if err == nil || strings.Contains(err.Error(), "unknown key") {
		t.Errorf("the uncommented reference must only hold keys that exclude each other: %v", err)
	}
}

func flatten(n *yaml.Node, path string, into map[string]string) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			flatten(n.Content[i+1], join(path, n.Content[i].Value), into)
		}
	case yaml.SequenceNode:
		for i, e := range n.Content {
			if e.Kind == yaml.MappingNode {
				flatten(e, fmt.Sprintf("%s[%d]", path, i), into)
			} else {
				into[path] = "list"
			}
		}
	default:
		into[path] = n.Value
	}
}

func known(entries []entry, path string, into map[string]string) {
	for i := range entries {
		e := &entries[i]
		at := join(path, e.key)
		switch {
		case e.refuse != "" || e.routes:
		case e.each != nil:
			e.grow(1)
			known(e.each(0), at+"[0]", into)
		case e.sub != nil:
			known(e.sub, at, into)
		default:
			into[at] = e.def
			if e.secret() != nil {
				into[at+"_file"] = ""
			}
			if e.doc == "" {
				into[at] = "a meaning"
			}
		}
	}
}

// Every exported field of Config can be set from the file: no key was forgotten in the table.
func TestTableReachesEveryField(t *testing.T) {
	c := &Config{Queue: Queue{Kafka: make([]QueueCluster, 1), Pulsar: make([]PulsarCluster, 1)}}
	reached := map[uintptr]bool{}
	var walk func(entries []entry)
	walk = func(entries []entry) {
		for i := range entries {
			e := &entries[i]
			if e.each != nil {
				e.grow(1)
				walk(e.each(0))
			}
			walk(e.sub)
			if s, ok := e.dst.(*start); ok {
				reached[reflect.ValueOf(&s.Start).Pointer()] = true
				reached[reflect.ValueOf(&s.StartTime).Pointer()] = true
			} else if e.dst != nil {
				reached[reflect.ValueOf(e.dst).Pointer()] = true
			}
		}
	}
	walk(c.schema())
	var fields func(v reflect.Value, path string)
	fields = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f, name := v.Field(i), path+"."+v.Type().Field(i).Name
			switch {
			case !v.Type().Field(i).IsExported() || name == ".Path" || name == ".Routes" || name == ".Delivery.ConfirmGiven" || name == ".Kafka.StartOffsets":
			case name == ".Queue.Kafka" || name == ".Queue.Pulsar":
				fields(f.Index(0), name)
			case f.Kind() == reflect.Struct && !reached[f.Addr().Pointer()] || name == ".Kafka" || f.Type() == reflect.TypeFor[TLS]() || f.Type() == reflect.TypeFor[SASL]() ||
				f.Kind() == reflect.Struct && slices.Contains([]string{".InLong", ".Delivery", ".Queue", ".Pack", ".Memory", ".Admin", ".Log"}, name):
				fields(f, name)
			case !reached[f.Addr().Pointer()]:
				t.Errorf("no key sets %s", name)
			}
		}
	}
	fields(reflect.ValueOf(c).Elem(), "")
}

func TestUnknownKeysHaveAGuess(t *testing.T) {
	for key, want := range map[string]string{
		"rebalanceTimeout: 1m":       "did you mean rebalance_timeout?",
		"bootstrap_servers: k1:9092": "kafka knows brokers, group",
		"session-timeout: 1m":        "did you mean session_timeout?",
		"linger: 20ms":               "did you mean pack.linger?",
		"tsl: {}":                    "did you mean tls?",
		"isolaton: x":                "did you mean isolation?",
		"x: y":                       "kafka knows brokers",
	} {
		_, err := Parse("f", []byte(strings.Replace(smallest, "group: g}", "group: g, "+key+"}", 1)), env())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", key, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"valid", "invalid"} {
		paths, err := filepath.Glob(filepath.Join(cases, dir, "*.yaml"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, env("A=b", "EMPTY="))
		if err == nil {
			var out bytes.Buffer
			if err := c.print(&out, c.limits(memory{})); err != nil {
				t.Fatal(err)
			}
			// What holds a file or a secret cannot be told from its print, all else can.
			if again, err := Parse("f", out.Bytes(), env()); err != nil {
				t.Fatalf("%v\nprinted:\n%s\nfrom:\n%s", err, out.Bytes(), data)
			} else if again.Kafka.Group != c.Kafka.Group || !slices.Equal(again.InLong.Proxies, c.InLong.Proxies) {
				t.Fatalf("printed and loaded: %+v, want %+v", again, c)
			}
			return
		}
		problems, ok := errors.AsType[Problems](err)
		if !ok || len(problems) == 0 || c != nil {
			t.Fatalf("error is %T: %v", err, err)
		}
		last := 2 // YAML knows more line ends than one
		for _, r := range string(data) {
			if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
				last++
			}
		}
		for i, p := range problems {
			if p.Line < 1 || p.Line > last || p.Message == "" || i > 0 && p.Line < problems[i-1].Line {
				t.Fatalf("problem %d of %v: line out of order or of the file (%d lines)", i, problems, last)
			}
		}
	})
}

// Default returns the configuration of an empty file: all defaults, and no value that has none.
func Default() *Config {
	c := &Config{}
	setDefaults(c.schema())
	c.settleDefaults()
	return c
}
