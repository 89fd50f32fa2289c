// Package helm has only tests: of the chart, through Helm itself. HELM names the command (make chart builds it); without it
// the tests that render are skipped.
package helm

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the files of the chart that are made from others")

const (
	chart    = "inlong-bridge"
	old      = "f91c421" // the first published state of the chart; an upgrade from it changes nothing unasked
	digest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	toEnable = "serviceMonitor.enabled=true,podDisruptionBudget.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true,networkPolicy.enabled=true"
)

func helm(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	command := os.Getenv("HELM")
	if command == "" {
		t.Skip("HELM does not name the Helm command; make chart does")
	}
	if !filepath.IsAbs(command) {
		command = filepath.Join("..", "..", command)
	}
	cmd := exec.CommandContext(t.Context(), command, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// object is a rendered object; nodes keep how its scalars were written.
type object struct {
	kind, name string
	fields     map[string]any
	node       *yaml.Node
}

func parse(t *testing.T, text string) []object {
	t.Helper()
	var objects []object
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if err != nil {
			if err.Error() == "EOF" {
				return objects
			}
			t.Fatalf("not YAML: %v\n%s", err, text)
		}
		var fields map[string]any
		if err := node.Decode(&fields); err != nil {
			t.Fatalf("not an object: %v\n%s", err, text)
		}
		if fields == nil {
			continue
		}
		name, _ := at(fields, "metadata", "name").(string)
		kind, _ := fields["kind"].(string)
		objects = append(objects, object{kind, name, fields, &node})
	}
}

// render renders the chart as release t in namespace data.
func render(t *testing.T, release string, args ...string) ([]object, error) {
	t.Helper()
	out, err := helm(t, append([]string{"template", release, chart, "--namespace", "data"}, args...)...)
	if err != nil {
		return nil, err
	}
	return parse(t, out), nil
}

func mustRender(t *testing.T, args ...string) []object {
	t.Helper()
	objects, err := render(t, "t", args...)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func find(objects []object, kind string) map[string]any {
	for _, o := range objects {
		if o.kind == kind {
			return o.fields
		}
	}
	return nil
}

// at follows keys and indices, nil where the way ends.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// container returns the bridge's own container.
func container(objects []object) map[string]any {
	for _, kind := range []string{"Deployment", "StatefulSet", "Job"} {
		if w := find(objects, kind); w != nil {
			c, _ := at(w, "spec", "template", "spec", "containers", 0).(map[string]any)
			return c
		}
	}
	return nil
}

// ambiguous are plain scalars that the YAML of Kubernetes (1.1) takes for something else than text.
var ambiguous = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null|~|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+|[-+.]?[0-9][0-9_.]*(e[-+]?[0-9]+)?|0[xob][0-9a-f_]+|\.inf|\.nan)$`)

// stringsAreStrings fails where a value that Kubernetes wants as text is anything else.
func stringsAreStrings(t *testing.T, objects []object) {
	t.Helper()
	maps := []string{"labels", "annotations", "matchLabels", "nodeSelector", "data", "stringData"}
	single := []string{"name", "namespace", "value", "image", "serviceAccountName", "secretName", "mountPath", "priorityClassName", "sizeLimit", "interval", "scrapeTimeout", "instance"}
	var walk func(where string, n *yaml.Node)
	text := func(where string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode {
			return
		}
		plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
		if n.Tag != "!!str" || plain && ambiguous.MatchString(n.Value) {
			t.Errorf("%s: %s is not a string", where, n.Value)
		}
	}
	walk = func(where string, n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				key, value := n.Content[i], n.Content[i+1]
				text(where+" (key)", key)
				if slices.Contains(maps, key.Value) && value.Kind == yaml.MappingNode {
					for j := 1; j < len(value.Content); j += 2 {
						text(where+"."+key.Value, value.Content[j])
					}
				}
				if slices.Contains(single, key.Value) {
					text(where+"."+key.Value, value)
				}
				walk(where+"."+key.Value, value)
			}
			return
		}
		for _, c := range n.Content {
			walk(where, c)
		}
	}
	for _, o := range objects {
		walk(o.kind+" "+o.name, o.node)
	}
}

func TestOddReleaseNamesGiveStrings(t *testing.T) {
	for _, release := range []string{"2024", "4e7", "true", "null", "0x1f", "1e-3", "yes", "007", "inlong-bridge", "3-inlong-bridge"} {
		objects, err := render(t, release, "--set", toEnable)
		if err != nil {
			t.Errorf("release %s: %v", release, err)
			continue
		}
		stringsAreStrings(t, objects)
		for _, o := range objects {
			if !regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`).MatchString(o.name) || len(o.name) > 63 {
				t.Errorf("release %s: %s has the name %q", release, o.kind, o.name)
			}
			if got := at(o.fields, "metadata", "labels", "app.kubernetes.io/instance"); got != release {
				t.Errorf("release %s: %s has the instance %v", release, o.kind, got)
			}
		}
	}
}

// TestOddValues gives the chart values that people really write. Each is refused with a sentence that says what is wrong, or
// rendered as it was meant.
func TestOddValues(t *testing.T) {
	type row struct {
		name    string
		values  string // a values file
		refused string // part of the sentence; "" where it must be right
		right   func(objects []object) string
	}
	env := func(objects []object, name string) any {
		list, _ := container(objects)["env"].([]any)
		for _, e := range list {
			if at(e, "name") == name {
				return at(e, "value")
			}
		}
		return nil
	}
	want := func(got, want any) string {
		if reflect.DeepEqual(got, want) {
			return ""
		}
		return fmt.Sprintf("%v (%T), want %v (%T)", got, got, want, want)
	}
	rows := []row{
		{"memory limit as an integer", "resources: {limits: {memory: 1073741824}}", "", func(o []object) string { return want(env(o, "GOMEMLIMIT"), "966367641") }},
		{"memory limit as a text of digits", `resources: {limits: {memory: "1073741824"}}`, "", func(o []object) string { return want(env(o, "GOMEMLIMIT"), "966367641") }},
		{"memory limit without its unit", "resources: {limits: {memory: 512}}", "which is 512 bytes", nil},
		{"memory limit in words", "resources: {limits: {memory: lots}}", "write it as 512Mi or 1Gi", nil},
		{"memory limit with a lower case unit", "resources: {limits: {memory: 512mb}}", "write it as 512Mi or 1Gi", nil},
		{"memory limit in thousandths", "resources: {limits: {memory: 512m}}", "write it as 512Mi or 1Gi", nil},
		{"no resources", "resources: null", "", func(o []object) string { return want(env(o, "GOMEMLIMIT"), nil) }},
		{"no configuration", "config: null", "config is null or empty", nil},
		{"no configuration, a ConfigMap instead", "config: null\nexistingConfigMap: mine", "", func(o []object) string { return want(find(o, "ConfigMap"), map[string]any(nil)) }},
		{"no kafka", "config: {kafka: null}", "config.kafka is null or empty", nil},
		{"no routes", "config: {routes: null}", "config.routes is null or empty", nil},
		{"empty routes", "config: {routes: []}", "routes", nil},
		{"a password", "config: {kafka: {sasl: {mechanism: plain, username: u, password: hunter2}}}", "config.kafka.sasl.password holds the secret itself", nil},
		{"a password that is a number", "config: {kafka: {sasl: {mechanism: plain, username: u, password: 12345}}}", "config.kafka.sasl.password holds the secret itself", nil},
		{"a password as a default", "config: {kafka: {sasl: {mechanism: plain, username: u, password: '${PW:-hunter2}'}}}", "config.kafka.sasl.password holds the secret itself", nil},
		{"a password from the environment", "config: {kafka: {sasl: {mechanism: plain, username: u, password: '${PW}'}}}", "", func(o []object) string { return want(find(o, "Secret"), map[string]any(nil)) }},
		{"a password in a Secret", "configIn: Secret\nconfig: {kafka: {sasl: {mechanism: plain, username: u, password: hunter2}}}", "", func(o []object) string {
			text, _ := at(find(o, "Secret"), "stringData", "bridge.yaml").(string)
			return want([]bool{strings.Contains(text, "hunter2"), find(o, "ConfigMap") == nil}, []bool{true, true})
		}},
		{"a key in a list", "config: {queue: {kafka: [{brokers: [a:1], topic: t, sasl: {mechanism: plain, username: u, password: x}}]}}", "config.queue.kafka[0].sasl.password holds the secret itself", nil},
		{"a Manager's key", "config: {inlong: {manager: {secret_key: k}}}", "config.inlong.manager.secret_key holds the secret itself", nil},
		{"a password in an address", "config: {inlong: {manager: {urls: ['http://admin:inlong@manager:8083']}}}", "an address with a password in it", nil},
		{"a password file", "existingSecret: s\nconfig: {kafka: {sasl: {mechanism: plain, username: u, password_file: /run/secrets/inlong-bridge/p}}}", "", func(o []object) string { return "" }},
		{"replicas as 4e7", "replicas: 4e7", "", func(o []object) string { return want(at(find(o, "Deployment"), "spec", "replicas"), 40000000) }},
		{"replicas as a text", "replicas: '3'", "replicas", nil},
		{"half a replica", "replicas: 1.5", "replicas", nil},
		{"fewer than no replicas", "replicas: -1", "replicas", nil},
		{"a tag that is a number", "image: {tag: 1.20}", "tag", nil},
		{"a tag of digits", "image: {tag: '20241101'}", "", func(o []object) string { return want(container(o)["image"], "inlong-bridge:20241101") }},
		{"a tag with a blank", "image: {tag: '1.0 '}", "tag", nil},
		{"a tag that is a digest", "image: {tag: '" + digest + "'}", "tag", nil},
		{"a digest", "image: {digest: '" + digest + "', tag: x}", "", func(o []object) string { return want(container(o)["image"], "inlong-bridge@"+digest) }},
		{"environment with numbers and booleans", "extraEnv: [{name: A, value: 40000000}, {name: B, value: true}, {name: C, value: 1.5}, {name: D, value: ''}]", "", func(o []object) string {
			return want([]any{env(o, "A"), env(o, "B"), env(o, "C"), env(o, "D")}, []any{"40000000", "true", "1.5", ""})
		}},
		{"environment that the chart sets", "extraEnv: [{name: POD_NAME, value: x}]", "which the chart sets itself", nil},
		{"a label that is a number", "podLabels: {year: 2024}", "year", nil},
		{"a label of digits", "podLabels: {year: '2024', e: '4e7'}", "", func(o []object) string {
			return want(at(find(o, "Deployment"), "spec", "template", "metadata", "labels", "e"), "4e7")
		}},
		{"a label that selects", "podLabels: {app.kubernetes.io/name: mine}", "the chart sets itself and selects its pods by", nil},
		{"a common label that selects", "commonLabels: {app.kubernetes.io/instance: mine}", "the chart sets itself and selects its pods by", nil},
		{"a label twice", "commonLabels: {team: a}\npodLabels: {team: b}", "keep one of them", nil},
		{"an annotation that is a boolean", "podAnnotations: {inject: false}", "inject", nil},
		{"a node selector of digits", "nodeSelector: {pool: '1'}", "", func(o []object) string {
			return want(at(find(o, "Deployment"), "spec", "template", "spec", "nodeSelector", "pool"), "1")
		}},
		{"OpenShift's ids", "podSecurityContext: {runAsUser: 1000710000, fsGroup: null}", "", func(o []object) string {
			c := at(find(o, "Deployment"), "spec", "template", "spec", "securityContext")
			return want([]any{at(c, "runAsUser"), at(c, "fsGroup"), at(c, "runAsNonRoot")}, []any{1000710000, nil, true})
		}},
		{"no fixed ids", "podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}", "", func(o []object) string {
			return want(at(find(o, "Deployment"), "spec", "template", "spec", "securityContext"), map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}})
		}},
		{"no security contexts", "podSecurityContext: null\ncontainerSecurityContext: null", "", func(o []object) string { return want(container(o)["securityContext"], nil) }},
		{"a name that is a number", "fullnameOverride: 2024", "fullnameOverride", nil},
		{"a name of digits", "fullnameOverride: '2024'", "fullnameOverride", nil},
		{"a name in capitals", "nameOverride: Bridge", "nameOverride", nil},
		{"a name too long for a StatefulSet", "workload: {kind: StatefulSet}\nfullnameOverride: " + strings.Repeat("a", 53), "the name of a StatefulSet may have 52", nil},
		{"an unknown kind of workload", "workload: {kind: DaemonSet}", "kind", nil},
		{"a Job of three", "workload: {kind: Job}\nreplicas: 3", "a Job runs one migrate", nil},
		{"a Job that is scaled", "workload: {kind: Job}\nautoscaling: {enabled: true}", "a Job is not scaled", nil},
		{"a Job with a budget", "workload: {kind: Job}\npodDisruptionBudget: {enabled: true}", "does not apply to a Job", nil},
		{"two that scale", "autoscaling: {enabled: true}\nkeda: {enabled: true}", "enable one of them", nil},
		{"least above most", "autoscaling: {enabled: true, minReplicas: 5, maxReplicas: 2}", "is above", nil},
		{"two monitors", "serviceMonitor: {enabled: true}\npodMonitor: {enabled: true}", "scrape every pod twice", nil},
		{"a scrape longer than its interval", "serviceMonitor: {enabled: true, interval: 15s, scrapeTimeout: 30s}", "longer than its interval", nil},
		{"an interval without its unit", "serviceMonitor: {enabled: true, interval: 15}", "interval", nil},
		{"a volume twice", "extraVolumes: [{name: cache, emptyDir: {}}]", "which is taken", nil},
		{"a mount of no volume", "extraVolumeMounts: [{name: nowhere, mountPath: /x}]", "which extraVolumes does not have", nil},
		{"a mount over the configuration", "extraVolumes: [{name: a, emptyDir: {}}]\nextraVolumeMounts: [{name: a, mountPath: /etc/inlong-bridge}]", "something else is mounted at", nil},
		{"a Secret twice", "secretMounts: [{name: a, secret: s, path: /a}, {name: a, secret: t, path: /b}]", "has the name a twice", nil},
		{"Secrets on one path", "secretMounts: [{name: a, secret: s, path: /a}, {name: b, secret: t, path: /a}]", "something else is mounted at /a", nil},
		{"a budget in per cent", "podDisruptionBudget: {enabled: true, maxUnavailable: 25%}", "", func(o []object) string {
			return want(at(find(o, "PodDisruptionBudget"), "spec", "maxUnavailable"), "25%")
		}},
		{"a budget as a text", "podDisruptionBudget: {enabled: true, maxUnavailable: '1'}", "maxUnavailable", nil},
		{"the least that stays", "podDisruptionBudget: {enabled: true, minAvailable: 1}", "", func(o []object) string {
			spec := at(find(o, "PodDisruptionBudget"), "spec")
			return want([]any{at(spec, "minAvailable"), at(spec, "maxUnavailable")}, []any{1, nil})
		}},
		{"a monitor without a Service", "service: {enabled: false}\nserviceMonitor: {enabled: true}", "use podMonitor", nil},
		{"a StatefulSet without a Service", "service: {enabled: false}\nworkload: {kind: StatefulSet}", "a StatefulSet names a Service", nil},
		{"no Service", "service: {enabled: false}", "", func(o []object) string { return want(find(o, "Service"), map[string]any(nil)) }},
		{"two caches", "workload: {kind: StatefulSet}\ncache: {volume: {emptyDir: {}}, volumeClaim: {accessModes: [ReadWriteOnce]}}", "give one of them", nil},
		{"a cache in a claim", "cache: {volume: {persistentVolumeClaim: {claimName: mine}}}", "", func(o []object) string {
			v := at(find(o, "Deployment"), "spec", "template", "spec", "volumes", 1)
			return want([]any{at(v, "persistentVolumeClaim", "claimName"), at(v, "emptyDir")}, []any{"mine", nil})
		}},
		{"an endpoint of one's own", "serviceMonitor: {enabled: true, endpoint: {port: proxy, basicAuth: {username: {name: s, key: u}}}}\nservice: {extraPorts: [{name: proxy, port: 8443}]}", "", func(o []object) string {
			e := at(find(o, "ServiceMonitor"), "spec", "endpoints", 0)
			return want([]any{at(e, "port"), at(e, "path"), at(e, "basicAuth", "username", "key"), at(find(o, "Service"), "spec", "ports", 1, "name")}, []any{"proxy", "/metrics", "u", "proxy"})
		}},
		{"another command", "command: [/wrapper, '4e7']", "", func(o []object) string { return want(container(o)["command"], []any{"/wrapper", "4e7"}) }},
		{"an alert that does not exist", "prometheusRule: {enabled: true, alerts: {Nonsense: {threshold: 1}}}", "there is no such alert", nil},
		{"a threshold where nothing is compared", "prometheusRule: {enabled: true, alerts: {InlongBridgeAbsent: {threshold: 1}}}", "compares with no number", nil},
		{"ports that nobody tells", "networkPolicy: {enabled: true}\nexistingConfigMap: mine", "networkPolicy.egress.brokers.ports is empty", nil},
		{"brokers from the environment", "networkPolicy: {enabled: true}\nconfig: {kafka: {brokers: ['${BROKERS}']}}", "networkPolicy.egress.brokers.ports is empty", nil},
		{"lag of patterns", "keda: {enabled: true}\nconfig: {routes: [{topics: ['logs\\..*'], group: g, stream: s}]}", "keda.topics is empty", nil},
		{"a group that is a number", "config: {kafka: {group: 4e7}}", "group", nil},
		{"a group of digits", "config: {kafka: {group: '40000000'}}", "", func(o []object) string {
			text, _ := at(find(o, "ConfigMap"), "data", "bridge.yaml").(string)
			return want(strings.Contains(text, `group: "40000000"`), true)
		}},
		{"a port with a fraction", "admin: {port: 8080.5}", "port", nil},
		{"a service without values", "service: null", "service", nil},
		{"an object that is a template", "extraObjects: [\"apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: '{{ .Release.Name }}-x'}\"]", "", func(o []object) string {
			return want(o[len(o)-2].name == "t-x" || slices.ContainsFunc(o, func(o object) bool { return o.name == "t-x" }), true)
		}},
	}
	dir := t.TempDir()
	for i, r := range rows {
		t.Run(strings.ReplaceAll(r.name, " ", "-"), func(t *testing.T) {
			// Not below TempDir, which carries the row's name: Helm splits paths at commas.
			file := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
			if err := os.WriteFile(file, []byte(r.values), 0o600); err != nil {
				t.Fatal(err)
			}
			objects, err := render(t, "t", "-f", file)
			switch {
			case r.refused != "" && err == nil:
				t.Errorf("%s: accepted", r.values)
			case r.refused != "" && !strings.Contains(err.Error(), r.refused):
				t.Errorf("%s: the sentence does not say %q: %v", r.values, r.refused, err)
			case r.refused != "" && strings.Contains(err.Error(), "nil pointer"):
				t.Errorf("%s: no sentence: %v", r.values, err)
			case r.refused == "" && err != nil:
				t.Errorf("%s: %v", r.values, err)
			case r.refused == "":
				stringsAreStrings(t, objects)
				if wrong := r.right(objects); wrong != "" {
					t.Errorf("%s: %s", r.values, wrong)
				}
			}
		})
	}
}

// oldChart unpacks the chart of the commit old, and skips where there is no history.
func oldChart(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	archive := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "archive", old, "deploy/helm/"+chart)
	archive.Dir = "../.."
	tar, err := archive.Output()
	if err != nil {
		t.Skipf("the history does not reach back to %s", old)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(tar)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	return filepath.Join(dir, "deploy/helm", chart)
}

func TestUpgradeChangesNothingUnasked(t *testing.T) {
	before := oldChart(t)
	files, err := filepath.Glob(filepath.Join(before, "ci", "*-values.yaml"))
	if err != nil || len(files) != 3 {
		t.Fatalf("values files of the old chart: %v, %v", files, err)
	}
	for _, values := range append(files, "") {
		var args []string
		if values != "" {
			args = []string{"-f", values}
		}
		out, err := helm(t, append([]string{"template", "t", before, "--namespace", "data"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		want, got := parse(t, out), mustRender(t, append(args, "--set", "test.enabled=false")...)
		if len(want) != len(got) {
			t.Errorf("%s: %d objects, %d before", filepath.Base(values), len(got), len(want))
		}
		for _, w := range want {
			g := find(got, w.kind)
			if w.kind == "PodDisruptionBudget" { // asked for: a bridge that is not ready does not hold a drain up
				delete(at(g, "spec").(map[string]any), "unhealthyPodEvictionPolicy")
			}
			if w.kind == "ServiceMonitor" { // without it the operator's label endpoint took the place of the proxies'
				delete(at(g, "spec", "endpoints", 0).(map[string]any), "honorLabels")
			}
			if !reflect.DeepEqual(w.fields, g) {
				wantText, _ := yaml.Marshal(w.fields)
				gotText, _ := yaml.Marshal(g)
				t.Errorf("%s: %s %s differs:\n--- before\n%s--- now\n%s", filepath.Base(values), w.kind, w.name, wantText, gotText)
			}
		}
	}
}

// TestFilesOfOtherFolders: a chart can only read files of its own folder, so it has copies, which must not drift.
func TestFilesOfOtherFolders(t *testing.T) {
	for _, source := range []string{"../alerts/inlong-bridge.rules.yaml", "../grafana/inlong-bridge.json"} {
		want, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(chart, "files", filepath.Base(source))
		if *update {
			if err := os.WriteFile(copied, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(copied)
		if err != nil || !bytes.Equal(want, got) {
			t.Errorf("%s is not %s (%v); hint: go test ./deploy/helm -update", copied, source, err)
		}
	}
}

func TestPrometheusRuleIsTheAlertsAsTheyStand(t *testing.T) {
	text, err := os.ReadFile("../alerts/inlong-bridge.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := parse(t, string(text))[0].fields
	got := find(mustRender(t, "--set", "prometheusRule.enabled=true"), "PrometheusRule")
	if !reflect.DeepEqual(want["groups"], at(got, "spec", "groups")) {
		t.Errorf("the groups of the PrometheusRule differ from deploy/alerts")
	}

	// One alert that compares with a number, whichever they are.
	var name, expr string
	compare := regexp.MustCompile(`[<>]=? *\d[\d.]*`)
	for i := 0; at(want, "groups", 0, "rules", i) != nil; i++ {
		rule := at(want, "groups", 0, "rules", i)
		if e, _ := at(rule, "expr").(string); compare.MatchString(e) {
			name, expr = at(rule, "alert").(string), e
			break
		}
	}
	prefix := "prometheusRule.alerts." + name
	got = find(mustRender(t, "--set", "prometheusRule.enabled=true,"+prefix+".threshold=40000000,"+prefix+".for=7m,"+prefix+".severity=page,prometheusRule.ruleLabels.team=data"), "PrometheusRule")
	for i := 0; at(got, "spec", "groups", 0, "rules", i) != nil; i++ {
		rule := at(got, "spec", "groups", 0, "rules", i)
		if at(rule, "labels", "team") != "data" {
			t.Errorf("%v has no label of ruleLabels", at(rule, "alert"))
		}
		if at(rule, "alert") != name {
			continue
		}
		at0 := compare.FindStringIndex(expr)
		operator := strings.TrimRight(expr[at0[0]:at0[1]], " 0123456789.")
		wantExpr := expr[:at0[0]] + operator + " 40000000" + expr[at0[1]:]
		if at(rule, "expr") != wantExpr || at(rule, "for") != "7m" || at(rule, "labels", "severity") != "page" {
			t.Errorf("%s is %v, want the expression %s, for 7m, severity page", name, rule, wantExpr)
		}
	}
	got = find(mustRender(t, "--set", "prometheusRule.enabled=true,"+prefix+".enabled=false"), "PrometheusRule")
	out, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "alert: "+name+"\n") {
		t.Errorf("%s is there although it is switched off", name)
	}
}

func TestPasswordsReachPodsThatNeedThem(t *testing.T) {
	objects := mustRender(t, "--set", "configIn=Secret")
	if got := at(find(objects, "Deployment"), "spec", "template", "spec", "volumes", 0, "secret", "secretName"); got != "t-inlong-bridge" {
		t.Errorf("the configuration is mounted from the Secret %v", got)
	}
}

func TestStatefulSetMembersAreStatic(t *testing.T) {
	objects := mustRender(t, "--set", "workload.kind=StatefulSet,replicas=3")
	set := find(objects, "StatefulSet")
	if find(objects, "Deployment") != nil || at(set, "spec", "podManagementPolicy") != "Parallel" || at(set, "spec", "serviceName") != "t-inlong-bridge" {
		t.Errorf("StatefulSet: %v", set["spec"])
	}
	text, _ := at(find(objects, "ConfigMap"), "data", "bridge.yaml").(string)
	if !strings.Contains(text, "instance_id: ${POD_NAME}") {
		t.Errorf("no instance_id of the pod's name in\n%s", text)
	}
	objects = mustRender(t, "--set", "workload.kind=StatefulSet", "--set-string", "config.kafka.instance_id=mine-${POD_NAME}")
	if text, _ := at(find(objects, "ConfigMap"), "data", "bridge.yaml").(string); !strings.Contains(text, "instance_id: mine-${POD_NAME}") {
		t.Errorf("an instance_id that is given is not kept:\n%s", text)
	}
}

func TestJobFollowsTheExitCodes(t *testing.T) {
	objects := mustRender(t, "--set", "workload.kind=Job")
	job := find(objects, "Job")
	rules, _ := at(job, "spec", "podFailurePolicy", "rules").([]any)
	want := []any{
		map[string]any{"action": "FailJob", "onExitCodes": map[string]any{"containerName": "bridge", "operator": "In", "values": []any{2, 4, 5}}},
		map[string]any{"action": "Ignore", "onPodConditions": []any{map[string]any{"type": "DisruptionTarget", "status": "True"}}},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("podFailurePolicy: %v, want %v", rules, want)
	}
	if got := at(job, "spec", "template", "spec", "restartPolicy"); got != "Never" {
		t.Errorf("restartPolicy %v: a podFailurePolicy needs Never", got)
	}
	// A Job's pod cannot be changed: another configuration is another Job, and only then.
	name := at(job, "metadata", "name")
	if other := at(find(mustRender(t, "--set", "workload.kind=Job,config.pack.linger=5ms"), "Job"), "metadata", "name"); other == name {
		t.Errorf("another configuration gives the same Job %v", other)
	}
	if same := at(find(mustRender(t, "--set", "workload.kind=Job,service.port=81"), "Job"), "metadata", "name"); same != name {
		t.Errorf("the Service's port renames the Job from %v to %v", name, same)
	}
	if got := container(objects)["livenessProbe"]; got != nil {
		t.Errorf("a Job is probed: %v", got)
	}
}

func TestNetworkPolicyKnowsThePorts(t *testing.T) {
	objects := mustRender(t, "-f", filepath.Join(chart, "ci", "queue-values.yaml"), "--set", "networkPolicy.enabled=true")
	var ports []int
	for i := 0; at(find(objects, "NetworkPolicy"), "spec", "egress", i) != nil; i++ {
		for j := 0; at(find(objects, "NetworkPolicy"), "spec", "egress", i, "ports", j) != nil; j++ {
			port, _ := at(find(objects, "NetworkPolicy"), "spec", "egress", i, "ports", j, "port").(int)
			ports = append(ports, port)
		}
	}
	if want := []int{53, 53, 9093, 8083, 46801, 9092}; !slices.Equal(ports, want) {
		t.Errorf("egress to %v, want %v", ports, want)
	}
}

func TestKedaFollowsTheTopics(t *testing.T) {
	objects := mustRender(t, "--set", "keda.enabled=true,keda.metadata.sasl=scram_sha512,keda.metadata.lagThreshold=5", "--set-json", `keda.triggerAuthentication={"secretTargetRef":[{"parameter":"username","name":"s","key":"u"}]}`)
	got := at(find(objects, "ScaledObject"), "spec", "triggers")
	want := []any{map[string]any{
		"type": "kafka",
		"metadata": map[string]any{"bootstrapServers": "kafka:9092", "consumerGroup": "inlong-bridge", "topic": "orders", "lagThreshold": "5",
			"offsetResetPolicy": "earliest", "limitToPartitionsWithLag": "true", "excludePersistentLag": "true", "sasl": "scram_sha512"},
		"authenticationRef": map[string]any{"name": "t-inlong-bridge"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("triggers:\n%v, want\n%v", got, want)
	}
	if replicas := at(find(objects, "Deployment"), "spec", "replicas"); replicas != nil {
		t.Errorf("the Deployment has %v replicas beside the autoscaler's", replicas)
	}
}

// TestSchemaKnowsEveryValue: a key of values.yaml that the schema lacks is refused, so it cannot even be given; one that only
// the schema has is not documented.
func TestSchemaKnowsEveryValue(t *testing.T) {
	read := func(name string) map[string]any {
		text, err := os.ReadFile(filepath.Join(chart, name))
		if err != nil {
			t.Fatal(err)
		}
		return parse(t, string(text))[0].fields
	}
	values, schema := read("values.yaml"), read("values.schema.json")
	definitions, _ := schema["definitions"].(map[string]any)
	free := []string{"config", "global"} // the bridge's own, and Helm's
	var compare func(where string, values, schema map[string]any)
	compare = func(where string, values, schema map[string]any) {
		if ref, ok := schema["$ref"].(string); ok {
			schema, _ = definitions[strings.TrimPrefix(ref, "#/definitions/")].(map[string]any)
		}
		properties, _ := schema["properties"].(map[string]any)
		if schema["additionalProperties"] != false {
			return
		}
		for key := range properties {
			if _, ok := values[key]; !ok && !slices.Contains(free, key) && !strings.Contains(where, ".probes.") {
				t.Errorf("values.yaml has no %s.%s, the schema has", where, key)
			}
		}
		for key, value := range values {
			inner, ok := properties[key].(map[string]any)
			if !ok {
				t.Errorf("the schema has no %s.%s, values.yaml has", where, key)
				continue
			}
			if m, ok := value.(map[string]any); ok && !slices.Contains(free, key) {
				compare(where+"."+key, m, inner)
			}
		}
	}
	compare("", values, schema)
}

func TestReadmeIsMadeFromValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	head, err := os.ReadFile("README.head.md")
	if err != nil {
		t.Fatal(err)
	}
	want := string(head) + "\n" + valuesTable(t, text)
	name := filepath.Join(chart, "README.md")
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) || string(got) != want {
		t.Errorf("%s is not what values.yaml says; hint: go test ./deploy/helm -update", name)
	}
}

// valuesTable lists each key of values.yaml with its default and the comment above it.
func valuesTable(t *testing.T, values []byte) string {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("## Values\n\n| key | default | description |\n|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", "\\|") }
	var walk func(path string, m *yaml.Node)
	walk = func(path string, m *yaml.Node) {
		for i := 0; i+1 < len(m.Content); i += 2 {
			key, value := m.Content[i], m.Content[i+1]
			comment := key.HeadComment
			if i == 0 && path == "" {
				comment = comment[strings.LastIndex(comment, "\n\n")+1:] // the first paragraph is about the file
			}
			comment = strings.TrimSpace(regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(comment, ""))
			name := path + key.Value
			nested := value.Kind == yaml.MappingNode && len(value.Content) > 0 && value.Style&yaml.FlowStyle == 0
			if nested && name != "config" {
				fmt.Fprintf(&b, "| `%s` | | %s |\n", name, cell(comment))
				walk(name+".", value)
				continue
			}
			def := "see values.yaml"
			if name != "config" && value.Line > 0 {
				inline := *value
				flow(&inline)
				out, err := yaml.Marshal(&inline)
				if err != nil {
					t.Fatal(err)
				}
				if def = strings.TrimSpace(string(out)); len(def) > 70 {
					def = "see values.yaml"
				}
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", name, cell(def), cell(comment))
		}
	}
	walk("", document.Content[0])
	return b.String()
}

// flow writes a node in one line.
func flow(n *yaml.Node) {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style |= yaml.FlowStyle
	}
	for _, c := range n.Content {
		flow(c)
	}
}
