package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// withoutSetattr makes the plans those of a kernel before 5.12. A test's.
var withoutSetattr bool

// haveSetattr asks the kernel for mount_setattr(2), since Linux 5.12. A
// structure of no size is refused before anything else is looked at.
var haveSetattr = sync.OnceValue(func() bool {
	_, _, e := unix.Syscall6(unix.SYS_MOUNT_SETATTR, ^uintptr(0), 0, 0, 0, 0, 0)
	return !errors.Is(e, unix.ENOSYS)
})

// haveNoSymfollow asks whether nosymfollow is an attribute (since Linux 5.14;
// a flag of mount(2) since 5.10). The attributes are looked at before the
// descriptor; a caller without privilege gets no answer, and takes it for yes.
var haveNoSymfollow = sync.OnceValue(func() bool {
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSYMFOLLOW})
	return haveSetattr() && !errors.Is(err, unix.EINVAL)
})

func canSetattr() bool { return haveSetattr() && !withoutSetattr }

// takes reports whether the newer calls know the attributes here.
func takes(a uint64) bool {
	return a&unix.MOUNT_ATTR_NOSYMFOLLOW == 0 || haveNoSymfollow() && !withoutSetattr
}

// setattr is one call of mount_setattr(2) on the mount that a register holds.
func setattr(reg int, a attrs, propagation uint64, rec bool) agent.Op {
	var b []byte
	for _, v := range []uint64{a.set, a.clr, propagation, 0} {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	flags := uint64(unix.AT_EMPTY_PATH)
	if rec {
		flags |= unix.AT_RECURSIVE
	}
	return agent.Sys(unix.SYS_MOUNT_SETATTR, agent.R(reg), agent.S(""), agent.N(flags), agent.B(b), agent.N(len(b)))
}

// mount2Flags are attributes in the bits of mount(2).
func mount2Flags(a uint64) uintptr {
	var f uintptr
	for _, x := range [...]struct {
		attr uint64
		flag uintptr
	}{
		{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY},
		{unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
		{unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
		{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
		{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME},
		{unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
		{unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME},
		{unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
	} {
		if a&x.attr != 0 {
			f |= x.flag
		}
	}
	return f
}

// lockedFlags are the flags of a mount that a remount inside a user namespace
// must repeat, or be refused (mount_namespaces(7), locked flags).
func lockedFlags(path string) uintptr {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	var f uintptr
	for flag, ms := range map[int64]uintptr{
		unix.ST_RDONLY: unix.MS_RDONLY, unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV,
		unix.ST_NOEXEC: unix.MS_NOEXEC, unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME,
		unix.ST_RELATIME: unix.MS_RELATIME,
	} {
		if st.Flags&flag != 0 {
			f |= ms
		}
	}
	return f
}

// fixedFD is a number that a descriptor is given where a path has to name it.
const fixedFD = 900

// byPath calls mount(2) on what a register holds, whatever its path has come
// to mean: through the link in /proc, which is reached by the descriptor that
// the host opened. Without that number being free it fails, and clobbers
// nothing.
func (b *mounter) byPath(stage Stage, i int, object string, reg int, source, fstype string, flags uintptr, data string) {
	dup := agent.Sys(unix.SYS_FCNTL, agent.R(reg), agent.N(unix.F_DUPFD_CLOEXEC), agent.N(fixedFD))
	dup.Save = b.fixed
	b.p.setup.add(stage, i, object, dup,
		agent.Sys(agent.OpEqual, agent.R(b.fixed), agent.N(fixedFD), agent.N(uintptr(unix.EMFILE))),
		agent.Sys(unix.SYS_FCHDIR, agent.R(agent.RegProc)),
		mountOp(source, fmt.Sprintf("self/fd/%d", fixedFD), fstype, flags, data),
		closeReg(b.fixed))
	b.moved = true
}

func mountOp(source, target, fstype string, flags uintptr, data string) agent.Op {
	opt := func(s string) agent.Arg {
		if s == "" {
			return agent.N(0)
		}
		return agent.S(s)
	}
	return agent.Sys(unix.SYS_MOUNT, opt(source), agent.S(target), opt(fstype), agent.N(flags), opt(data))
}

// attributes puts attributes and propagation on a mount that is in place. have
// are the flags that it has already, which a remount would take away.
func (b *mounter) attributes(stage Stage, i int, object string, reg int, s *mountSpec, have uintptr) {
	top, below := s.top, s.below
	if canSetattr() && takes(top.set|top.clr|below.set|below.clr) {
		if !below.none() {
			b.p.setup.add(stage, i, object, setattr(reg, below, 0, true))
		}
		if !top.none() {
			b.p.setup.add(stage, i, object, setattr(reg, top, 0, false))
		}
	} else if !below.none() {
		b.p.setup.fail(stage, i, object, fmt.Errorf("attributes of the mounts below need mount_setattr (since Linux 5.12; nosymfollow 5.14): %w", unix.ENOSYS))
	} else if !top.none() {
		flags := have&^mount2Flags(top.clr) | mount2Flags(top.set)
		if top.clr&unix.MOUNT_ATTR__ATIME != 0 && top.set&unix.MOUNT_ATTR__ATIME == 0 {
			flags |= unix.MS_RELATIME
		}
		b.byPath(stage, i, object, reg, "", "", unix.MS_REMOUNT|unix.MS_BIND|flags, "")
	}
	for _, sh := range s.sharing {
		rec := sh.rec || s.early() && s.rec
		if canSetattr() {
			b.p.setup.add(stage, i, object, setattr(reg, attrs{}, sh.kind, rec))
			continue
		}
		flags := uintptr(sh.kind)
		if rec {
			flags |= unix.MS_REC
		}
		b.byPath(stage, i, object, reg, "", "", flags, "")
	}
}
