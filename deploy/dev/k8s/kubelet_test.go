package k8s

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// nodes are the nodes that the stand-in registers.
var nodes = []string{"node-a", "node-b"}

// A plan is what becomes of the pods of a namespace.
type plan struct {
	// unready says which of the pods that run are not ready; nil for none.
	unready func(p *corev1.Pod) bool
	// exits are the exit codes of pods that end, in the order in which they are started. Further pods end with the last one.
	exits []int
	// hold keeps pods that would end with an exit code running.
	hold bool
	// check is the exit code of the pod of helm test.
	check int
	// execute runs the bridge's command as a local process; the exit codes are then its own.
	execute bool
}

// kubelet stands in for the kubelets of all nodes: it brings the state of pods to what the plan of their namespace says.
type kubelet struct {
	client kubernetes.Interface
	dir    string
	queue  workqueue.TypedRateLimitingInterface[string]
	pods   cache.SharedIndexInformer

	mu        sync.Mutex
	plans     map[string]plan       // by namespace
	codes     map[string]int        // exit codes that were dealt out, by the pod's UID
	processes map[string]*container // what runs locally or did, by the pod's UID
}

func newKubelet(client kubernetes.Interface, dir string) *kubelet {
	k := &kubelet{client: client, dir: dir, plans: make(map[string]plan), codes: make(map[string]int), processes: make(map[string]*container)}
	k.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 2*time.Second))
	k.pods = informers.NewSharedInformerFactory(client, 0).Core().V1().Pods().Informer()
	_, _ = k.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only after the informer has stopped
		AddFunc:    func(o any) { k.enqueue(o) },
		UpdateFunc: func(_, o any) { k.enqueue(o) },
		DeleteFunc: func(o any) { k.enqueue(o) },
	})
	return k
}

func (k *kubelet) enqueue(o any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o); err == nil {
		k.queue.Add(key)
	}
}

// follow changes the plan of a namespace, which takes effect on the pods that run.
func (k *kubelet) follow(namespace string, p plan) {
	k.mu.Lock()
	k.plans[namespace] = p
	k.mu.Unlock()
	for _, key := range k.pods.GetStore().ListKeys() {
		k.queue.Add(key)
	}
}

// register makes the nodes.
func (k *kubelet) register(ctx context.Context) error {
	for i, name := range nodes {
		size := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"),
			corev1.ResourcePods: resource.MustParse("1000"), corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		}
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
				corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", i), corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			}},
			Status: corev1.NodeStatus{
				Capacity: size, Allocatable: size,
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Ready",
					LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}},
			},
		}
		if _, err := k.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("registering %s: %w", name, err)
		}
	}
	return nil
}

// run works until ctx ends, and then kills what runs locally.
func (k *kubelet) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { k.pods.Run(ctx.Done()) })
	wg.Go(func() { k.heartbeat(ctx) })
	wg.Go(func() { k.balance(ctx) })
	for range 4 {
		wg.Go(func() {
			for {
				key, quit := k.queue.Get()
				if quit {
					return
				}
				if err := k.sync(ctx, key); err != nil && ctx.Err() == nil {
					k.queue.AddRateLimited(key) // mostly a conflict with a newer state
				} else {
					k.queue.Forget(key)
				}
				k.queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	k.queue.ShutDown()
	wg.Wait()
	for _, c := range k.processes {
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// heartbeat renews the nodes' leases; a node without one becomes unreachable.
func (k *kubelet) heartbeat(ctx context.Context) {
	seconds := int32(40)
	for {
		for _, name := range nodes {
			leases := k.client.CoordinationV1().Leases("kube-node-lease")
			now := metav1.NowMicro()
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name},
				Spec: coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now}}
			if old, err := leases.Get(ctx, name, metav1.GetOptions{}); err == nil {
				old.Spec = lease.Spec
				_, _ = leases.Update(ctx, old, metav1.UpdateOptions{}) // once more soon
			} else {
				_, _ = leases.Create(ctx, lease, metav1.CreateOptions{})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// sync brings one pod a step further.
func (k *kubelet) sync(ctx context.Context, key string) error {
	o, exists, err := k.pods.GetStore().GetByKey(key)
	if err != nil || !exists {
		return err
	}
	pod := o.(*corev1.Pod).DeepCopy()
	if !slices.Contains(nodes, pod.Spec.NodeName) {
		return nil
	}
	k.mu.Lock()
	p := k.plans[pod.Namespace]
	process := k.processes[string(pod.UID)]
	k.mu.Unlock()
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed

	if pod.DeletionTimestamp != nil {
		return k.remove(ctx, pod, process, ended)
	}
	if ended {
		return nil
	}
	if pod.Spec.RestartPolicy == corev1.RestartPolicyNever && !p.execute {
		code, ends := k.code(pod, p)
		if ends {
			return k.write(ctx, pod, false, &code)
		}
		return k.write(ctx, pod, true, nil)
	}
	if p.execute {
		if process == nil {
			if process, err = k.execute(ctx, pod); err != nil {
				if !errors.Is(err, errBusy) {
					fmt.Printf("pod %s: %v\n", key, err)
				}
				return err
			}
		}
		if code, over := process.ended(); over {
			return k.write(ctx, pod, false, &code)
		}
		return k.write(ctx, pod, process.isReady(), nil)
	}
	return k.write(ctx, pod, p.unready == nil || !p.unready(pod), nil)
}

// isCheck says whether the pod is that of helm test.
func isCheck(pod *corev1.Pod) bool { return pod.Annotations["helm.sh/hook"] == "test" }

// code deals the pod its exit code; ends is false while it goes on running.
func (k *kubelet) code(pod *corev1.Pod, p plan) (code int, ends bool) {
	if isCheck(pod) {
		return p.check, true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p = k.plans[pod.Namespace]
	if p.hold || len(p.exits) == 0 {
		return 0, false
	}
	code, ok := k.codes[string(pod.UID)]
	if !ok {
		code = p.exits[0]
		if len(p.exits) > 1 {
			p.exits = p.exits[1:]
			k.plans[pod.Namespace] = p
		}
		k.codes[string(pod.UID)] = code
	}
	return code, true
}

// remove ends a pod that is to go. A bridge that is told to stop ends with 0, and a migration with 3: unfinished.
func (k *kubelet) remove(ctx context.Context, pod *corev1.Pod, process *container, ended bool) error {
	if process != nil {
		process.terminate(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
		if _, over := process.ended(); !over {
			return nil // its end brings the pod here again
		}
	}
	if !ended && pod.Status.Phase == corev1.PodRunning {
		code := 0
		if process != nil {
			code, _ = process.ended()
		} else if pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
			code = 3
		}
		return k.write(ctx, pod, false, &code) // which brings the pod here again
	}
	now := int64(0)
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// write sets the state of the pod: running, ready or not, or ended with an exit code.
func (k *kubelet) write(ctx context.Context, pod *corev1.Pod, ready bool, exit *int) error {
	status := pod.Status.DeepCopy()
	now := metav1.Now()
	if status.StartTime == nil {
		status.StartTime = &now
		status.PodIP, status.HostIP = address(pod), "127.0.0.1"
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
	state := func(spec corev1.Container, ready bool, exit *int) corev1.ContainerStatus {
		s := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, ImageID: spec.Image, ContainerID: "none://" + string(pod.UID) + spec.Name, Ready: ready, Started: &ready}
		if exit == nil {
			s.State.Running = &corev1.ContainerStateRunning{StartedAt: *status.StartTime}
		} else {
			s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(*exit), Reason: reason(*exit), StartedAt: *status.StartTime, FinishedAt: now}
		}
		return s
	}
	status.Phase = corev1.PodRunning
	status.ContainerStatuses, status.InitContainerStatuses = nil, nil
	zero := 0
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && exit == nil {
			status.InitContainerStatuses = append(status.InitContainerStatuses, state(c, true, nil))
		} else {
			status.InitContainerStatuses = append(status.InitContainerStatuses, state(c, true, &zero))
		}
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == "bridge" || exit == nil {
			status.ContainerStatuses = append(status.ContainerStatuses, state(c, ready, exit))
		} else {
			status.ContainerStatuses = append(status.ContainerStatuses, state(c, false, &zero))
		}
	}
	if exit != nil {
		status.Phase = corev1.PodSucceeded
		if *exit != 0 {
			status.Phase = corev1.PodFailed
		}
	}
	condition := func(kind corev1.PodConditionType, holds bool) {
		c := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, LastTransitionTime: now}
		if holds {
			c.Status = corev1.ConditionTrue
		}
		i := slices.IndexFunc(status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
		switch {
		case i < 0:
			status.Conditions = append(status.Conditions, c)
		case status.Conditions[i].Status != c.Status:
			status.Conditions[i] = c
		}
	}
	condition(corev1.PodInitialized, true)
	condition(corev1.ContainersReady, ready)
	condition(corev1.PodReady, ready)
	if same(&pod.Status, status) {
		return nil
	}
	pod.Status = *status
	_, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// address makes an address up, which nothing reaches.
func address(pod *corev1.Pod) string {
	sum := sha256.Sum256([]byte(pod.UID))
	return fmt.Sprintf("10.%d.%d.%d", 128+sum[0]/2, sum[1], sum[2])
}

// balance stands in for a cloud's load balancers: their Services get an address. Helm waits for it.
func (k *kubelet) balance(ctx context.Context) {
	for {
		services, err := k.client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
		if err == nil {
			for _, s := range services.Items {
				if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
					s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
					_, _ = k.client.CoreV1().Services(s.Namespace).UpdateStatus(ctx, &s, metav1.UpdateOptions{}) // once more soon
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// same compares what a test can see.
func same(a, b *corev1.PodStatus) bool {
	ready := func(s *corev1.PodStatus) bool {
		return slices.ContainsFunc(s.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	}
	return a.Phase == b.Phase && ready(a) == ready(b) && len(a.ContainerStatuses) == len(b.ContainerStatuses)
}

func reason(exit int) string {
	if exit == 0 {
		return "Completed"
	}
	return "Error"
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// volume puts the files of a volume into dir as a kubelet does: owned by the pod's group, not by its user.
func (k *kubelet) volume(ctx context.Context, pod *corev1.Pod, v corev1.Volume, dir string) error {
	group := -1
	if sc := pod.Spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		group = int(*sc.FSGroup)
	}
	mode := os.FileMode(0o644)
	var files map[string][]byte
	switch {
	case v.ConfigMap != nil:
		m, err := k.client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, v.ConfigMap.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		files = make(map[string][]byte)
		for name, text := range m.Data {
			files[name] = []byte(text)
		}
		mode = os.FileMode(*v.ConfigMap.DefaultMode)
	case v.Secret != nil:
		s, err := k.client.CoreV1().Secrets(pod.Namespace).Get(ctx, v.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		files = s.Data
		mode = os.FileMode(*v.Secret.DefaultMode)
	case v.EmptyDir != nil:
		if err := own(dir, group); err != nil {
			return err
		}
		return os.Chmod(dir, 0o777)
	default:
		return fmt.Errorf("volume %s is of a kind that is not run here", v.Name)
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
		if err := own(file, group); err != nil {
			return err
		}
		if err := os.Chmod(file, mode); err != nil {
			return err
		}
	}
	return nil
}

// own gives a file to a group, where that is allowed.
func own(file string, group int) error {
	if os.Geteuid() != 0 || group < 0 {
		return nil
	}
	return os.Chown(file, 0, group)
}
