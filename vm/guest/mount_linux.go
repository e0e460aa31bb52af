package guest

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mounts is what a system's first process mounts, in this order. Those that
// a kernel does not have are worth a warning, no more.
var mounts = []struct {
	fs, at string
	flags  uintptr
	data   string
}{
	{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
	{"devpts", "/dev/pts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=620"},
	{"tmpfs", "/dev/shm", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"securityfs", "/sys/kernel/security", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"debugfs", "/sys/kernel/debug", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"tracefs", "/sys/kernel/tracing", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"bpf", "/sys/fs/bpf", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "mode=0700"},
	{"tmpfs", Temp, 0, "mode=1777"}, // devices too, as in a directory of tests
	{"cgroup2", cgroupRoot, unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, "nsdelegate"},
}

// Temp is a guest's directory for temporary files. It is a file system of its
// own, for the one that the initial ramfs is unpacked into cannot do all that
// others can: be mounted with other ids, for one (FS_ALLOW_IDMAP,
// mm/shmem.c; init/do_mounts.c has a type of its own).
const Temp = "/run/tmp"

const cgroupRoot = "/sys/fs/cgroup"

func (m *machine) mountAll() {
	for _, t := range mounts {
		if t.fs == "cgroup2" && m.task.NoCgroup {
			continue
		}
		// the directories in sysfs and procfs are the kernel's own
		if err := os.MkdirAll(t.at, 0o755); err != nil {
			m.warn("mount %s: %v", t.at, err)
			continue
		}
		source := t.fs
		if t.at == Temp {
			source = "temp" // to tell it from those that are asked for
		}
		if err := unix.Mount(source, t.at, t.fs, t.flags, t.data); err != nil && err != unix.EBUSY {
			m.warn("mount %s: %v", t.at, err)
		}
	}
	for link, to := range map[string]string{
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		_ = os.Symlink(to, link)
	}
	if !m.task.NoCgroup {
		m.delegate()
	}
}

// delegate enables every controller for the groups below the root.
func (m *machine) delegate() {
	b, err := os.ReadFile(cgroupRoot + "/cgroup.controllers")
	if err != nil {
		m.warn("%v", err)
		return
	}
	for c := range strings.FieldsSeq(string(b)) {
		if err := os.WriteFile(cgroupRoot+"/cgroup.subtree_control", []byte("+"+c), 0); err != nil {
			m.warn("cgroup controller %s: %v", c, err)
		}
	}
}
