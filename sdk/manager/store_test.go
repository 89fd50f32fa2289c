package manager_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/manager"
)

var someNodes = manager.Nodes{ClusterID: 7, Addresses: []string{"10.0.0.1:46801", "[fd00::1]:46801"}, MaxPacketLength: 524288, Load: 20}

func open(t *testing.T, dir string) *manager.Store {
	t.Helper()
	s, err := manager.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreRemembersAcrossProcessesAndTellsTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "made", "on", "demand")
		s := open(t, dir)
		if n, age, found := s.Load("g1"); found || age != 0 || n.Addresses != nil {
			t.Errorf("Load from nothing = %+v, %v, %v", n, age, found)
		}
		if err := s.Save("g1", someNodes); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		other := manager.Nodes{Addresses: []string{"10.0.0.9:1"}}
		if err := s.Save("g2", other); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for name, s := range map[string]*manager.Store{"same": s, "next": open(t, dir)} {
			if n, age, found := s.Load("g1"); !found || age != 61*time.Minute || !reflect.DeepEqual(n, someNodes) {
				t.Errorf("%s process: Load(g1) = %+v, %v, %v", name, n, age, found)
			}
			if n, age, found := s.Load("g2"); !found || age != time.Minute || !reflect.DeepEqual(n, other) {
				t.Errorf("%s process: Load(g2) = %+v, %v, %v", name, n, age, found)
			}
			if got := s.Groups(); !reflect.DeepEqual(got, []string{"g1", "g2"}) {
				t.Errorf("%s process: Groups = %q", name, got)
			}
		}
		if names := filesIn(t, dir); !reflect.DeepEqual(names, []string{"proxies.json"}) {
			t.Errorf("the directory holds %q, want proxies.json alone", names)
		}
	})
}

func TestStoreNeverReplacesAListByAnEmptyOne(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Save("g1", someNodes); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("g1", manager.Nodes{ClusterID: 1}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("saving an empty list: %v, want an error", err)
	}
	if n, _, found := s.Load("g1"); !found || !reflect.DeepEqual(n, someNodes) {
		t.Errorf("Load = %+v, %v, want the list before", n, found)
	}
}

func TestStoreGivesAndTakesCopies(t *testing.T) {
	s := open(t, t.TempDir())
	in := manager.Nodes{Addresses: []string{"a:1"}}
	if err := s.Save("g", in); err != nil {
		t.Fatal(err)
	}
	in.Addresses[0] = "changed:1"
	out, _, _ := s.Load("g")
	out.Addresses[0] = "changed:2"
	if n, _, _ := s.Load("g"); n.Addresses[0] != "a:1" {
		t.Errorf("Load = %q, want a:1", n.Addresses)
	}
}

func TestDamagedFileIsSetAsideAndSaid(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"cut off":       `{"version":1,"groups":{"g1":{"sav`,
		"other version": `{"version":2,"groups":{}}`,
		"no groups":     `{"version":1}`,
		"no addresses":  `{"version":1,"groups":{"g1":{"saved":"2026-01-01T00:00:00Z","addresses":[]}}}`,
		"bad time":      `{"version":1,"groups":{"g1":{"saved":"yesterday","addresses":["a:1"]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "proxies.json")
			for round := range 2 { // a second one in the same second must not overwrite the first
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				s, err := manager.OpenStore(dir)
				var damaged *manager.DamagedError
				if !errors.As(err, &damaged) || s == nil {
					t.Fatalf("OpenStore = %v, %v, want a store and a *DamagedError", s, err)
				}
				if damaged.Path != path || !strings.HasPrefix(damaged.SetAside, path+".damaged-") || !strings.Contains(err.Error(), damaged.SetAside) {
					t.Errorf("error = %v (%+v)", err, damaged)
				}
				if got, err := os.ReadFile(damaged.SetAside); err != nil || string(got) != text {
					t.Errorf("set aside: %q, %v, want %q", got, err, text)
				}
				if names := filesIn(t, dir); len(names) != round+1 {
					t.Errorf("the directory holds %q, want %d files", names, round+1)
				}
				if _, _, found := s.Load("g1"); found {
					t.Error("a damaged list was loaded")
				}
			}
			s := open(t, dir)
			if err := s.Save("g1", someNodes); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDirectoryThatCannotBeWrittenIsSaidAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"a file": file, "below a file": filepath.Join(file, "sub"), "no name": ""}
	if os.Getuid() != 0 { // root may write everywhere
		readOnly := t.TempDir()
		if err := os.Chmod(readOnly, 0o500); err != nil {
			t.Fatal(err)
		}
		dirs["read-only"] = readOnly
	}
	for name, dir := range dirs {
		s, err := manager.OpenStore(dir)
		if err == nil || s != nil || !strings.Contains(err.Error(), "hint: give a directory that can be written") {
			t.Errorf("%s: OpenStore = %v, %v, want an error with a hint", name, s, err)
		}
	}
}

func TestFileThatCannotBeReadIsNotTakenForDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "proxies.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := manager.OpenStore(dir)
	var damaged *manager.DamagedError
	if err == nil || s != nil || errors.As(err, &damaged) || !strings.Contains(err.Error(), "hint") {
		t.Errorf("OpenStore = %v, %v, want an error with a hint", s, err)
	}
	if names := filesIn(t, dir); len(names) != 1 {
		t.Errorf("the directory holds %q", names)
	}
}

func TestListIsKeptInMemoryWhenTheDiskFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := open(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("g1", someNodes); err == nil || !strings.Contains(err.Error(), `"g1"`) {
		t.Errorf("Save without a directory = %v, want an error that names the group", err)
	}
	if n, _, found := s.Load("g1"); !found || !reflect.DeepEqual(n, someNodes) {
		t.Errorf("Load = %+v, %v", n, found)
	}
}

func TestStoreIsWholeAfterConcurrentSaves(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			group := fmt.Sprintf("g%d", i)
			for range 5 {
				if err := s.Save(group, someNodes); err != nil {
					t.Error(err)
				}
				if _, _, found := s.Load(group); !found {
					t.Errorf("%s is not there", group)
				}
			}
		})
	}
	wg.Wait()
	if got := open(t, dir).Groups(); len(got) != 8 {
		t.Errorf("groups on disk = %q, want 8", got)
	}
	if names := filesIn(t, dir); len(names) != 1 {
		t.Errorf("the directory holds %q", names)
	}
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
