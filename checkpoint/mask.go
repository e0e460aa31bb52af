package checkpoint

import (
	"path"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// readOnlyPaths clones each path with all that is mounted below and attaches
// the clone over it, read-only. What is not there needs no protection.
func (b *mounter) readOnlyPaths(cfg *Config) {
	for i, at := range cfg.ReadOnlyPaths {
		at = path.Clean("/" + at)
		add := func(ops ...agent.Op) { b.p.setup.add(StageReadOnly, i, at, ops...) }
		open := openat2(b.root, at, 0, inRoot, b.t)
		cloned := cloneOf(b.t, unix.AT_RECURSIVE, b.tree)
		if canSetattr() {
			add(ifErr(open, unix.ENOENT, 5), cloned, setattr(b.tree, attrWords["ro"], 0, true),
				moveMount(b.tree, b.t), closeReg(b.t), closeReg(b.tree))
			continue
		}
		// Before Linux 5.12: the topmost mount only.
		before := len(b.p.setup.steps)
		add(open, cloned, moveMount(b.tree, b.t), closeReg(b.t))
		b.byPath(StageReadOnly, i, at, b.tree, "", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|cfg.flagsAt(at), "")
		add(closeReg(b.tree))
		s := &b.p.setup.steps[before]
		s.op = ifErr(s.op, unix.ENOENT, len(b.p.setup.steps)-before-1)
	}
}

// flagsAt are the flags of the mount that a path will be on, as far as they
// are known before it is made.
func (c *Config) flagsAt(at string) uintptr {
	best, flags := -1, lockedFlags(path.Join("/", c.Root.Path, at))
	for i := range c.Mounts {
		m := &c.Mounts[i]
		t := path.Clean("/" + m.Target)
		s := m.parse()
		if (t == at || strings.HasPrefix(at, strings.TrimSuffix(t, "/")+"/")) && len(t) >= best && !s.remount {
			best = len(t)
			flags = unix.MS_RELATIME
			if s.bind {
				flags = lockedFlags(m.Source)
			}
			flags |= mount2Flags(s.top.set)
		}
	}
	return flags
}

// maskedPaths hides each path: a file under the host's null device, a
// directory under one that is empty and read-only.
func (b *mounter) maskedPaths(cfg *Config) {
	if len(cfg.MaskedPaths) == 0 {
		return
	}
	fs := agent.Sys(unix.SYS_FSOPEN, agent.S("tmpfs"), agent.N(unix.FSOPEN_CLOEXEC))
	fs.Save = b.fs
	set := func(cmd int, key, value agent.Arg) agent.Op {
		return agent.Sys(unix.SYS_FSCONFIG, agent.R(b.fs), agent.N(cmd), key, value, agent.N(0))
	}
	mount := agent.Sys(unix.SYS_FSMOUNT, agent.R(b.fs), agent.N(unix.FSMOUNT_CLOEXEC),
		agent.N(unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC))
	mount.Save = b.empty
	b.p.setup.add(StageMasked, -1, "tmpfs", fs,
		set(unix.FSCONFIG_SET_STRING, agent.S("source"), agent.S("tmpfs")),
		set(unix.FSCONFIG_SET_STRING, agent.S("nr_inodes"), agent.S("1")),
		set(unix.FSCONFIG_SET_STRING, agent.S("mode"), agent.S("0555")),
		set(unix.FSCONFIG_CMD_CREATE, agent.N(0), agent.N(0)), mount, closeReg(b.fs))
	null := openTree(agent.N(int64(unix.AT_FDCWD)), "/dev/null", unix.OPEN_TREE_CLOEXEC, b.null)
	b.p.setup.add(StageMasked, -1, "/dev/null", null,
		agent.Sys(agent.OpStatIs, agent.R(b.null), agent.N(unix.S_IFMT), agent.N(unix.S_IFCHR), agent.N(1), agent.N(3), agent.N(uintptr(unix.ENODEV))))
	for i, at := range cfg.MaskedPaths {
		at = path.Clean("/" + at)
		ops := []agent.Op{
			ifErr(isDir(b.t), unix.ENOTDIR, 6),
			// The empty directory can be cloned once it is attached somewhere, or
			// since Linux 6.15; else it is used itself.
			ifErr(cloneOf(b.empty, 0, b.tree), unix.EINVAL, 3),
			moveMount(b.tree, b.t),
			closeReg(b.tree),
			jump(1),
			moveMount(b.empty, b.t),
			jump(3),
			cloneOf(b.null, 0, b.tree),
			moveMount(b.tree, b.t),
			closeReg(b.tree),
			closeReg(b.t),
		}
		b.p.setup.add(StageMasked, i, at, ifErr(openat2(b.root, at, 0, inRoot, b.t), unix.ENOENT, len(ops)))
		b.p.setup.add(StageMasked, i, at, ops...)
	}
	b.p.setup.add(StageMasked, -1, "", closeReg(b.empty), closeReg(b.null))
}
