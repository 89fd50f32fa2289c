package k8s

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// deploymentOf is the plain variant for tests that want only a few pods.
func deploymentOf(pods int) variant { return variant{pods: pods} }

// evict asks for the eviction of a pod, as a drain of its node does.
func (s *space) evict(pod string) error {
	return s.client.PolicyV1().Evictions(s.ns).Evict(s.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: s.ns}})
}

// budget waits until the controller has counted the pods of the release's one PodDisruptionBudget.
func (s *space) budget(healthy, allowed int32) {
	s.Helper()
	s.eventually(time.Minute, func() error {
		list, err := s.client.PolicyV1().PodDisruptionBudgets(s.ns).List(s.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			return fmt.Errorf("budgets: %v, %w", list, err)
		}
		b := list.Items[0]
		if b.Status.ObservedGeneration != b.Generation || b.Status.CurrentHealthy != healthy || b.Status.DisruptionsAllowed != allowed {
			return fmt.Errorf("budget: %d healthy, %d may be disrupted; want %d and %d", b.Status.CurrentHealthy, b.Status.DisruptionsAllowed, healthy, allowed)
		}
		return nil
	})
}

// TestEviction drains nodes under a PodDisruptionBudget. A bridge whose Kafka or proxies are away is not ready, and waiting for
// it would hold the drain up for as long as they are: AlwaysAllow lets it go.
func TestEviction(t *testing.T) {
	t.Parallel()
	const values = "replicas: 3\nminReadySeconds: 0\npodDisruptionBudget: {enabled: true}\n"
	unready := func(*corev1.Pod) bool { return true }
	for _, row := range []struct {
		name, values string
		evicted      bool // although no pod is ready
	}{
		{"AlwaysAllow", values, true},
		{"no policy", "replicas: 3\nminReadySeconds: 0\npodDisruptionBudget: {enabled: true, unhealthyPodEvictionPolicy: ''}\n", false},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart, "--wait"}, s.arguments(row.values))...)
			name := s.deployment("bridge").Name
			s.settled("Deployment", name, 3)
			s.budget(3, 1)

			// All are ready: one may go, and the next only when the first one's successor is ready.
			first := s.uids(deploymentOf(3))
			s.kubelet.follow(s.ns, plan{unready: func(p *corev1.Pod) bool { return !slices.Contains(first, string(p.UID)) }})
			pods := s.bridges(deploymentOf(3))
			if err := s.evict(pods[0].Name); err != nil {
				t.Errorf("the first of three ready pods: %v", err)
			}
			if err := s.evict(pods[1].Name); !apierrors.IsTooManyRequests(err) {
				t.Errorf("the second, while the first is away: %v, want a refusal by the budget", err)
			}
			s.kubelet.follow(s.ns, plan{})
			s.settled("Deployment", name, 3)
			s.budget(3, 1)

			s.kubelet.follow(s.ns, plan{unready: unready})
			s.budget(0, 0)
			for _, p := range s.bridges(deploymentOf(3)) {
				err := s.evict(p.Name)
				if row.evicted && err != nil {
					t.Errorf("evicting %s, which is not ready: %v", p.Name, err)
				}
				if !row.evicted && !apierrors.IsTooManyRequests(err) {
					t.Errorf("evicting %s, which is not ready, without the policy: %v, want a refusal; or this test shows nothing", p.Name, err)
				}
			}
		})
	}
}

// TestJobFollowsExitCodes ends the pods of the rendered Job with the exit codes of migrate.
func TestJobFollowsExitCodes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		exits  []int
		values string
		pods   int
		reason string // of the failure; "" where the Job completes
	}{
		{exits: []int{0}, pods: 1},
		{exits: []int{2}, pods: 1, reason: batchv1.JobReasonPodFailurePolicy},
		{exits: []int{4}, pods: 1, reason: batchv1.JobReasonPodFailurePolicy},
		{exits: []int{5}, pods: 1, reason: batchv1.JobReasonPodFailurePolicy},
		{exits: []int{1, 0}, pods: 2},
		{exits: []int{3, 0}, pods: 2},
		{exits: []int{1, 3, 0}, pods: 3},
		{exits: []int{3, 4}, pods: 2, reason: batchv1.JobReasonPodFailurePolicy},
		{exits: []int{1}, values: "job: {backoffLimit: 1}\n", pods: 2, reason: batchv1.JobReasonBackoffLimitExceeded},
	} {
		t.Run(strings.Trim(strings.ReplaceAll(fmt.Sprint(row.exits), " ", "-"), "[]"), func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			s.kubelet.follow(s.ns, plan{exits: row.exits})
			s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart}, s.arguments("workload: {kind: Job}\n"+row.values))...)
			job := s.job()
			s.eventually(3*time.Minute, func() error {
				j, err := s.client.BatchV1().Jobs(s.ns).Get(s.Context(), job, metav1.GetOptions{})
				if err != nil {
					return err
				}
				failed, complete := jobCondition(j, batchv1.JobFailed), jobCondition(j, batchv1.JobComplete)
				switch {
				case failed == nil && complete == nil:
					return fmt.Errorf("the Job goes on: %v", j.Status)
				case failed != nil && failed.Reason != row.reason:
					return permanent{fmt.Errorf("the Job failed: %s: %s; want %q", failed.Reason, failed.Message, row.reason)}
				case complete != nil && row.reason != "":
					return permanent{fmt.Errorf("the Job is complete, want its failure by %s", row.reason)}
				}
				if pods := int(j.Status.Failed + j.Status.Succeeded); pods != row.pods {
					return permanent{fmt.Errorf("%d pods have ended, want %d", pods, row.pods)}
				}
				return nil
			})
		})
	}
}

// job is the name of the one Job.
func (s *space) job() string {
	s.Helper()
	list, err := s.client.BatchV1().Jobs(s.ns).List(s.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		s.Fatalf("Jobs: %v, %v", list, err)
	}
	return list.Items[0].Name
}

// TestEvictedJobIsNobodysFailure: a pod whose node is drained is replaced, and does not count against job.backoffLimit.
func TestEvictedJobIsNobodysFailure(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubelet.follow(s.ns, plan{exits: []int{0}, hold: true})
	s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart}, s.arguments("workload: {kind: Job}\njob: {backoffLimit: 0}"))...)
	job := s.job()
	first := s.onePod("")
	if err := s.evict(first.Name); err != nil {
		t.Fatal(err)
	}
	s.onePod(string(first.UID))
	s.kubelet.follow(s.ns, plan{exits: []int{0}})
	s.settled("Job", job, 1)
	j, err := s.client.BatchV1().Jobs(s.ns).Get(s.Context(), job, metav1.GetOptions{})
	if err != nil || j.Status.Failed != 0 || j.Status.Succeeded != 1 {
		t.Errorf("%d pods failed and %d succeeded, want 0 and 1: %v", j.Status.Failed, j.Status.Succeeded, err)
	}
}

// onePod waits for the one running pod, which is not the one with the UID.
func (s *space) onePod(not string) (pod corev1.Pod) {
	s.Helper()
	s.eventually(2*time.Minute, func() error {
		pods := slices.DeleteFunc(s.bridges(variant{}), func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning })
		if len(pods) != 1 || string(pods[0].UID) == not {
			return fmt.Errorf("%d pods run", len(pods))
		}
		pod = pods[0]
		return nil
	})
	return pod
}

// TestChangedJobIsAnotherJob: the pod of a Job cannot be changed, so another configuration makes another Job instead of an
// upgrade that the API server refuses.
func TestChangedJobIsAnotherJob(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubelet.follow(s.ns, plan{exits: []int{0}})
	values := s.arguments("workload: {kind: Job}")
	s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart, "--wait", "--wait-for-jobs"}, values)...)
	first := s.job()
	uid := func() string {
		j, err := s.client.BatchV1().Jobs(s.ns).Get(s.Context(), s.job(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return string(j.UID)
	}
	was := uid()
	s.mustHelm(slices.Concat([]string{"upgrade", "bridge", up.chart, "--wait", "--wait-for-jobs"}, values)...)
	if uid() != was {
		t.Error("an upgrade without a change ran the Job again")
	}
	s.mustHelm(slices.Concat([]string{"upgrade", "bridge", up.chart, "--wait", "--wait-for-jobs", "--set", "config.pack.linger=5ms"}, values)...)
	s.eventually(time.Minute, func() error {
		list, err := s.client.BatchV1().Jobs(s.ns).List(s.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].Name == first {
			return fmt.Errorf("Jobs after a change: %v, %w", list, err)
		}
		return nil
	})
	s.settled("Job", s.job(), 1)
	s.mustHelm("rollback", "bridge", "1", "--wait", "--wait-for-jobs")
	s.eventually(time.Minute, func() error {
		if _, err := s.client.BatchV1().Jobs(s.ns).Get(s.Context(), first, metav1.GetOptions{}); err != nil {
			return err
		}
		return nil
	})
	s.settled("Job", first, 1)

	// One that was removed because it had ended is made again.
	background := metav1.DeletePropagationBackground
	if err := s.client.BatchV1().Jobs(s.ns).Delete(s.Context(), first, metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	s.eventually(time.Minute, func() error {
		if _, err := s.client.BatchV1().Jobs(s.ns).Get(s.Context(), first, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Job is still there: %w", err)
		}
		return nil
	})
	s.mustHelm(slices.Concat([]string{"upgrade", "bridge", up.chart, "--wait", "--wait-for-jobs"}, values)...)
	s.settled("Job", first, 1)
}

// TestImmutableFields: what Kubernetes does not let an upgrade change is refused with the field's name, the pods go on, and a
// rollback mends the release. What the README says may be changed is taken.
func TestImmutableFields(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, kind, values, change string
		refused                    string // "" where the upgrade is taken
	}{
		{"selector of a Deployment", "Deployment", "", "nameOverride: other", "field is immutable"},
		{"selector of a StatefulSet", "StatefulSet", "workload: {kind: StatefulSet}", "workload: {kind: StatefulSet}\nnameOverride: other\nfullnameOverride: bridge-inlong-bridge", "updates to statefulset spec for fields other than"},
		{
			"volume of a StatefulSet", "StatefulSet", "workload: {kind: StatefulSet}",
			"workload: {kind: StatefulSet}\ncache: {volumeClaim: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}", "updates to statefulset spec for fields other than",
		},
		{"labels of a Deployment", "Deployment", "", "commonLabels: {a: b}\npodLabels: {c: d}", ""},
		{"labels of a StatefulSet", "StatefulSet", "workload: {kind: StatefulSet}", "workload: {kind: StatefulSet, revisionHistoryLimit: 2, updateStrategy: {type: OnDelete}}\ncommonLabels: {a: b}", ""},
		{"labels of a finished Job", "Job", "workload: {kind: Job}", "workload: {kind: Job, annotations: {a: b}}\nservice: {labels: {c: d}}", ""},
		{"kind of workload", "StatefulSet", "", "workload: {kind: StatefulSet}", ""},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			s.kubelet.follow(s.ns, plan{exits: []int{0}})
			values := row.values
			if row.name == "selector of a Deployment" {
				values = "fullnameOverride: bridge-inlong-bridge"
				row.change += "\nfullnameOverride: bridge-inlong-bridge"
			}
			s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart, "--wait", "--wait-for-jobs"}, s.arguments(values))...)
			was := s.uids(variant{})
			_, err := s.helm(slices.Concat([]string{"upgrade", "bridge", up.chart, "--wait", "--timeout", "2m"}, s.arguments(row.change))...)
			switch {
			case row.refused == "" && err != nil:
				t.Errorf("the upgrade is refused: %v", err)
			case row.refused == "":
			case err == nil:
				t.Errorf("the upgrade is taken, want: %s", row.refused)
			case !strings.Contains(err.Error(), row.refused):
				t.Errorf("the upgrade is refused with %v, want: %s", err, row.refused)
			default:
				if now := s.uids(variant{}); !slices.Equal(was, now) {
					t.Errorf("a refused upgrade replaced the pods: %v before, %v after", was, now)
				}
				s.mustHelm("rollback", "bridge", "1", "--wait")
				if out := s.mustHelm("status", "bridge"); !strings.Contains(out, "STATUS: deployed") {
					t.Errorf("after the rollback: %s", out)
				}
			}
		})
	}
}

// TestPodSecurityRestricted: what the namespace's profile does not allow gets no pods. Otherwise the variants, which all run in
// such a namespace, would show nothing.
func TestPodSecurityRestricted(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"no security contexts":         "podSecurityContext: null\ncontainerSecurityContext: null",
		"the node's network":           "hostNetwork: true",
		"a container beside as anyone": "extraContainers: [{name: beside, image: i}]",
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			_, err := s.helm(slices.Concat([]string{"install", "bridge", up.chart}, s.arguments(values))...)
			if err != nil && !strings.Contains(err.Error(), "would violate PodSecurity") {
				t.Fatal(err) // the warning is expected
			}
			s.refusedPods("violates PodSecurity")
		})
	}
}

// refusedPods waits for the Deployment's report that a pod was refused for a reason.
func (s *space) refusedPods(why string) {
	s.Helper()
	s.eventually(time.Minute, func() error {
		for _, c := range s.deployment("bridge").Status.Conditions {
			if c.Type == "ReplicaFailure" && c.Status == corev1.ConditionTrue && strings.Contains(c.Message, why) {
				return nil
			}
		}
		return fmt.Errorf("no pod was refused because it %s: %v", why, s.deployment("bridge").Status.Conditions)
	})
}

// TestQuota: the requests and limits that the chart sets by itself are what a quota counts, for the pod of helm test, too.
func TestQuota(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.create("{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: 4, requests.cpu: 1, requests.memory: 2Gi, limits.memory: 3Gi, count/configmaps: 4}}}")
	s.eventually(time.Minute, func() error {
		q, err := s.client.CoreV1().ResourceQuotas(s.ns).Get(s.Context(), "q", metav1.GetOptions{})
		if err != nil || len(q.Status.Hard) == 0 {
			return fmt.Errorf("the quota does not count yet: %w", err)
		}
		return nil
	})
	values := s.arguments("minReadySeconds: 0")
	s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart, "--wait", "--set", "replicas=2"}, values)...)
	name := s.deployment("bridge").Name
	s.settled("Deployment", name, 2)
	s.mustHelm("test", "bridge")

	// Four pods need more memory than there is.
	s.mustHelm(slices.Concat([]string{"upgrade", "bridge", up.chart, "--set", "replicas=4"}, values)...)
	s.refusedPods("exceeded quota")
	// Smaller ones fit. Fewer of them first: a new pod is made only when an old one may go, and three of four must stay.
	small := "resources.requests.memory=256Mi,resources.limits.memory=512Mi,resources.requests.cpu=100m"
	for _, n := range []int{2, 4} {
		s.mustHelm(slices.Concat([]string{"upgrade", "bridge", up.chart, "--wait", "--set", fmt.Sprintf("replicas=%d,%s", n, small)}, values)...)
		s.settled("Deployment", name, n)
	}

	// A quota on what the chart does not set refuses the pods, and values set it.
	other := newSpace(t)
	other.create("{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {limits.cpu: 4}}}")
	other.eventually(time.Minute, func() error {
		q, err := other.client.CoreV1().ResourceQuotas(other.ns).Get(other.Context(), "q", metav1.GetOptions{})
		if err != nil || len(q.Status.Hard) == 0 {
			return fmt.Errorf("the quota does not count yet: %w", err)
		}
		return nil
	})
	other.mustHelm("install", "bridge", up.chart)
	other.refusedPods("must specify limits.cpu")
	other.mustHelm("upgrade", "bridge", up.chart, "--wait", "--set", "resources.limits.cpu=2")
	other.settled("Deployment", other.deployment("bridge").Name, 1)
}

// TestHelmTestTellsABadConfiguration: the pod of helm test ends with the exit code of the bridge's own check.
func TestHelmTestTellsABadConfiguration(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubelet.follow(s.ns, plan{check: 2})
	s.mustHelm("install", "bridge", up.chart)
	if out, err := s.helm("test", "bridge"); err == nil {
		t.Errorf("helm test passes although the check ended with 2: %s", out)
	}
}

// TestApiServerRefusesUnknownFields: the check that each variant passes must be able to fail.
func TestApiServerRefusesUnknownFields(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustHelm("install", "bridge", up.chart)
	for _, o := range s.parse(s.mustHelm("get", "manifest", "bridge")) {
		if o.GetKind() != "Deployment" {
			continue
		}
		if err := unstructured.SetNestedField(o.Object, "x", "spec", "template", "spec", "hostNetwrok"); err != nil {
			t.Fatal(err)
		}
		if err := s.validate(o); err == nil || !strings.Contains(err.Error(), "hostNetwrok") {
			t.Errorf("an unknown field in the Deployment: %v", err)
		}
		return
	}
	t.Fatal("no Deployment")
}

// TestNamespaceOverride installs the objects in another namespace than that of the release.
func TestNamespaceOverride(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	elsewhere := s.namespace()
	values := s.arguments("namespaceOverride: " + elsewhere + "\npodDisruptionBudget: {enabled: true}\nnetworkPolicy: {enabled: true}\ndashboard: {enabled: true}")
	s.mustHelm(slices.Concat([]string{"install", "bridge", up.chart, "--wait"}, values)...)
	there := &space{T: t, cluster: up, ns: elsewhere}
	there.settled("Deployment", there.deployment("bridge").Name, 1)
	s.mustHelm("test", "bridge")
	for _, name := range s.left(s.ns) {
		if !strings.HasPrefix(name, "Secret sh.helm.release") {
			t.Errorf("%s is in the namespace of the release", name)
		}
	}
	s.mustHelm("uninstall", "bridge", "--wait")
	s.eventually(time.Minute, func() error {
		if left := s.left(elsewhere); len(left) > 0 {
			return fmt.Errorf("left behind: %v", left)
		}
		return nil
	})
}
