package checkpoint

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

const consolePath = "/dev/console"

// deviceTypes are those of mknod(1).
var deviceTypes = map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}

// devices makes device nodes. Where that is not allowed, which is in every
// user namespace but the first, the host's node of the same path is attached
// instead; owner and mode are then the host's.
func (b *mounter) devices(cfg *Config) {
	_, inside := cfg.find(User)
	for i := range cfg.Devices {
		b.device(i, &cfg.Devices[i], inside)
	}
	b.console(cfg)
}

func (b *mounter) device(i int, d *Device, inside bool) {
	at := path.Clean("/" + d.Path)
	add := func(ops ...agent.Op) { b.p.setup.add(StageDevices, i, at, ops...) }
	typ, mode := deviceTypes[d.Type], d.Mode
	major, minor := d.Major, d.Minor
	if typ == unix.S_IFIFO {
		inside, major, minor = false, 0, 0 // anybody may make one
	}
	dir, name := path.Split(at)
	b.target(StageDevices, i, dir, directory, 0) // into b.t
	is := func(reg int, mask, want uint32, errno unix.Errno) agent.Op {
		return agent.Sys(agent.OpStatIs, agent.R(reg), agent.N(mask), agent.N(want), agent.N(major), agent.N(minor), agent.N(uintptr(errno)))
	}
	open := openat2(b.t, name, unix.O_NOFOLLOW, oneStep, b.other)
	node := func(mode uint32, dev uint64) agent.Op {
		return agent.Sys(unix.SYS_MKNODAT, agent.R(b.t), agent.S(name), agent.N(mode), agent.N(dev))
	}
	bind := []agent.Op{
		openTree(agent.N(int64(unix.AT_FDCWD)), at, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC, b.tree),
		is(b.tree, unix.S_IFMT, typ, unix.ENODEV),
		ifErr(node(unix.S_IFREG|0o644, 0), unix.EEXIST, 0),
		open,
		moveMount(b.tree, b.other),
		closeReg(b.tree),
	}
	if inside {
		add(bind...)
	} else {
		chown := agent.Sys(unix.SYS_FCHOWNAT, agent.R(b.other), agent.S(""), agent.N(d.UID), agent.N(d.GID), agent.N(unix.AT_EMPTY_PATH))
		add(ifErr(open, unix.ENOENT, 1), jump(2),
			ifErr(node(typ|mode, unix.Mkdev(major, minor)), unix.EPERM, 4), open,
			// What was there already has to be what was asked for.
			is(b.other, unix.S_IFMT|0o7777, typ|mode, unix.EEXIST), chown, jump(len(bind)))
		add(bind...)
	}
	add(closeReg(b.other), closeReg(b.t))
}

// console attaches the workload's terminal to /dev/console.
func (b *mounter) console(cfg *Config) {
	if !cfg.Console || !b.p.opts.Terminal {
		return
	}
	in := b.p.opts.Stdin
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", in.Fd()))
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(in.Fd()), &st)
	}
	if err != nil {
		b.p.setup.fail(StageDevices, -1, consolePath, err)
		return
	}
	b.p.setup.add(StageDevices, -1, consolePath,
		openTree(agent.N(int64(unix.AT_FDCWD)), name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC, b.tree),
		agent.Sys(agent.OpStatIs, agent.R(b.tree), agent.N(unix.S_IFMT), agent.N(unix.S_IFCHR),
			agent.N(unix.Major(st.Rdev)), agent.N(unix.Minor(st.Rdev)), agent.N(uintptr(unix.ENODEV))))
	b.target(StageDevices, -1, consolePath, file, 0)
	b.p.setup.add(StageDevices, -1, consolePath, moveMount(b.tree, b.t), closeReg(b.t), closeReg(b.tree))
}

// symlinks makes links. One that is there already stays as it is.
func (b *mounter) symlinks(cfg *Config) {
	for i := range cfg.Symlinks {
		l := &cfg.Symlinks[i]
		dir, name := path.Split(path.Clean("/" + l.Path))
		b.target(StageDevices, i, dir, directory, 0)
		b.p.setup.add(StageDevices, i, l.Path,
			ifErr(agent.Sys(unix.SYS_SYMLINKAT, agent.S(l.Target), agent.R(b.t), agent.S(name)), unix.EEXIST, 0),
			closeReg(b.t))
	}
}

func validDevice(d *Device) error {
	_, ok := deviceTypes[d.Type]
	switch {
	case !strings.HasPrefix(d.Path, "/") || path.Clean(d.Path) == "/":
		return fmt.Errorf("path %q is not absolute", d.Path)
	case !ok:
		return fmt.Errorf("type %q is none of c, u, b, p", d.Type)
	case d.Mode > 0o7777:
		return fmt.Errorf("mode %#o is more than 07777", d.Mode)
	case d.Major > 0xfff || d.Minor > 0xfffff:
		return fmt.Errorf("number %d:%d is more than the kernel's 12 and 20 bits", d.Major, d.Minor)
	}
	return nil
}

func (c *Config) validatePaths(v *validator, own bool) {
	v.check(own || !c.wantsMounts(), "mounts", "need a mount namespace")
	for i := range c.Devices {
		field := fmt.Sprintf("devices[%d]", i)
		if err := validDevice(&c.Devices[i]); err != nil {
			v.check(false, field, "%v", err)
		}
		v.noNUL(field, c.Devices[i].Path)
	}
	for i, l := range c.Symlinks {
		field := fmt.Sprintf("symlinks[%d]", i)
		v.check(strings.HasPrefix(l.Path, "/") && path.Clean(l.Path) != "/" && l.Target != "", field, "path %q, target %q", l.Path, l.Target)
		v.strings(field, []string{l.Path, l.Target})
	}
	for name, list := range map[string][]string{"read_only_paths": c.ReadOnlyPaths, "masked_paths": c.MaskedPaths} {
		for i, p := range list {
			v.check(strings.HasPrefix(p, "/"), fmt.Sprintf("%s[%d]", name, i), "%q is not absolute", p)
		}
		v.strings(name, list)
	}
}
