//go:build chaos

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A disk of its own for a process is a small file system in memory, mounted where only this process sees it;
// it goes with the process. The test reaches it through /proc.

// onOwnDisk has the command run with a small disk mounted at dir.
func onOwnDisk(dir, path string, args ...string) (name string, all []string) {
	script := `mount --make-rprivate / && mount -t tmpfs -o size=256k inlong-bridge-e2e "$0" && exec "$@"`
	return "unshare", append([]string{"--mount", "--map-root-user", "sh", "-c", script, dir, path}, args...)
}

// ownDisks says why processes cannot have disks of their own here, nil if they can.
var ownDisks = sync.OnceValue(func() error {
	dir := filepath.Join(scratch, "disk")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name, args := onOwnDisk(dir, "true")
	if text, err := command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mounting a small file system: %w: %.200s", err, text)
	}
	return nil
})

// fillDisk writes to the disk of a process until no byte fits any more.
func (b *bench) fillDisk(p *process, dir string) {
	b.Helper()
	path := filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid), "root", dir, "ballast")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	written := 0
	for _, size := range []int{4096, 1} {
		for {
			n, err := f.Write(make([]byte, size))
			written += n
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			if err != nil {
				b.Fatalf("filling the disk: %v", err)
			}
			if written > 1<<20 {
				b.Fatalf("%d bytes fit on a disk of 256 KiB: %s is not on it", written, path)
			}
		}
	}
}

// fillCaches fills the disks under the lists of proxies, lets the list change, and waits until the bridges use
// it and have said that they cannot keep it.
func (c *chaosCell) fillCaches() {
	c.b.Helper()
	for _, br := range c.bridges {
		c.b.fillDisk(br.process, br.cache)
	}
	c.listed = len(c.proxies)
	c.manager.SetNodes(c.addrs()...)
	c.b.eventually(c.scale(3*time.Minute)+drainLimit, func() error {
		for _, br := range c.bridges {
			s, err := c.b.statusAt(br.admin)
			if err != nil {
				return err
			}
			up := 0
			for _, e := range s.Sender.Endpoints {
				if e.Connections > 0 {
					up++
				}
			}
			if up < c.listed {
				return fmt.Errorf("%s is connected to %d of %d proxies", br.name, up, c.listed)
			}
			if !strings.Contains(br.output(), "no space left on device") {
				return fmt.Errorf("%s has not said that its disk is full; its log ends with\n%s", br.name, br.tail())
			}
		}
		return nil
	})
}
