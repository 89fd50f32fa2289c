package k8s

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// published are the operators whose custom resource definitions check the objects that the chart makes for them. They come from
// the modules in which the operators publish them.
var published = map[string]struct {
	module, version, sum string
	files                []string
	kinds                []string // by which the API server is asked whether it serves them: apiVersion kind
}{
	"keda": {
		module: "github.com/kedacore/keda/v2", version: "v2.16.1", sum: "h1:LfYsxfSX8DjetLW8q9qnriImH936POrQJvE+caRoScI=",
		files: []string{"config/crd/bases/keda.sh_scaledobjects.yaml", "config/crd/bases/keda.sh_triggerauthentications.yaml"},
		kinds: []string{"keda.sh/v1alpha1 ScaledObject", "keda.sh/v1alpha1 TriggerAuthentication"},
	},
	"monitoring": {
		module: "github.com/prometheus-operator/prometheus-operator", version: "v0.85.0", sum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
		files: []string{
			"example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
		},
		kinds: []string{"monitoring.coreos.com/v1 ServiceMonitor", "monitoring.coreos.com/v1 PodMonitor", "monitoring.coreos.com/v1 PrometheusRule"},
	},
}

var (
	definitionsMu sync.Mutex
	installed     = make(map[string]error) // nil once the API server serves them
)

// definitions installs the definitions of an operator. A test is skipped where its module cannot be fetched.
func definitions(t *testing.T, operator string) {
	t.Helper()
	definitionsMu.Lock()
	defer definitionsMu.Unlock()
	err, tried := installed[operator]
	if !tried {
		err = install(t, operator)
		installed[operator] = err
	}
	if err != nil {
		fmt.Printf("\nSKIPPED k8s %s: %v\n", t.Name(), err)
		t.Skip(err)
	}
}

// install returns an error where the module cannot be fetched; anything else fails the test.
func install(t *testing.T, operator string) error {
	t.Helper()
	from := published[operator]
	// Outside of any module: theirs are not dependencies of ours.
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", from.module+"@"+from.version)
	download.Dir = t.TempDir()
	out, err := download.Output()
	var module struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &module); err != nil || jsonErr != nil {
		return fmt.Errorf("%s cannot be fetched: %v %s", from.module, err, module.Error)
	}
	if module.Sum != from.sum {
		t.Fatalf("%s@%s has the sum %s, want %s", from.module, from.version, module.Sum, from.sum)
	}
	s := &space{T: t, cluster: up}
	for _, file := range from.files {
		text, err := os.ReadFile(filepath.Join(module.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		s.create(string(text))
	}
	for _, kind := range from.kinds {
		apiVersion, name, _ := strings.Cut(kind, " ")
		s.eventually(time.Minute, func() error {
			up.mapper.Reset()
			o := &unstructured.Unstructured{}
			o.SetAPIVersion(apiVersion)
			o.SetKind(name)
			o.SetNamespace("default")
			resource, err := up.resource(o)
			if err != nil {
				return err
			}
			return listed(t, resource)
		})
	}
	return nil
}

// listed says whether objects of a kind can be asked for.
func listed(t *testing.T, resource dynamic.ResourceInterface) error {
	_, err := resource.List(t.Context(), metav1.ListOptions{})
	return err
}
