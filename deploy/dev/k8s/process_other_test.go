//go:build !linux

package k8s

import "syscall"

func diesWithUs() *syscall.SysProcAttr { return nil }

// asPod is nil where processes cannot be given another root directory like this.
func asPod(string, uint32, uint32, []uint32) *syscall.SysProcAttr { return nil }
