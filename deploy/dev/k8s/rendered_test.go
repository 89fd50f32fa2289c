package k8s

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A broker is an Apache Kafka with two devproxies before it, which deploy/dev/e2e starts.
type broker struct {
	*space
	addr    string
	proxies string
	client  *kgo.Client
	admin   *kadm.Client
}

// TestRenderedCommandsRun installs the chart and runs what it renders: the command with its configuration, mounts, environment,
// user and groups, against Apache Kafka.
func TestRenderedCommandsRun(t *testing.T) {
	t.Parallel()
	if up.bridge == "" {
		t.Fatal("BRIDGE does not name the program; make k8s builds it")
	}
	canRun(t)
	k := startKafka(t)
	t.Run("Job", func(t *testing.T) { k.on(t).job() })
	t.Run("Deployment", func(t *testing.T) { k.on(t).deployment() })
	t.Run("StatefulSet", func(t *testing.T) { k.on(t).statefulSet() })
}

// canRun skips the test where a process cannot be given another root directory.
func canRun(t *testing.T) {
	t.Helper()
	c := &container{root: t.TempDir()}
	if err := c.image(up.bridge); err != nil {
		t.Fatal(err)
	}
	attr := asPod(c.root, 65532, 65532, []uint32{65532})
	if attr == nil {
		skipped(t, "running a pod's command takes Linux")
	}
	cmd := exec.CommandContext(t.Context(), "/inlong-bridge", "version")
	cmd.Dir, cmd.SysProcAttr = "/", attr
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		skipped(t, "neither chroot nor user namespaces are allowed here")
	}
	if err != nil {
		t.Fatalf("inlong-bridge version in a root directory of its own: %v: %s", err, out)
	}
}

func skipped(t *testing.T, why string) {
	t.Helper()
	fmt.Printf("\nSKIPPED k8s %s: %s\n", t.Name(), why)
	t.Skip(why)
}

// startKafka starts Apache Kafka and the proxies, unless they run already.
func startKafka(t *testing.T) *broker {
	t.Helper()
	const file = "../e2e/out/up.env"
	_, err := os.Stat(file)
	ours := err != nil
	out, err := exec.CommandContext(t.Context(), "../e2e/up.sh", "up").CombinedOutput()
	if err != nil {
		if _, why, ok := strings.Cut(string(out), "E2E_REQUIRED is set: "); ok {
			why, _, _ = strings.Cut(why, "\n")
			skipped(t, "no Apache Kafka: "+why)
		}
		t.Fatalf("starting Apache Kafka: %v\n%s", err, out)
	}
	if ours {
		t.Cleanup(func() {
			if out, err := exec.Command("../e2e/up.sh", "down").CombinedOutput(); err != nil { //nolint:noctx // the test's context has ended
				t.Errorf("stopping Apache Kafka: %v\n%s", err, out)
			}
		})
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	k := &broker{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "=")
		switch value = strings.Trim(value, "'"); name {
		case "E2E_KAFKA_BROKERS":
			k.addr = value
		case "E2E_DATAPROXY":
			k.proxies = value
		}
	}
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.RecordPartitioner(kgo.RoundRobinPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.client.Close)
	k.admin = kadm.NewClient(k.client)
	return k
}

// on is k for a test with a namespace of its own, whose pods run.
func (k *broker) on(t *testing.T) *broker {
	t.Helper()
	other := *k
	other.space = newSpace(t)
	other.kubelet.follow(other.ns, plan{execute: true})
	t.Cleanup(func() {
		if t.Failed() {
			for _, c := range other.ran() {
				text, _ := os.ReadFile(c.stderr)
				t.Logf("%s: %s", c.pod, text[max(0, len(text)-4000):])
			}
		}
	})
	return &other
}

// topic is a name that no run before has used, as a Kafka that stays may have it.
func (k *broker) topic(name string) string {
	return fmt.Sprintf("k8s-%s-%d", name, time.Now().UnixNano())
}

// values are the values of a bridge of a topic, and the Secret that they name.
func (k *broker) values(topic, more string) string {
	k.Helper()
	ports, err := freePorts(1)
	if err != nil {
		k.Fatal(err)
	}
	if _, err := k.admin.CreateTopic(k.Context(), 4, 1, nil, topic); err != nil {
		k.Fatal(err)
	}
	k.create(fmt.Sprintf("{apiVersion: v1, kind: Secret, metadata: {name: kafka}, stringData: {BROKERS: '%s'}}", k.addr))
	proxies, _ := json.Marshal(strings.Split(k.proxies, ","))
	return k.space.values(fmt.Sprintf(`
image: {pullPolicy: Never}
minReadySeconds: 0
admin: {port: %d}
extraEnvFrom: [{secretRef: {name: kafka}}]
extraVolumes: [{name: scratch, emptyDir: {}}]
extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
config:
  kafka: {brokers: ['${BROKERS}'], group: %s, start: earliest, commit_interval: 200ms}
  inlong: {manager: null, proxies: %s}
  routes: [{topics: [%s], group: e2e, stream: orders}]
  queue: {kafka: [{brokers: ['${BROKERS}'], topic: 'queue.{group}.{stream}'}]}
  delivery: {confirm: queue}
%s
`, ports[0], topic, proxies, topic, more))
}

// produce writes n records.
func (k *broker) produce(topic string, n int) {
	k.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "record %d of %s", i, topic)})
	}
	if err := k.client.ProduceSync(k.Context(), records...).FirstErr(); err != nil {
		k.Fatal(err)
	}
}

// committed waits until the group has committed n records of the topic.
func (k *broker) committed(topic string, n int64) {
	k.Helper()
	k.eventually(2*time.Minute, func() error {
		offsets, err := k.admin.FetchOffsets(k.Context(), topic)
		if err != nil {
			return err
		}
		var sum int64
		for _, p := range offsets[topic] {
			sum += max(0, p.At)
		}
		if sum > n {
			return permanent{fmt.Errorf("%d records are committed, of %d", sum, n)}
		}
		if sum < n {
			return fmt.Errorf("%d of %d records are committed", sum, n)
		}
		return nil
	})
}

// ran are the processes of the test's pods, by their start.
func (k *broker) ran() (all []*container) {
	k.kubelet.mu.Lock()
	defer k.kubelet.mu.Unlock()
	for _, c := range k.kubelet.processes {
		if c.namespace == k.ns {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *container) int { return a.started.Compare(b.started) })
	return all
}

// newest is the newest process of a pod of the workload, not of helm test.
func (k *broker) newest() *container {
	k.Helper()
	all := slices.DeleteFunc(k.ran(), func(c *container) bool { return strings.HasSuffix(c.pod, "-check") })
	if len(all) == 0 {
		k.Fatal("no pod ran")
	}
	return all[len(all)-1]
}

// job migrates a topic.
func (k *broker) job() {
	const n = 2000
	topic := k.topic("job")
	values := k.values(topic, "workload: {kind: Job}")
	k.produce(topic, n)
	k.mustHelm("install", "bridge", up.chart, "-f", values, "--wait", "--wait-for-jobs", "--timeout", "3m")
	k.mustHelm("test", "bridge")
	text, err := os.ReadFile(k.newest().stdout)
	if err != nil {
		k.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var verdict struct {
		Result string
		Sums   struct{ Final int64 }
	}
	if err := json.Unmarshal(lines[len(lines)-1], &verdict); err != nil || verdict.Result != "PASS" || verdict.Sums.Final != n {
		k.Errorf("the last line of stdout is %s (%v), want a PASS of %d records", lines[len(lines)-1], err, n)
	}
	k.committed(topic, n)
	k.mustHelm("uninstall", "bridge", "--wait")
}

// deployment runs a bridge through an upgrade that replaces its pod.
func (k *broker) deployment() {
	const n = 2000
	topic := k.topic("deployment")
	values := k.values(topic, "")
	k.produce(topic, n)
	k.mustHelm("install", "bridge", up.chart, "-f", values)
	name := k.space.deployment("bridge").Name
	k.settled("Deployment", name, 1) // by its own /readyz
	k.mustHelm("test", "bridge")
	k.committed(topic, n)
	first := k.newest()

	k.produce(topic, n)
	k.mustHelm("upgrade", "bridge", up.chart, "-f", values, "--set", "config.pack.linger=5ms")
	k.settled("Deployment", name, 1)
	k.drained(first)
	second := k.newest()
	if second == first {
		k.Fatal("the upgrade did not replace the pod")
	}
	k.committed(topic, 2*n)
	k.mustHelm("uninstall", "bridge", "--wait")
	k.drained(second)
}

// drained waits for the end of a process that was told to end: with 0, and within the rendered grace period.
func (k *broker) drained(c *container) {
	k.Helper()
	k.eventually(2*time.Minute, func() error {
		if _, over := c.ended(); !over {
			return fmt.Errorf("%s still runs", c.pod)
		}
		return nil
	})
	if c.killed.Load() || c.code != 0 {
		k.Errorf("%s ended with %d, killed at the end of its grace period: %v; want 0 and false", c.pod, c.code, c.killed.Load())
	}
}

// statefulSet kills a static member, whose successor takes its place in the group at once.
func (k *broker) statefulSet() {
	const n = 2000
	topic := k.topic("statefulset")
	values := k.values(topic, "workload: {kind: StatefulSet}")
	k.produce(topic, n)
	k.mustHelm("install", "bridge", up.chart, "-f", values)
	k.settled("StatefulSet", "bridge-inlong-bridge", 1)
	k.committed(topic, n)
	k.member(topic, "bridge-inlong-bridge-0")

	first := k.newest()
	uid := k.uids(variant{})
	if err := first.cmd.Process.Kill(); err != nil {
		k.Fatal(err)
	}
	k.produce(topic, n)
	k.eventually(2*time.Minute, func() error {
		if now := k.uids(variant{}); len(now) != 1 || slices.Equal(now, uid) {
			return errors.New("the killed pod has no successor")
		}
		return nil
	})
	k.settled("StatefulSet", "bridge-inlong-bridge", 1)
	k.committed(topic, 2*n)
	// A dynamic member that was killed is in the group for kafka.session_timeout, beside its successor.
	k.member(topic, "bridge-inlong-bridge-0")
	k.mustHelm("uninstall", "bridge", "--wait")
	k.drained(k.newest())
}

// member fails unless the group has this one member.
func (k *broker) member(group, instance string) {
	k.Helper()
	groups, err := k.admin.DescribeGroups(context.Background(), group)
	if err != nil {
		k.Fatal(err)
	}
	var members []string
	for _, m := range groups[group].Members {
		if m.InstanceID == nil {
			members = append(members, "a dynamic member")
		} else {
			members = append(members, *m.InstanceID)
		}
	}
	if !slices.Equal(members, []string{instance}) {
		k.Errorf("members of the group: %v, want %s", members, instance)
	}
}
