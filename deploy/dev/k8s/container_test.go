package k8s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A container is the rendered command of a pod, as a local process.
type container struct {
	namespace string
	pod       string
	listens   bool // on the admin port
	started   time.Time
	root      string // its root directory
	stdout    string // file
	stderr    string
	cmd       *exec.Cmd
	ready     atomic.Bool

	stopping sync.Once
	done     chan struct{} // closed when it has ended; code is valid then
	code     int
	killed   atomic.Bool // its grace period was too short
}

func (c *container) ended() (code int, over bool) {
	select {
	case <-c.done:
		return c.code, true
	default:
		return 0, false
	}
}

func (c *container) isReady() bool { return c.ready.Load() }

// terminate asks the process to end, and kills it when the grace period is over.
func (c *container) terminate(grace time.Duration) {
	c.stopping.Do(func() {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		go func() {
			select {
			case <-c.done:
			case <-time.After(grace):
				c.killed.Store(true)
				_ = c.cmd.Process.Kill()
			}
		}()
	})
}

// errBusy is a port that the process of another pod listens on. Here all pods share the machine's network.
var errBusy = errors.New("the port is in use until another pod ends")

// execute starts the bridge's container of the pod.
func (k *kubelet) execute(ctx context.Context, pod *corev1.Pod) (*container, error) {
	spec := pod.Spec.Containers[0]
	if spec.ReadinessProbe != nil && k.listens(pod.Namespace) {
		return nil, errBusy
	}
	dir := filepath.Join(k.dir, "pods", pod.Namespace+"-"+pod.Name+"-"+string(pod.UID)[:8])
	c := &container{namespace: pod.Namespace, listens: spec.ReadinessProbe != nil, pod: pod.Name, started: time.Now(), root: filepath.Join(dir, "root"), stdout: filepath.Join(dir, "stdout"), stderr: filepath.Join(dir, "stderr"), done: make(chan struct{})}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := c.image(up.bridge); err != nil {
		return nil, err
	}
	for _, m := range spec.VolumeMounts {
		for _, v := range pod.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			at := filepath.Join(c.root, m.MountPath)
			if err := os.MkdirAll(at, 0o755); err != nil {
				return nil, err
			}
			if err := k.volume(ctx, pod, v, at); err != nil {
				return nil, err
			}
		}
	}
	env, err := k.env(ctx, pod, spec)
	if err != nil {
		return nil, err
	}
	args := append(append([]string{}, spec.Command...), spec.Args...)
	sc := pod.Spec.SecurityContext
	if sc == nil || sc.RunAsUser == nil || sc.RunAsGroup == nil || sc.FSGroup == nil {
		return nil, errors.New("the pod does not say as whom it runs")
	}
	// The command is found in the root directory that the process will have.
	c.cmd = &exec.Cmd{Path: args[0], Args: args, Env: env, Dir: "/",
		SysProcAttr: asPod(c.root, uint32(*sc.RunAsUser), uint32(*sc.RunAsGroup), []uint32{uint32(*sc.FSGroup)})}
	stdout, err := os.Create(c.stdout)
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := os.Create(c.stderr)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	key := pod.Namespace + "/" + pod.Name
	go func() {
		_ = c.cmd.Wait()
		c.code = c.cmd.ProcessState.ExitCode()
		if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			c.code = 128 + int(status.Signal())
		}
		close(c.done)
		k.queue.Add(key)
	}()
	if spec.ReadinessProbe != nil {
		go c.probe(spec, func() { k.queue.Add(key) })
	}
	k.mu.Lock()
	k.processes[string(pod.UID)] = c
	k.mu.Unlock()
	return c, nil
}

// listens says whether a pod of the namespace listens on the admin port.
func (k *kubelet) listens(namespace string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.processes {
		if _, over := c.ended(); c.namespace == namespace && c.listens && !over {
			return true
		}
	}
	return false
}

// image lays out the files of the image: the program, and the directories that its user may write.
func (c *container) image(program string) error {
	for _, dir := range []string{"", "tmp", "var/cache/inlong-bridge"} {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil {
			return err
		}
	}
	// Another user than ours walks down to it.
	for dir := c.root; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(c.root, "inlong-bridge"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return errors.Join(err, to.Close())
	}
	return to.Close()
}

// env is the environment of a container.
func (k *kubelet) env(ctx context.Context, pod *corev1.Pod, spec corev1.Container) ([]string, error) {
	var env []string
	for _, from := range spec.EnvFrom {
		if from.SecretRef == nil {
			return nil, errors.New("envFrom names something else than a Secret")
		}
		s, err := k.client.CoreV1().Secrets(pod.Namespace).Get(ctx, from.SecretRef.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for name, value := range s.Data {
			env = append(env, from.Prefix+name+"="+string(value))
		}
	}
	for _, e := range spec.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			switch {
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
				value = pod.Name
			case from.SecretKeyRef != nil:
				s, err := k.client.CoreV1().Secrets(pod.Namespace).Get(ctx, from.SecretKeyRef.Name, metav1.GetOptions{})
				if err != nil {
					return nil, err
				}
				value = string(s.Data[from.SecretKeyRef.Key])
			default:
				return nil, fmt.Errorf("the environment variable %s comes from something that is not run here", e.Name)
			}
		}
		env = append(env, e.Name+"="+value)
	}
	return env, nil
}

// probe asks the rendered readiness probe until the process ends, and says when the answer changes.
func (c *container) probe(spec corev1.Container, changed func()) {
	p := spec.ReadinessProbe
	port := p.HTTPGet.Port.IntValue()
	for _, named := range spec.Ports {
		if named.Name == p.HTTPGet.Port.String() {
			port = int(named.ContainerPort)
		}
	}
	client := &http.Client{Timeout: time.Duration(p.TimeoutSeconds) * time.Second}
	url := fmt.Sprintf("http://127.0.0.1:%d%s", port, p.HTTPGet.Path)
	for failures := 0; ; {
		ok := false
		if response, err := client.Get(url); err == nil { //nolint:noctx // the client has a time-out
			_ = response.Body.Close()
			ok = response.StatusCode >= 200 && response.StatusCode < 400
		}
		failures++
		if ok {
			failures = 0
		}
		if ok != c.ready.Load() && (ok || failures >= int(p.FailureThreshold)) {
			c.ready.Store(ok)
			changed()
		}
		select {
		case <-c.done:
			return
		case <-time.After(time.Duration(p.PeriodSeconds) * time.Second):
		}
	}
}
