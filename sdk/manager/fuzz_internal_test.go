package manager

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// seed adds what Managers have answered.
func seed(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("../../testdata/manager/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no answers of Managers", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
}

// Whatever a Manager answers: an error, or a list of which each entry can be dialled and none comes twice.
func FuzzNodes(f *testing.F) {
	seed(f)
	f.Add([]byte(`{"success":true,"data":{"nodeList":[{"ip":"[::1]","port":"46801"},{"ip":" a ","port":1.0},{"ip":7,"port":70000}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		nodes, hint, err := readNodes(body, "g")
		if err != nil {
			if len(nodes.Addresses) > 0 || hint == "" {
				t.Errorf("%v with %v and hint %q", err, nodes.Addresses, hint)
			}
			return
		}
		if len(nodes.Addresses) == 0 || len(nodes.Addresses) > len(body) || nodes.MaxPacketLength < 0 {
			t.Errorf("nodes = %+v out of %d bytes", nodes, len(body))
		}
		if !slices.IsSorted(nodes.Addresses) || len(slices.Compact(slices.Clone(nodes.Addresses))) != len(nodes.Addresses) {
			t.Errorf("addresses = %q, want them sorted, each once", nodes.Addresses)
		}
		for _, addr := range nodes.Addresses {
			host, port, err := net.SplitHostPort(addr)
			if err != nil || host == "" || strings.ContainsAny(host, " /?#@[]") {
				t.Errorf("address %q, %v", addr, err)
			}
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				t.Errorf("address %q has no port", addr)
			}
		}
	})
}

// What is kept on disk is read as it was written, and nothing else that can be read differs in that.
func FuzzStored(f *testing.F) {
	f.Add([]byte(`{"version":1,"groups":{"g":{"saved":"2026-01-02T03:04:05Z","clusterId":1,"addresses":["dp:1"],"maxPacketLength":5}}}`))
	f.Add([]byte(`{"version":1,"groups":{}}`))
	f.Add([]byte(`{"version":1,"groups":{"g":{"addresses":["dp"]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, err := readStored(text)
		if err != nil {
			return
		}
		for group, nodes := range groups {
			if len(nodes.Addresses) == 0 {
				t.Errorf("group %q has no addresses", group)
			}
			for _, addr := range nodes.Addresses {
				if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
					t.Errorf("address %q cannot be dialled", addr)
				}
			}
		}
		again, err := json.Marshal(storedFile{Version: storeVersion, Groups: groups})
		if err != nil {
			return // a year that JSON has no form for
		}
		back, err := readStored(again)
		if err != nil || !reflect.DeepEqual(back, groups) {
			t.Errorf("%v, %v, want %v again", back, err, groups)
		}
	})
}

// Whatever a Manager says of the queue: an error with a hint, or topics and clusters with names.
func FuzzAllConfig(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		config, hint, err := readAllConfig(body, "cluster", "tag", "md5")
		if err != nil {
			if hint == "" {
				t.Errorf("%v without a hint", err)
			}
			return
		}
		for key, topic := range config.Topics {
			if key == "" || topic == "" {
				t.Errorf("stream %q goes to topic %q", key, topic)
			}
		}
		for _, c := range config.Clusters {
			if c.Name == "" || c.Type != config.Type || c.String() != c.Type+" "+c.Name {
				t.Errorf("cluster %q of type %q says it is %v", c.Name, c.Type, c)
			}
		}
	})
}
