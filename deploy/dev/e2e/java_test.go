//go:build e2e || chaos

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
)

// release is a set of jars; the pom.xml in the directory NAME says which ones.
type release struct {
	name string
	jars string // directory
}

// need returns a release with its jars in place. What is missing on this machine skips the test, loudly, or
// fails it if E2E_REQUIRED is set.
func need(t *testing.T, name string) *release {
	t.Helper()
	r, err := fetched(name)
	if err == nil {
		return r
	}
	if required := os.Getenv("E2E_REQUIRED"); required != "" && required != "0" {
		t.Fatalf("E2E_REQUIRED is set: %v", err)
	}
	fmt.Printf("\nSKIPPED %s: %v\n", t.Name(), err) // at the start of a line, where CI looks for it
	t.Skipf("SKIPPED: %v", err)
	return nil
}

var (
	fetchMu  sync.Mutex
	releaseM = make(map[string]func() (*release, error))
)

// fetched fetches a release once.
func fetched(name string) (*release, error) {
	fetchMu.Lock()
	defer fetchMu.Unlock()
	if releaseM[name] == nil {
		releaseM[name] = sync.OnceValues(func() (*release, error) { return fetch(name) })
	}
	return releaseM[name]()
}

// fetch has Maven put the jars into the user's cache, unless they are there.
func fetch(name string) (*release, error) {
	if err := javaRuns(); err != nil {
		return nil, err
	}
	pom, err := filepath.Abs(filepath.Join(name, "pom.xml"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(pom)
	if err != nil {
		return nil, fmt.Errorf("no %s: %w; hint: E2E_KAFKA names directories kafka-NAME", name, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding a directory for jars: %w; hint: set XDG_CACHE_HOME", err)
	}
	sum := sha256.Sum256(text)
	jars := filepath.Join(cache, "inlong-bridge", name+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(jars); err == nil {
		return &release{name, jars}, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return nil, fmt.Errorf("no Maven to fetch the jars of %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(jars), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory for jars: %w", err)
	}
	// Under another name first: a fetch that was cut off must not look complete.
	partial, err := os.MkdirTemp(filepath.Dir(jars), "partial-")
	if err != nil {
		return nil, fmt.Errorf("making the directory for jars: %w", err)
	}
	defer os.RemoveAll(partial)
	mvn := command("mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+partial)
	if text, err := mvn.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("fetching the jars of %s with Maven: %w: %.500s", name, err, text)
	}
	if err := os.Rename(partial, jars); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("keeping the jars: %w", err)
	}
	return &release{name, jars}, nil
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// javaRuns wants Java 17 or later.
var javaRuns = sync.OnceValue(func() error {
	text, err := command("java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("no Java: %w", err)
	}
	m := javaVersion.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("java -version says nothing known: %.200s", text)
	}
	if n, err := strconv.Atoi(string(m[1])); err != nil || n < 17 {
		return fmt.Errorf("found Java %s, and the brokers need 17", m[1])
	}
	return nil
})
