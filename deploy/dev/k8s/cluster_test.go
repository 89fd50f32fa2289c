package k8s

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// A cluster is a control plane and the stand-in for its kubelets.
type cluster struct {
	dir        string
	kubeconfig string
	helmPath   string
	chart      string // the packed chart
	bridge     string // the program; empty where the tests that run it are skipped

	client  kubernetes.Interface
	objects dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	kubelet *kubelet

	stop       context.CancelFunc
	watchers   sync.WaitGroup
	components []*component // in the order of their start
}

// A component is a process of the control plane.
type component struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// up is the cluster that the tests share; each test has namespaces of its own in it.
var up *cluster

func TestMain(m *testing.M) {
	// The components die with the thread that started them, should the tests be killed.
	runtime.LockOSThread()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	c := &cluster{helmPath: os.Getenv("HELM"), bridge: os.Getenv("BRIDGE")}
	program := os.Getenv("K8S_CONTROL_PLANE")
	if program == "" || c.helmPath == "" {
		fmt.Println("SKIPPED k8s: K8S_CONTROL_PLANE and HELM do not name the control plane and Helm; make k8s does")
		return 0
	}
	began := time.Now()
	err := c.start(program)
	defer func() {
		c.end()
		if code != 0 {
			fmt.Printf("logs of the control plane: %s\n", c.dir)
		} else if os.Getenv("K8S_KEEP") == "" {
			_ = os.RemoveAll(c.dir)
		}
	}()
	if err != nil {
		fmt.Println("starting the control plane:", err)
		return 1
	}
	if c.chart, err = c.pack(chart); err != nil {
		fmt.Println("packing the chart:", err)
		return 1
	}
	fmt.Printf("control plane up after %v\n", time.Since(began).Round(100*time.Millisecond))
	up = c
	return m.Run()
}

// start brings up etcd, the API server, the stand-in for the kubelets, the controllers and the scheduler.
func (c *cluster) start(program string) (err error) {
	if c.dir, err = os.MkdirTemp("", "inlong-bridge-k8s-"); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	keyFile := c.path("service-account.key")
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return err
	}
	secret := make([]byte, 16)
	_, _ = rand.Read(secret) // it never fails
	token := hex.EncodeToString(secret)
	if err := os.WriteFile(c.path("tokens.csv"), []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}

	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	err = c.command(program, "etcd", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
	if err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	err = c.command(program, "kube-apiserver", "--etcd-servers="+etcd, "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[2]), "--cert-dir="+c.path("certs"), "--endpoint-reconciler-type=none",
		"--authorization-mode=RBAC", "--token-auth-file="+c.path("tokens.csv"), "--service-cluster-ip-range=10.0.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+keyFile,
		"--service-account-signing-key-file="+keyFile)
	if err != nil {
		return err
	}

	config := &rest.Config{Host: server, BearerToken: token, QPS: 200, Burst: 400, WarningHandler: rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.path("certs/apiserver.crt")}}
	if err := within(2*time.Minute, func() error { return c.answers(config) }); err != nil {
		return err
	}
	c.kubeconfig = c.path("kubeconfig")
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": server, "certificate-authority": config.CAFile}}},
		"users":    []any{map[string]any{"name": "u", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.kubeconfig, text, 0o600); err != nil {
		return err
	}

	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	known, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(known))

	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.kubelet = newKubelet(c.client, c.dir)
	if err := c.kubelet.register(ctx); err != nil {
		return err
	}
	c.watchers.Go(func() { c.kubelet.run(ctx) })

	err = c.command(program, "kube-controller-manager", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file="+keyFile, "--root-ca-file="+config.CAFile, "--kube-api-qps=200", "--kube-api-burst=400")
	if err != nil {
		return err
	}
	err = c.command(program, "kube-scheduler", "--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=200", "--kube-api-burst=400")
	if err != nil {
		return err
	}
	return within(2*time.Minute, c.ready)
}

// pack makes the archive of a chart, as it is published.
func (c *cluster) pack(dir string) (string, error) {
	into, err := os.MkdirTemp(c.dir, "chart-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(c.helmPath, "package", dir, "--destination", into).CombinedOutput() //nolint:noctx // it reads and writes files
	if err != nil {
		return "", fmt.Errorf("helm package %s: %w: %s", dir, err, out)
	}
	archives, err := filepath.Glob(filepath.Join(into, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return "", fmt.Errorf("archives in %s: %v, %w", into, archives, err)
	}
	return archives[0], nil
}

// answers says whether the API server is ready to work.
func (c *cluster) answers(config *rest.Config) error {
	if err := c.alive(); err != nil {
		return permanent{err}
	}
	transport, err := rest.HTTPClientFor(rest.CopyConfig(config))
	if err != nil {
		return err // its certificate is not there yet
	}
	transport.Timeout = 5 * time.Second
	request, err := http.NewRequest(http.MethodGet, config.Host+"/readyz", nil) //nolint:noctx // the client has a time-out
	if err != nil {
		return err
	}
	response, err := transport.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", response.Status)
	}
	return nil
}

// ready says whether controllers and scheduler work: both nodes take pods, and namespaces get their service account.
func (c *cluster) ready() error {
	if err := c.alive(); err != nil {
		return permanent{err}
	}
	nodes, err := c.client.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if len(n.Spec.Taints) > 0 {
			return fmt.Errorf("node %s has the taint %s", n.Name, n.Spec.Taints[0].Key)
		}
	}
	_, err = c.client.CoreV1().ServiceAccounts("default").Get(context.Background(), "default", metav1.GetOptions{})
	return err
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// command starts a component, whose output goes to a file.
func (c *cluster) command(program, name string, args ...string) error {
	log, err := os.Create(c.path(name + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, append([]string{name}, args...)...) //nolint:noctx // end stops it, in order
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = diesWithUs()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	started := &component{name, cmd, make(chan struct{})}
	c.components = append(c.components, started)
	go func() {
		_ = cmd.Wait() // its log says more
		close(started.done)
	}()
	return nil
}

// alive says which component has ended, with the end of its log.
func (c *cluster) alive() error {
	for _, p := range c.components {
		select {
		case <-p.done:
			text, _ := os.ReadFile(c.path(p.name + ".log"))
			return fmt.Errorf("%s has ended; its log ends with\n%s", p.name, text[max(0, len(text)-2000):])
		default:
		}
	}
	return nil
}

func (c *cluster) end() {
	if c.stop != nil {
		c.stop()
		c.watchers.Wait()
	}
	for i := len(c.components) - 1; i >= 0; i-- {
		_ = c.components[i].cmd.Process.Kill() // nothing of theirs is kept
		<-c.components[i].done
	}
}

// permanent is an error that waiting does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// within asks until ok gives nil, for limit at most, and returns the last error.
func within(limit time.Duration, ok func() error) error {
	end := time.Now().Add(limit)
	for {
		err := ok()
		if err == nil || errors.As(err, &permanent{}) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %w", limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// freePorts are ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all of them are known, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// A space is a test with a namespace that enforces Pod Security's profile restricted.
type space struct {
	*testing.T
	*cluster
	ns string
}

// newSpace makes the namespace. It is removed with the test.
func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{T: t, cluster: up}
	s.ns = s.namespace()
	t.Cleanup(func() {
		if t.Failed() {
			s.describe()
		}
	})
	return s
}

var numbers struct {
	sync.Mutex
	last int
}

// namespace makes a namespace that enforces the profile restricted.
func (s *space) namespace() string {
	s.Helper()
	numbers.Lock()
	numbers.last++
	name := fmt.Sprintf("test-%d", numbers.last)
	numbers.Unlock()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
		"pod-security.kubernetes.io/warn":    "restricted",
	}}}
	if _, err := s.client.CoreV1().Namespaces().Create(s.Context(), ns, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	// Pods cannot be made before there is the service account.
	s.eventually(time.Minute, func() error {
		_, err := s.client.CoreV1().ServiceAccounts(name).Get(s.Context(), "default", metav1.GetOptions{})
		return err
	})
	return name
}

func (s *space) eventually(limit time.Duration, ok func() error) {
	s.Helper()
	if err := within(limit, ok); err != nil {
		s.Fatal(err)
	}
}

// describe logs what a failed test left: its pods, and the events that say what went wrong.
func (s *space) describe() {
	ctx := context.Background() // the test's own has ended
	pods, err := s.client.CoreV1().Pods(s.ns).List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, p := range pods.Items {
			s.Logf("pod %s: %s on %q, ready %v, %d of its conditions: %v", p.Name, p.Status.Phase, p.Spec.NodeName, isReady(&p), len(p.Status.Conditions), p.Status.Conditions)
		}
	}
	events, err := s.client.CoreV1().Events(s.ns).List(ctx, metav1.ListOptions{})
	if err == nil {
		for _, e := range events.Items {
			if e.Type != corev1.EventTypeNormal {
				s.Logf("event of %s %s: %s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
			}
		}
	}
}

// helm runs Helm in the test's namespace.
func (s *space) helm(args ...string) (string, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.helmPath, append(args, "--namespace", s.ns)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "HELM_CACHE_HOME="+s.path("helm"), "HELM_CONFIG_HOME="+s.path("helm"),
		"HELM_DATA_HOME="+s.path("helm"), "HELM_BURST_LIMIT=400", "HELM_QPS=200")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	// Helm prints the API server's warnings, of Pod Security for instance.
	if text := errs.String(); strings.Contains(strings.ToLower(text), "warning") {
		return out.String(), fmt.Errorf("helm %s: the API server warns: %s", strings.Join(args, " "), strings.TrimSpace(text))
	}
	return out.String(), nil
}

func (s *space) mustHelm(args ...string) string {
	s.Helper()
	out, err := s.helm(args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// values writes a values file.
func (s *space) values(text string) string {
	s.Helper()
	// Not below a directory that carries the test's name: Helm splits paths at commas.
	f, err := os.CreateTemp(s.dir, "values-*.yaml")
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		s.Fatal(err)
	}
	return f.Name()
}

// create makes the objects of a YAML text.
func (s *space) create(text string) {
	s.Helper()
	for _, o := range s.parse(text) {
		if o.GetNamespace() == "" {
			o.SetNamespace(s.ns)
		}
		resource, err := s.resource(o)
		if err != nil {
			s.Fatal(err)
		}
		_, err = resource.Create(s.Context(), o, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			s.Fatalf("creating %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// parse reads the objects of a YAML text.
func (s *space) parse(text string) (objects []*unstructured.Unstructured) {
	s.Helper()
	for part := range strings.SplitSeq("\n"+text, "\n---") {
		var fields map[string]any
		if err := yaml.Unmarshal([]byte(part), &fields); err != nil {
			s.Fatalf("not YAML: %v\n%s", err, part)
		}
		if fields != nil {
			// Through JSON once more, because unstructured objects hold only JSON's types.
			o := &unstructured.Unstructured{}
			b, err := json.Marshal(fields)
			if err == nil {
				err = o.UnmarshalJSON(b)
			}
			if err != nil {
				s.Fatalf("not an object: %v\n%s", err, part)
			}
			objects = append(objects, o)
		}
	}
	return objects
}

// resource is where objects of this kind and namespace are.
func (c *cluster) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) { // a definition that came since
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.objects.Resource(mapping.Resource), nil
	}
	return c.objects.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
}

// get reads an object of the test's namespace.
func (s *space) get(apiVersion, kind, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.FromAPIVersionAndKind(apiVersion, kind))
	o.SetNamespace(s.ns)
	resource, err := s.resource(o)
	if err != nil {
		return nil, err
	}
	return resource.Get(s.Context(), name, metav1.GetOptions{})
}

// validate has the API server check a rendered object by all that it knows, without storing anything: an unknown field, a field
// given twice or a wrong value is an error.
func (s *space) validate(o *unstructured.Unstructured) error {
	o = o.DeepCopy()
	if o.GetNamespace() == "" {
		o.SetNamespace(s.ns)
	}
	resource, err := s.resource(o)
	if err != nil {
		return err
	}
	b, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	_, err = resource.Patch(s.Context(), o.GetName(), types.ApplyPatchType, b, metav1.PatchOptions{
		FieldManager: "validate", Force: &force, DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// left lists the objects of a namespace that nobody but a release makes.
func (s *space) left(namespace string) (names []string) {
	s.Helper()
	for _, kind := range []string{"Pod", "Service", "ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim", "apps/Deployment",
		"apps/ReplicaSet", "apps/StatefulSet", "batch/Job", "policy/PodDisruptionBudget", "autoscaling/HorizontalPodAutoscaler",
		"networking.k8s.io/NetworkPolicy", "monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor",
		"monitoring.coreos.com/PrometheusRule", "keda.sh/ScaledObject", "keda.sh/TriggerAuthentication"} {
		group, name, ok := strings.Cut(kind, "/")
		if !ok {
			group, name = "", kind
		}
		mapping, err := s.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: name})
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			s.Fatal(err)
		}
		list, err := s.objects.Resource(mapping.Resource).Namespace(namespace).List(s.Context(), metav1.ListOptions{})
		if err != nil {
			s.Fatal(err)
		}
		for _, o := range list.Items {
			if o.GetName() == "kube-root-ca.crt" || o.GetKind() == "ServiceAccount" && o.GetName() == "default" {
				continue
			}
			names = append(names, o.GetKind()+" "+o.GetName())
		}
	}
	return names
}
