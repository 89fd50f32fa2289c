package k8s

import (
	"os"
	"syscall"
)

// diesWithUs has a child die when the thread that started it does.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// asPod has a child see root as its root directory, and be the user and the group with further groups. Without root's rights
// the child has a user namespace in which its own user has that number.
func asPod(root string, uid, gid uint32, groups []uint32) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Chroot: root}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
		return attr
	}
	attr.Cloneflags = syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(uid), HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(gid), HostID: os.Getegid(), Size: 1}}
	attr.Credential = &syscall.Credential{Uid: uid, Gid: gid, NoSetGroups: true}
	return attr
}
