// Package k8s has only tests: of the Helm chart, on the real etcd, kube-apiserver, kube-controller-manager and kube-scheduler,
// with the real Helm. `make k8s` builds these and runs the tests.
//
// There is no container engine and no kubelet. A small stand-in registers two nodes, starts the containers of a pod by writing
// their state, makes pods ready as the test says, and ends Job pods with the exit codes that the test says. In the tests named
// TestRendered... it runs the rendered command as a local process, in a root directory that holds the image's files and the
// rendered mounts and nothing else, with the rendered environment, user and groups, and asks the rendered probes; Kafka is then
// Apache Kafka.
//
// Consequently these are rendered, validated and stored by the API server, but not shown to have their effect: DNS, what a
// NetworkPolicy lets through (no network plug-in), an autoscaler's metrics (no metrics server, no KEDA), what Prometheus and
// Grafana make of their objects (the schemas of the Prometheus operator and of KEDA check them), and the pulling of images.
//
//	K8S_CONTROL_PLANE=FILE  the control plane, from deploy/dev/tools/k8s
//	HELM=FILE               Helm
//	BRIDGE=FILE             inlong-bridge, for the tests that run it
//	K8S_KEEP=1              keeps the directory with the logs of the control plane
//
// The table of the variants is written to deploy/dev/k8s/out/variants.md.
package k8s
