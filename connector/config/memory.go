package config

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// unlimited is at most what cgroup v1 shows for "no limit": the largest multiple of a page.
const unlimited = int64(1) << 60

// machine reads the limits of the container and the size of the memory below root.
func machine(root fs.FS) memory {
	return memory{container: containerLimit(root), physical: physicalMemory(root)}
}

// containerLimit returns the smallest limit of the process's cgroup and of the groups above it, 0 for none. In a
// container the mount shows the container's group at its root, under whatever name it has in /proc/self/cgroup, so the
// walk from the named group to the root always finds it.
func containerLimit(root fs.FS) int64 {
	limit := int64(0)
	for line := range strings.Lines(readText(root, "proc/self/cgroup")) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if controllers != "" {
			if !strings.Contains(","+controllers+",", ",memory,") {
				continue
			}
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for at := path.Clean("/" + group); ; at = path.Dir(at) {
			n, err := strconv.ParseInt(strings.TrimSpace(readText(root, path.Join(mount, at, file))), 10, 64)
			if err == nil && n > 0 && n < unlimited && (limit == 0 || n < limit) {
				limit = n
			}
			if at == "/" {
				break
			}
		}
	}
	return limit
}

func physicalMemory(root fs.FS) int64 {
	for line := range strings.Lines(readText(root, "proc/meminfo")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil && n > 0 && n < unlimited/kib {
				return n * kib
			}
		}
	}
	return 0
}

func readText(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return "" // not this kind of machine
	}
	return string(data)
}
