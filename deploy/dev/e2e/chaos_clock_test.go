//go:build chaos

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The wall clock of one process cannot be set, and that of the machine is not ours. So the program is built
// against a standard library whose time.Now adds what a file says, in seconds. Nothing else is changed: no
// package of the program knows, and the monotonic clock goes on, as it does when an administrator or NTP sets
// the clock.

// clockEnv names the file.
const clockEnv = "E2E_WALL_CLOCK"

// jumpSource is added to package time.
const jumpSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

// jumps is shared with whoever sets the clock; nil without a file.
var jumps *int64

func init() {
	name, ok := syscall.Getenv("` + clockEnv + `")
	if !ok {
		return
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic("opening the wall clock " + name + ": " + err.Error())
	}
	shared, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("mapping the wall clock " + name + ": " + err.Error())
	}
	jumps = (*int64)(unsafe.Pointer(&shared[0]))
}

func jumped() int64 {
	if jumps == nil {
		return 0
	}
	return atomic.LoadInt64(jumps)
}
`

// settableBinary is the program with a wall clock that can be set.
var settableBinary = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking for GOROOT: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(dir, "time.go"))
	if err != nil {
		return "", fmt.Errorf("reading package time: %w", err)
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), now) != 1 {
		return "", fmt.Errorf("package time in %s is not the one of Go 1.26", dir)
	}
	replace := make(map[string]string)
	for name, content := range map[string]string{
		"time.go": strings.Replace(string(text), now, now+"\tsec += jumped()\n", 1),
		"jump.go": jumpSource,
	} {
		path := filepath.Join(scratch, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(dir, name)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list, path := filepath.Join(scratch, "overlay.json"), filepath.Join(scratch, "inlong-bridge-settable")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", list, "-o", path, "inlong-bridge/cmd/inlong-bridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building inlong-bridge with a clock that can be set: %w\n%s", err, text)
	}
	return path, nil
})

// wallClock is the file with the offset of one process.
func (b *bench) wallClock(name string) string {
	b.Helper()
	return b.write(name+".clock", string(make([]byte, 8)))
}

// setClock sets the wall clock of a process that was started with this file off by d.
func (b *bench) setClock(file string, d time.Duration) {
	b.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var offset [8]byte
	binary.NativeEndian.PutUint64(offset[:], uint64(int64(d/time.Second)))
	if _, err := f.WriteAt(offset[:], 0); err != nil {
		b.Fatal(err)
	}
}

// settable starts inlong-bridge with a clock that can be set.
func (b *bench) settable(name, clock string, args ...string) *process {
	b.Helper()
	path, err := settableBinary()
	if err != nil {
		b.Fatal(err)
	}
	cmd := command(path, args...)
	cmd.Env = append(os.Environ(), clockEnv+"="+clock)
	return b.start(name, cmd)
}

// jumpClocks sets the clocks of all bridges off by d, those of the proxies by as much the other way, and waits
// until packs that were made since arrive: the report time in them is the bridge's.
func (c *chaosCell) jumpClocks(d time.Duration) {
	c.b.Helper()
	for _, br := range c.bridges {
		c.b.setClock(br.clock, d)
	}
	for _, p := range c.proxies {
		c.b.setClock(p.clock, -d)
	}
	c.b.eventually(drainLimit, func() error {
		if off := time.Duration(c.arriving.reported.Load()-time.Now().UnixMilli()) * time.Millisecond; (off - d).Abs() > 10*time.Minute {
			return fmt.Errorf("the last pack was made %v from now by its bridge's clock, which was set off by %v", off.Round(time.Second), d)
		}
		return nil
	})
}
