package k8s

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	chart = "../../helm/inlong-bridge"
	// old is the first published state of the chart.
	old   = "f91c421"
	plain = "ConfigMap Service ServiceAccount"
)

// A variant is a set of values that somebody may install the chart with.
type variant struct {
	name    string
	values  string // the values, or the name of a file of them in the chart's ci folder
	base    string // the values of the chart of the commit old, from which the release is upgraded
	before  string // objects that the values refer to
	needs   string // the definitions that must be installed for it: keda or monitoring
	release string // "bridge" unless given
	kind    string // the workload: Deployment unless given
	pods    int    // 1 unless given
	kinds   string // the kinds of the other objects, sorted
	kept    int    // pods that the release had before the upgrade and keeps; like pods unless given
	// samePods says that the upgrade replaces no pod.
	samePods bool
	// shown says in a few words what check shows; it is for the table.
	shown string
	check func(s *space, v variant, live map[string]*unstructured.Unstructured)
}

// security is what a further container needs in a namespace that enforces the profile restricted.
const security = "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"

var variants = []variant{
	{name: "default", kinds: plain, samePods: true, shown: "the upgrade changes nothing: same generation, same pods"},
	{
		name: "ci: existing", values: "existing", base: "existing", kinds: "Service ServiceAccount", samePods: true,
		before: "{apiVersion: v1, kind: ConfigMap, metadata: {name: my-bridge}, data: {bridge.yaml: '{}'}}",
		shown:  "a ConfigMap made elsewhere stays",
	},
	{
		name: "ci: proxies", values: "proxies", base: "proxies", kinds: "ConfigMap Service", samePods: true,
		before: "{apiVersion: v1, kind: ServiceAccount, metadata: {name: data}}",
		shown:  "a service account made elsewhere, another port",
	},
	{
		name: "ci: queue", values: "queue", base: "queue", kinds: "ConfigMap PodDisruptionBudget Service ServiceAccount ServiceMonitor", pods: 3, needs: "monitoring", samePods: true,
		before: "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}\n---\n" +
			"{apiVersion: v1, kind: Secret, metadata: {name: bridge-secrets}, stringData: {kafka-password: x, manager-key: x}}\n---\n" +
			"{apiVersion: v1, kind: Secret, metadata: {name: kafka-ca}, stringData: {ca.crt: x}}",
		shown: "Secrets, priority, spread over nodes",
		check: func(s *space, v variant, _ map[string]*unstructured.Unstructured) {
			on := make(map[string]int)
			for _, p := range s.bridges(v) {
				on[p.Spec.NodeName]++
			}
			if len(on) != 2 {
				s.Errorf("three pods with a topology spread lie on %v", on)
			}
		},
	},
	{
		name: "StatefulSet", values: "workload: {kind: StatefulSet}\nreplicas: 3", kind: "StatefulSet", pods: 3, kinds: plain,
		shown: "pods by their numbers, all at once, instance_id from the pod's name",
		check: func(s *space, v variant, live map[string]*unstructured.Unstructured) {
			if policy, _, _ := unstructured.NestedString(live["StatefulSet"].Object, "spec", "podManagementPolicy"); policy != "Parallel" {
				s.Errorf("pods are managed %s", policy)
			}
			var names []string
			for _, p := range s.bridges(v) {
				names = append(names, p.Name)
				env := p.Spec.Containers[0].Env[0]
				if env.Name != "POD_NAME" || env.ValueFrom == nil || env.ValueFrom.FieldRef.FieldPath != "metadata.name" {
					s.Errorf("the first environment variable of %s is %v", p.Name, env)
				}
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != "bridge-inlong-bridge-0 bridge-inlong-bridge-1 bridge-inlong-bridge-2" {
				s.Errorf("pods: %s", got)
			}
			text, _, _ := unstructured.NestedString(live["ConfigMap"].Object, "data", "bridge.yaml")
			if !strings.Contains(text, "instance_id: ${POD_NAME}") {
				s.Errorf("the configuration has no instance_id:\n%s", text)
			}
		},
	},
	{
		name: "StatefulSet with a volume", kind: "StatefulSet", pods: 2, kinds: plain,
		values: "workload: {kind: StatefulSet}\nreplicas: 2\ncache: {volumeClaim: {accessModes: [ReadWriteOnce], storageClassName: by-hand, resources: {requests: {storage: 1Gi}}}}",
		before: storage,
		shown:  "claims are bound, and deleted with the set",
		check: func(s *space, _ variant, _ map[string]*unstructured.Unstructured) {
			claims, err := s.client.CoreV1().PersistentVolumeClaims(s.ns).List(s.Context(), metav1.ListOptions{})
			if err != nil || len(claims.Items) != 2 {
				s.Fatalf("claims: %v, %v", claims, err)
			}
			for _, c := range claims.Items {
				if c.Status.Phase != corev1.ClaimBound {
					s.Errorf("claim %s is %s", c.Name, c.Status.Phase)
				}
			}
		},
	},
	{name: "Job", values: "workload: {kind: Job}", kind: "Job", kinds: plain, shown: "migrate runs once and completes"},
	{
		name: "Job, every setting", kind: "Job", kinds: "ConfigMap PodMonitor Service ServiceAccount", needs: "monitoring",
		values: "workload: {kind: Job, annotations: {a: b}}\njob: {backoffLimit: 2, activeDeadlineSeconds: 3600, ttlSecondsAfterFinished: 3600}\npodMonitor: {enabled: true}",
		shown:  "limits of the Job are stored",
		check: func(s *space, _ variant, live map[string]*unstructured.Unstructured) {
			for key, want := range map[string]int64{"backoffLimit": 2, "activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 3600} {
				if got, _, _ := unstructured.NestedInt64(live["Job"].Object, "spec", key); got != want {
					s.Errorf("%s is %d, want %d", key, got, want)
				}
			}
		},
	},
	{
		name: "Job, suspended", kind: "Job", pods: -1, kinds: plain, values: "workload: {kind: Job}\njob: {suspend: true}",
		shown: "no pod is made",
	},
	{
		name: "configuration in a Secret", kinds: "Secret Service ServiceAccount",
		values: "configIn: Secret\nconfig: {kafka: {sasl: {mechanism: plain, username: u, password: hunter2}}}",
		shown:  "the pods mount the Secret; no ConfigMap has the password",
		check: func(s *space, _ variant, _ map[string]*unstructured.Unstructured) {
			maps, err := s.client.CoreV1().ConfigMaps(s.ns).List(s.Context(), metav1.ListOptions{})
			if err != nil {
				s.Fatal(err)
			}
			for _, m := range maps.Items {
				if strings.Contains(fmt.Sprint(m.Data), "hunter2") {
					s.Errorf("the ConfigMap %s shows the password", m.Name)
				}
			}
		},
	},
	{
		name: "checksums of Secrets", kinds: plain, values: "existingSecret: s\nrollOnChange: {secrets: true}\nextraEnvFrom: [{secretRef: {name: e}}]",
		before: "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: x}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: e}, stringData: {A: x}}",
		shown:  "a Secret that changes replaces the pods at the next upgrade, and only then",
		check:  checkSecretsRoll,
	},
	{
		name: "PodDisruptionBudget", values: "podDisruptionBudget: {enabled: true, maxUnavailable: 25%}", kinds: "ConfigMap PodDisruptionBudget Service ServiceAccount", samePods: true,
		shown: "stored with AlwaysAllow; evictions in TestEviction",
		check: func(s *space, _ variant, live map[string]*unstructured.Unstructured) {
			if got, _, _ := unstructured.NestedString(live["PodDisruptionBudget"].Object, "spec", "unhealthyPodEvictionPolicy"); got != "AlwaysAllow" {
				s.Errorf("unhealthyPodEvictionPolicy %q", got)
			}
		},
	},
	{
		name: "PodDisruptionBudget, minAvailable", values: "podDisruptionBudget: {enabled: true, minAvailable: 1}", kinds: "ConfigMap PodDisruptionBudget Service ServiceAccount", samePods: true,
		shown: "stored",
	},
	{
		name: "no Service", values: "service: {enabled: false}\npodMonitor: {enabled: true}", kinds: "ConfigMap PodMonitor ServiceAccount", needs: "monitoring", samePods: true,
		shown: "the Service goes, the pods stay",
	},
	{
		name: "NetworkPolicy", kinds: "ConfigMap NetworkPolicy Service ServiceAccount", samePods: true,
		values: "networkPolicy: {enabled: true, ingress: {from: [{namespaceSelector: {matchLabels: {name: monitoring}}}]}, egress: {brokers: {ports: [9092], to: [{ipBlock: {cidr: 10.0.0.0/8}}]}, extra: [{ports: [{port: 443}]}]}}",
		shown:  "validated only: no network plug-in",
	},
	{
		name: "HorizontalPodAutoscaler", kinds: "ConfigMap HorizontalPodAutoscaler Service ServiceAccount", pods: 2, kept: 3, base: "replicas: 3\nminReadySeconds: 0", samePods: true,
		values: "minReadySeconds: 0\nautoscaling: {enabled: true, annotations: {a: b}, minReplicas: 2, maxReplicas: 4}",
		shown:  "it reaches minReplicas, and the upgrade that enables it keeps three pods; metrics are validated only",
	},
	{
		name: "StatefulSet and HorizontalPodAutoscaler", kind: "StatefulSet", kinds: "ConfigMap HorizontalPodAutoscaler Service ServiceAccount", pods: 2,
		values: "workload: {kind: StatefulSet}\nminReadySeconds: 0\nautoscaling: {enabled: true, minReplicas: 2, maxReplicas: 4}",
		shown:  "it reaches minReplicas",
	},
	{
		name: "KEDA", kinds: "ConfigMap ScaledObject Service ServiceAccount TriggerAuthentication", needs: "keda", kept: 3, base: "replicas: 3\nminReadySeconds: 0", samePods: true,
		values: "minReadySeconds: 0\nkeda: {enabled: true, minReplicas: 1, metadata: {sasl: scram_sha512, tls: enable}, triggerAuthentication: {secretTargetRef: [{parameter: username, name: s, key: u}, {parameter: password, name: s, key: p}]}}",
		shown:  "accepted by KEDA's schema; the upgrade that enables it keeps three pods",
	},
	{
		name: "ServiceMonitor, every setting", kinds: "ConfigMap Service ServiceAccount ServiceMonitor", needs: "monitoring", samePods: true,
		values: "serviceMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {release: prometheus}, annotations: {a: 'true'}, scheme: https, honorLabels: true, jobLabel: app.kubernetes.io/name, targetLabels: [team], podTargetLabels: [team], sampleLimit: 10000, " +
			"tlsConfig: {caFile: /etc/ca.crt, serverName: bridge, insecureSkipVerify: false}, relabelings: [{sourceLabels: [__meta_kubernetes_pod_node_name], targetLabel: node}], metricRelabelings: [{sourceLabels: [__name__], regex: go_.*, action: drop}], endpoint: {honorTimestamps: true, basicAuth: {username: {name: s, key: u}, password: {name: s, key: p}}}}",
		shown: "accepted by the operator's schema",
	},
	{
		name: "PodMonitor, every setting", kind: "StatefulSet", kinds: "ConfigMap PodMonitor Service ServiceAccount", needs: "monitoring",
		values: "workload: {kind: StatefulSet}\npodMonitor: {enabled: true, interval: 30s, scrapeTimeout: 10s, labels: {release: prometheus}, scheme: https, honorLabels: true, jobLabel: app.kubernetes.io/name, podTargetLabels: [team], sampleLimit: 10000, " +
			"tlsConfig: {ca: {secret: {name: ca, key: ca.crt}}, serverName: bridge}, relabelings: [{action: labeldrop, regex: pod_template_hash}], metricRelabelings: [{sourceLabels: [__name__], regex: go_.*, action: drop}]}",
		shown: "accepted by the operator's schema",
	},
	{
		name: "PrometheusRule", kinds: "ConfigMap PrometheusRule Service ServiceAccount", needs: "monitoring", samePods: true,
		values: "prometheusRule: {enabled: true, labels: {release: prometheus}, ruleLabels: {team: data}, additionalGroups: [{name: mine, rules: [{alert: Mine, expr: 'vector(1)', for: 5m, labels: {severity: page}}]}]}",
		shown:  "accepted by the operator's schema",
	},
	{
		name: "dashboard", values: "dashboard: {enabled: true}", kinds: "ConfigMap ConfigMap Service ServiceAccount", samePods: true, shown: "stored as Grafana's sidecar looks for it",
		check: func(s *space, _ variant, _ map[string]*unstructured.Unstructured) {
			maps, err := s.client.CoreV1().ConfigMaps(s.ns).List(s.Context(), metav1.ListOptions{LabelSelector: "grafana_dashboard=1"})
			if err != nil || len(maps.Items) != 1 || len(maps.Items[0].Data["inlong-bridge.json"]) < 1000 {
				s.Errorf("ConfigMaps with the sidecar's label: %v, %v", maps, err)
			}
		},
	},
	{
		name: "every setting of the pod", kinds: plain, pods: 2,
		values: `
replicas: 2
minReadySeconds: 0
commonLabels: {team: data, year: "2024"}
commonAnnotations: {owner: "4e7"}
podLabels: {tier: ingest}
podAnnotations: {inject: "false"}
workload: {annotations: {a: "1"}, revisionHistoryLimit: 3, progressDeadlineSeconds: 300}
extraVolumes: [{name: scratch, emptyDir: {}}]
extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
initContainers: [{name: wait, image: i, ` + security + `}]
extraContainers: [{name: beside, image: i, ` + security + `}]
extraEnv: [{name: A, value: 40000000}, {name: B, value: true}]
extraArgs: [--log-level, debug]
lifecycle: {preStop: {sleep: {seconds: 1}}}
shareProcessNamespace: true
hostAliases: [{ip: 10.0.0.1, hostnames: [kafka]}]
dnsPolicy: ClusterFirst
dnsConfig: {options: [{name: ndots, value: "2"}]}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {tier: ingest}}}]}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule}]
schedulerName: default-scheduler
cache: {volume: {emptyDir: {medium: Memory, sizeLimit: 8Mi}}}
command: [/inlong-bridge, run, -c, /etc/inlong-bridge/bridge.yaml]
runtimeClassName: sandbox
resources: {requests: {cpu: 1, memory: 1073741824}, limits: {memory: 1073741824}}
`,
		before: "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: sandbox}, handler: sandbox}",
		shown:  "all fields accepted; anti-affinity and spread put the pods on two nodes",
		check: func(s *space, v variant, _ map[string]*unstructured.Unstructured) {
			pods := s.bridges(v)
			if pods[0].Spec.NodeName == pods[1].Spec.NodeName {
				s.Errorf("both pods are on %s", pods[0].Spec.NodeName)
			}
		},
	},
	{
		name: "ids of the cluster (OpenShift)", values: "podSecurityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}", kinds: plain, shown: "restricted takes a pod without fixed ids",
		check: func(s *space, v variant, _ map[string]*unstructured.Unstructured) {
			if sc := s.bridges(v)[0].Spec.SecurityContext; sc.RunAsUser != nil || sc.FSGroup != nil || !*sc.RunAsNonRoot {
				s.Errorf("security context %v", sc)
			}
		},
	},
	{
		name: "extraObjects", kinds: "ConfigMap ConfigMap ConfigMap Service ServiceAccount", samePods: true,
		values: "extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}, \"apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: '{{ .Release.Name }}-two'}\"]",
		shown:  "objects and templates of one's own",
	},
	{
		name: "Service of type LoadBalancer", kinds: plain, samePods: true,
		values: "service: {type: LoadBalancer, port: 80, nodePort: 31234, internalTrafficPolicy: Local, extraPorts: [{name: beside, port: 8443}], annotations: {a: '1'}, labels: {b: '2'}, ipFamilyPolicy: SingleStack, ipFamilies: [IPv4], loadBalancerSourceRanges: [10.0.0.0/8], externalTrafficPolicy: Local}",
		shown:  "type and node port change in place",
	},
	{
		name: "no resources, names of one's own", values: "resources: null\nfullnameOverride: own\ntest: {enabled: false}\nimagePullSecrets: [{name: pull}]\nserviceAccount: {name: sa, annotations: {a: b}}", kinds: plain, shown: "another name is another Deployment",
	},
	{name: "release 2024", release: "2024", kinds: plain, base: "none", shown: "labels of digits are strings"},
	{name: "release 4e7", release: "4e7", kinds: plain, base: "none", shown: "labels of digits are strings"},
	{name: "release true", release: "true", kinds: plain, base: "none", shown: "labels that look like booleans are strings"},
}

// storage is a class of volumes that are made by hand, and two of them.
const storage = `
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: by-hand}, provisioner: kubernetes.io/no-provisioner, volumeBindingMode: Immediate}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: one}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: by-hand, persistentVolumeReclaimPolicy: Retain, hostPath: {path: /one}}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: two}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: by-hand, persistentVolumeReclaimPolicy: Retain, hostPath: {path: /two}}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: three}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: by-hand, persistentVolumeReclaimPolicy: Retain, hostPath: {path: /three}}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: four}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: by-hand, persistentVolumeReclaimPolicy: Retain, hostPath: {path: /four}}}
`

func (v variant) releaseName() string { return cmp.Or(v.release, "bridge") }
func (v variant) workload() string    { return cmp.Or(v.kind, "Deployment") }

// running is the number of pods.
func (v variant) running() int {
	if v.pods < 0 {
		return 0
	}
	return max(v.pods, 1)
}

// arguments are the values of a variant for Helm.
func (s *space) arguments(values string) []string {
	switch values {
	case "":
		return nil
	case "existing", "proxies", "queue":
		return []string{"-f", filepath.Join(chart, "ci", values+"-values.yaml")}
	}
	return []string{"-f", s.values(values)}
}

// bridges are the pods of the workload.
func (s *space) bridges(v variant) []corev1.Pod {
	s.Helper()
	pods, err := s.client.CoreV1().Pods(s.ns).List(s.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + v.releaseName()})
	if err != nil {
		s.Fatal(err)
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || isCheck(&p)
	})
}

// uids tell pods from their successors.
func (s *space) uids(v variant) (uids []string) {
	s.Helper()
	for _, p := range s.bridges(v) {
		uids = append(uids, string(p.UID))
	}
	slices.Sort(uids)
	return uids
}

// settled waits until the workload is as its object says: all pods new, ready and no others.
func (s *space) settled(kind, name string, pods int) {
	s.Helper()
	s.eventually(2*time.Minute, func() error {
		switch kind {
		case "Deployment":
			d, err := s.client.AppsV1().Deployments(s.ns).Get(s.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			return settledDeployment(d, pods)
		case "StatefulSet":
			d, err := s.client.AppsV1().StatefulSets(s.ns).Get(s.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if d.Status.ObservedGeneration != d.Generation || int(d.Status.ReadyReplicas) != pods || int(d.Status.Replicas) != pods ||
				d.Status.CurrentRevision != d.Status.UpdateRevision {
				return fmt.Errorf("StatefulSet %s: %d of %d pods ready, revision %s, wanted %s", name, d.Status.ReadyReplicas, pods, d.Status.CurrentRevision, d.Status.UpdateRevision)
			}
			return nil
		default:
			j, err := s.client.BatchV1().Jobs(s.ns).Get(s.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if done := jobCondition(j, batchv1.JobComplete); pods > 0 && done == nil {
				return fmt.Errorf("Job %s is not complete: %v", name, j.Status)
			}
			if pods == 0 && jobCondition(j, batchv1.JobSuspended) == nil {
				return fmt.Errorf("Job %s is not suspended: %v", name, j.Status)
			}
			return nil
		}
	})
}

func settledDeployment(d *appsv1.Deployment, pods int) error {
	st := d.Status
	if st.ObservedGeneration != d.Generation || int(st.UpdatedReplicas) != pods || int(st.ReadyReplicas) != pods || int(st.Replicas) != pods {
		return fmt.Errorf("Deployment %s: %d of %d pods ready, %d new, %d in all: %v", d.Name, st.ReadyReplicas, pods, st.UpdatedReplicas, st.Replicas, st.Conditions)
	}
	return nil
}

func jobCondition(j *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for _, c := range j.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return &c
		}
	}
	return nil
}

// proven checks the release that is installed: its objects are those of the variant, the API server takes each without a word,
// and its pods run.
func (s *space) proven(v variant) {
	s.Helper()
	live := make(map[string]*unstructured.Unstructured)
	var kinds []string
	for _, o := range s.parse(s.mustHelm("get", "manifest", v.releaseName())) {
		if err := s.validate(o); err != nil {
			s.Errorf("the API server refuses the rendered %s: %v", o.GetKind(), err)
		}
		kept, err := s.get(o.GetAPIVersion(), o.GetKind(), o.GetName())
		if err != nil {
			s.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
		if live[o.GetKind()] == nil {
			live[o.GetKind()] = kept
		}
		if o.GetKind() != v.workload() {
			kinds = append(kinds, o.GetKind())
		}
	}
	slices.Sort(kinds)
	if got := strings.Join(kinds, " "); got != v.kinds {
		s.Errorf("objects beside the workload: %s, want %s", got, v.kinds)
	}
	workload := live[v.workload()]
	if workload == nil {
		s.Fatalf("no %s in the manifest", v.workload())
	}
	s.settled(v.workload(), workload.GetName(), v.running())
	if v.workload() != "Job" && live["Service"] != nil {
		s.eventually(time.Minute, func() error { return s.served(live["Service"].GetName(), v.running()) })
	}
	if v.check != nil {
		v.check(s, v, live)
	}
}

// served says whether the Service leads to so many pods.
func (s *space) served(service string, pods int) error {
	slices, err := s.client.DiscoveryV1().EndpointSlices(s.ns).List(s.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return err
	}
	ready := 0
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready && len(slice.Ports) > 0 {
				ready++
			}
		}
	}
	if ready != pods {
		return fmt.Errorf("the Service %s leads to %d pods that are ready, want %d", service, ready, pods)
	}
	return nil
}

// row is a line of the table of variants.
type row struct{ name, install, upgrade, rollback, uninstall, shown string }

func TestVariants(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	rows := make([]row, len(variants))
	before := oldChart(t)
	t.Run("of", func(t *testing.T) {
		for i, v := range variants {
			t.Run(strings.ReplaceAll(v.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				r := row{v.name, "-", "-", "-", "-", v.shown}
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					rows[i] = r
				}()
				if v.needs != "" {
					definitions(t, v.needs)
				}
				s := newSpace(t)
				s.kubelet.follow(s.ns, plan{exits: []int{0}})
				if v.before != "" {
					s.create(v.before)
				}
				theirs := s.left(s.ns)
				nothingLeft := func() error {
					if left := s.left(s.ns); !slices.Equal(left, theirs) {
						return fmt.Errorf("left behind: %v, before it was %v", left, theirs)
					}
					return nil
				}
				values := s.arguments(v.values)
				name := v.releaseName()
				wait := []string{"--wait", "--timeout", "3m"}
				if v.pods >= 0 {
					wait = append(wait, "--wait-for-jobs")
				}

				r.install, r.uninstall = "FAILED", "FAILED"
				s.mustHelm(slices.Concat([]string{"install", name, up.chart}, values, wait)...)
				s.proven(v)
				s.mustHelm("test", name)
				r.install = verdict(t)
				s.mustHelm("uninstall", name, "--wait")
				s.eventually(time.Minute, nothingLeft)
				r.uninstall = verdict(t)

				switch {
				case before == "":
					r.upgrade, r.rollback = "SKIPPED", "SKIPPED"
					return
				case v.base == "none":
					r.upgrade, r.rollback = "refused by the old chart", "-"
					if _, err := s.helm(slices.Concat([]string{"install", name, before}, wait)...); err == nil {
						t.Errorf("the chart of %s can be installed as release %s, so its upgrade can be tested", old, name)
					}
					return
				}
				r.upgrade, r.rollback, r.uninstall = "FAILED", "FAILED", "FAILED"
				s.mustHelm(slices.Concat([]string{"install", name, before}, s.arguments(v.base), wait)...)
				first := s.deployment(name)
				pods := int(*first.Spec.Replicas)
				s.settled("Deployment", first.Name, pods)
				was := s.uids(v)
				s.mustHelm(slices.Concat([]string{"upgrade", name, up.chart}, values, wait)...)
				upgraded := v
				if v.kept > 0 {
					upgraded.pods = v.kept
				}
				s.proven(upgraded)
				if v.samePods {
					if now := s.uids(v); !slices.Equal(was, now) {
						t.Errorf("the upgrade replaced pods: %v before, %v after", was, now)
					}
					if now := s.deployment(name); now.Generation != first.Generation {
						t.Errorf("the upgrade changed the Deployment: generation %d, before %d", now.Generation, first.Generation)
					}
				}
				r.upgrade = verdict(t)
				s.mustHelm(slices.Concat([]string{"rollback", name, "1"}, wait)...)
				s.settled("Deployment", first.Name, pods)
				again := s.deployment(name)
				if !reflect.DeepEqual(first.Spec, again.Spec) {
					t.Errorf("the Deployment after the rollback differs:\n%v\nbefore the upgrade it was\n%v", again.Spec, first.Spec)
				}
				r.rollback = verdict(t)
				s.mustHelm("uninstall", name, "--wait")
				s.eventually(time.Minute, nothingLeft)
				r.uninstall = verdict(t)
			})
		}
	})
	writeTable(t, rows)
}

func verdict(t *testing.T) string {
	if t.Failed() {
		return "FAILED"
	}
	return "ok"
}

// deployment is the release's one Deployment.
func (s *space) deployment(release string) *appsv1.Deployment {
	s.Helper()
	list, err := s.client.AppsV1().Deployments(s.ns).List(s.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
	if err != nil || len(list.Items) != 1 {
		s.Fatalf("Deployments of %s: %v, %v", release, list, err)
	}
	return &list.Items[0]
}

// writeTable writes the table of variants.
func writeTable(t *testing.T, rows []row) {
	var b bytes.Buffer
	b.WriteString("| variant | install | upgrade from " + old + " | rollback | uninstall | shown |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		if r.name != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.name, r.install, r.upgrade, r.rollback, r.uninstall, r.shown)
		}
	}
	t.Log("\n" + b.String())
	if err := errors.Join(os.MkdirAll("out", 0o755), os.WriteFile("out/variants.md", b.Bytes(), 0o644)); err != nil {
		t.Log("the table is not written: ", err)
	}
}

// oldChart packs the chart of the commit old; "" where there is no history.
func oldChart(t *testing.T) string {
	t.Helper()
	archive := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "archive", old, "deploy/helm/inlong-bridge")
	archive.Dir = "../../.."
	tar, err := archive.Output()
	if err != nil {
		fmt.Printf("\nSKIPPED k8s upgrade and rollback: the history does not reach back to %s\n", old)
		return ""
	}
	dir := t.TempDir()
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(tar)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	packed, err := up.pack(filepath.Join(dir, "deploy/helm/inlong-bridge"))
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// checkSecretsRoll changes a Secret under a release that looks at it.
func checkSecretsRoll(s *space, v variant, _ map[string]*unstructured.Unstructured) {
	values := s.arguments(v.values)
	was := s.uids(v)
	s.mustHelm(slices.Concat([]string{"upgrade", v.releaseName(), up.chart}, values, []string{"--wait"})...)
	if now := s.uids(v); !slices.Equal(was, now) {
		s.Errorf("an upgrade without a change replaced the pods: %v before, %v after", was, now)
	}
	secret, err := s.client.CoreV1().Secrets(s.ns).Get(s.Context(), "e", metav1.GetOptions{})
	if err != nil {
		s.Fatal(err)
	}
	secret.Data["A"] = []byte(time.Now().String())
	if _, err := s.client.CoreV1().Secrets(s.ns).Update(s.Context(), secret, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.mustHelm(slices.Concat([]string{"upgrade", v.releaseName(), up.chart}, values, []string{"--wait"})...)
	s.eventually(time.Minute, func() error {
		now := s.uids(v)
		if len(now) != 1 || slices.Equal(was, now) {
			return fmt.Errorf("a changed Secret did not replace the pods: %v before, %v after", was, now)
		}
		return nil
	})
	s.settled("Deployment", s.deployment(v.releaseName()).Name, 1)
}
