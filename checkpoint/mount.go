package checkpoint

import (
	"fmt"
	"path"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// mounter builds the mount table with the calls of Linux 5.2 that take
// descriptors: open_tree(2), fsopen(2), fsmount(2), move_mount(2), and since
// 5.12 mount_setattr(2). Its fields but the first two are registers, which are
// used again for every mount.
type mounter struct {
	p     *plan
	moved bool // the working directory is not what it was

	root, t int    // the new root; the target at hand
	dirs    [2]int // parents of a target
	tree    int    // the mount at hand
	fs      int    // its file system
	fixed   int    // a descriptor of a fixed number
	other   int
	mask    int // umask as it was
	empty   int // the directory that masks directories
	null    int // the device that masks files

	late   []later
	copies int // directories that are copied up
}

// later is a mount that becomes read-only at the end, since something is to be
// made in it.
type later struct {
	i    int
	at   string
	reg  int
	have uintptr
}

// wantsMounts reports whether there is anything to do but propagation.
func (c *Config) wantsMounts() bool {
	return c.Root.Path != "" || len(c.Mounts)+len(c.Devices)+len(c.Symlinks)+len(c.MaskedPaths)+len(c.ReadOnlyPaths) > 0 || c.Console
}

// mounts builds the workload's mount table.
//
// The new root is attached over itself and everything is done below its
// descriptor, before the root is changed: were the old root stacked on it
// first, as pivot_root(".", ".") leaves it, a link in the root that climbs
// (../..) would lead into the old one. The old root goes last, also since
// mounting proc in a user namespace needs a fully visible one until then
// (mount_too_revealing, fs/namespace.c).
func (p *plan) mounts(cfg *Config) {
	base := ""
	if cfg == p.cfg && cfg.has(Mnt, false) {
		if base = strings.TrimPrefix(cfg.Propagation, "r"); base == "" {
			base = "private"
		}
	}
	if !cfg.wantsMounts() {
		p.propagate(base)
		return
	}
	regs := p.regs
	defer func() { p.regs = regs }() // every descriptor is closed again
	b := &mounter{
		p: p, root: p.reg(), t: p.reg(), dirs: [2]int{p.reg(), p.reg()}, tree: p.reg(), fs: p.reg(),
		fixed: p.reg(), other: p.reg(), mask: p.reg(), empty: p.reg(), null: p.reg(),
	}
	specs := make([]*mountSpec, len(cfg.Mounts))
	trees := make([]int, len(cfg.Mounts))
	clone := func(early bool) {
		for i := range cfg.Mounts {
			if s := specs[i]; s.bind && !s.remount && s.early() == early {
				trees[i] = b.clone(i, &cfg.Mounts[i], s)
			}
		}
	}
	for i := range cfg.Mounts {
		specs[i] = cfg.Mounts[i].parse()
	}
	if canSetattr() { // else only a path could change it later
		clone(true)
	}
	rooted := cfg.Root.Path != ""
	switch {
	case rooted && base == "shared":
		p.propagate("slave") // what happens in the workload must not show outside
	case rooted && base == "unbindable":
		p.propagate("private") // nothing could be cloned
	default:
		p.propagate(base)
	}
	clone(false)
	if !canSetattr() {
		clone(true)
	}
	b.openRoot(cfg)
	// Whatever the umask is, things are made with the modes that they are
	// to have.
	umask := agent.Sys(unix.SYS_UMASK, agent.N(0))
	umask.Save = b.mask
	p.setup.add(StageMounts, -1, "umask", umask)
	for i := range cfg.Mounts {
		b.mount(cfg, i, specs[i], trees[i])
	}
	b.devices(cfg)
	b.symlinks(cfg)
	b.readOnlyPaths(cfg)
	b.maskedPaths(cfg)
	p.setup.add(StageMounts, -1, "umask", agent.Sys(unix.SYS_UMASK, agent.R(b.mask)))
	for _, l := range b.late {
		b.attributes(StageMounts, l.i, l.at, l.reg, &mountSpec{top: attrWords["ro"]}, l.have)
		p.setup.add(StageMounts, l.i, l.at, closeReg(l.reg))
	}
	b.enterRoot(cfg, base)
}

// propagate changes the propagation of all mounts of the new namespace.
func (p *plan) propagate(word string) {
	if word != "" {
		p.setup.add(StageMounts, -1, "/", mountOp("", "/", "", uintptr(propagations[word])|unix.MS_REC, ""))
	}
}

// clone takes the source of a bind mount, as the caller sees it, into a
// register of its own.
func (b *mounter) clone(i int, m *Mount, s *mountSpec) int {
	if f, ok := b.p.idTrees[i]; ok {
		return b.p.pass(int(f.Fd()))
	}
	reg := b.p.reg()
	how := uint64(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.rec {
		how |= unix.AT_RECURSIVE
	}
	b.p.setup.add(StageMounts, i, m.Source, openTree(agent.N(int64(unix.AT_FDCWD)), m.Source, how, reg))
	return reg
}

func openTree(dir agent.Arg, name string, how uint64, save int) agent.Op {
	op := agent.Sys(unix.SYS_OPEN_TREE, dir, agent.S(name), agent.N(how))
	op.Save = save
	return op
}

// cloneOf is openTree of what a register holds.
func cloneOf(reg int, how uint64, save int) agent.Op {
	return openTree(agent.R(reg), "", how|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH, save)
}

func moveMount(from, to int) agent.Op {
	return agent.Sys(unix.SYS_MOVE_MOUNT, agent.R(from), agent.S(""), agent.R(to), agent.S(""),
		agent.N(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// openRoot gets hold of the directory below which everything is resolved: the
// new root, attached over its own place so that it is a mount, or the root
// that there is.
func (b *mounter) openRoot(cfg *Config) {
	dir := cfg.Root.Path
	if dir == "" {
		dir = "/"
	}
	open := agent.Sys(unix.SYS_OPENAT, agent.N(int64(unix.AT_FDCWD)), agent.S(dir), agent.N(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC))
	if open.Save = b.root; cfg.Root.Path != "" {
		open.Save = b.t
	}
	b.p.setup.add(StageMounts, -1, dir, open)
	if cfg.Root.Path != "" {
		b.p.setup.add(StageMounts, -1, dir, cloneOf(b.t, unix.AT_RECURSIVE, b.root), moveMount(b.root, b.t), closeReg(b.t))
	}
}

// enterRoot changes the root, once all is in place below it.
func (b *mounter) enterRoot(cfg *Config, base string) {
	p, root := b.p, cfg.Root.Path
	p.rooting = len(p.setup.steps)
	if root == "" {
		p.setup.add(StageMounts, -1, "/", closeReg(b.root))
		if b.moved {
			p.setup.add(StageMounts, -1, "/", agent.Sys(unix.SYS_CHDIR, agent.S("/")))
		}
		return
	}
	if cfg.Root.ReadOnly {
		b.attributes(StageMounts, -1, "/", b.root, &mountSpec{top: attrWords["ro"]}, lockedFlags(root))
	}
	p.setup.add(StageMounts, -1, root, agent.Sys(unix.SYS_FCHDIR, agent.R(b.root)), closeReg(b.root))
	p.setup.add(StageMounts, -1, "pivot_root "+root, agent.Sys(unix.SYS_PIVOT_ROOT, agent.S("."), agent.S(".")))
	// pivot_root(".", ".") leaves the old root stacked on the new one; see pivot_root(2), NOTES.
	p.setup.add(StageMounts, -1, "old root", agent.Sys(unix.SYS_UMOUNT2, agent.S("."), agent.N(unix.MNT_DETACH)),
		agent.Sys(unix.SYS_CHDIR, agent.S("/")))
	if base == "shared" || base == "unbindable" {
		// Only now: pivot_root refuses a shared root.
		flags := uintptr(propagations[base])
		if strings.HasPrefix(cfg.Propagation, "r") {
			flags |= unix.MS_REC
		}
		p.setup.add(StageMounts, -1, "/", mountOp("", "/", "", flags, ""))
	}
}

// mount makes one mount of the list.
func (b *mounter) mount(cfg *Config, i int, s *mountSpec, tree int) {
	m := &cfg.Mounts[i]
	at := path.Clean("/" + m.Target)
	add := func(ops ...agent.Op) { b.p.setup.add(StageMounts, i, at, ops...) }
	if s.remount {
		b.remount(i, at, s)
		return
	}
	if s.bind {
		b.target(StageMounts, i, at, asTree, tree)
		b.renumber(i, at, s, tree)
		if canSetattr() { // before anybody can get at it
			b.attributes(StageMounts, i, at, tree, s, 0)
			add(moveMount(tree, b.t), closeReg(b.t))
		} else {
			add(moveMount(tree, b.t), closeReg(b.t))
			b.attributes(StageMounts, i, at, tree, s, lockedFlags(m.Source))
		}
		add(closeReg(tree))
		return
	}
	b.target(StageMounts, i, at, directory, 0)
	own := *s
	own.top.add(s.below) // there is nothing below a new mount
	own.below = attrs{}
	tree = b.tree
	readOnly := own.top.set&unix.MOUNT_ATTR_RDONLY != 0
	if readOnly && (s.copyUp || cfg.needsWritten(i, at)) {
		readOnly = false
		own.top.set &^= unix.MOUNT_ATTR_RDONLY
		tree = b.p.reg()
		b.late = append(b.late, later{i, at, tree, mount2Flags(own.top.set) | unix.MS_RELATIME})
	}
	late := tree != b.tree
	if s.viaMount2 {
		b.oldMount(i, at, m, &own, tree)
	} else {
		b.newMount(i, at, m, &own, readOnly, tree)
	}
	if s.copyUp {
		b.copyUp(i, at, tree)
	}
	add(closeReg(b.t))
	if !late {
		add(closeReg(tree))
	}
}

// renumber takes a new clone of a source that was cloned before the mounts ahead
// of it in the list were made, where the kernel lets a mount that is nowhere be
// cloned (since Linux 6.15). It changes nothing but the number: mountinfo is
// sorted by it (since Linux 6.8), and readers take that for the order in which
// mounts were made.
func (b *mounter) renumber(i int, at string, s *mountSpec, tree int) {
	if i == 0 {
		return
	}
	how := uint64(0)
	if s.rec {
		how = unix.AT_RECURSIVE
	}
	back := agent.Sys(unix.SYS_FCNTL, agent.R(b.other), agent.N(unix.F_DUPFD_CLOEXEC), agent.N(0))
	back.Save = tree
	b.p.setup.add(StageMounts, i, at, ifErr(cloneOf(tree, how, b.other), unix.EINVAL, 3), closeReg(tree), back, closeReg(b.other))
}

// needsWritten reports whether something will be made below a mount that is to
// be read-only.
func (c *Config) needsWritten(i int, at string) bool {
	below := func(p string) bool { return strings.HasPrefix(path.Clean("/"+p), at+"/") }
	for n := range c.Mounts {
		if n > i && below(c.Mounts[n].Target) {
			return true
		}
	}
	for n := range c.Devices {
		if below(c.Devices[n].Path) {
			return true
		}
	}
	for n := range c.Symlinks {
		if below(c.Symlinks[n].Path) {
			return true
		}
	}
	return c.Console && below(consolePath)
}

// newMount makes a file system and attaches it to b.t.
func (b *mounter) newMount(i int, at string, m *Mount, s *mountSpec, readOnly bool, tree int) {
	add := func(object string, ops ...agent.Op) { b.p.setup.add(StageMounts, i, object, ops...) }
	set := func(cmd int, key, value string) {
		k, v := agent.N(0), agent.N(0)
		if key != "" {
			k = agent.S(key)
		}
		if cmd == unix.FSCONFIG_SET_STRING {
			v = agent.S(value)
		}
		object := at
		if cmd != unix.FSCONFIG_CMD_CREATE {
			object = at + ": " + strings.TrimSuffix(key+"="+value, "=")
		}
		add(object, agent.Sys(unix.SYS_FSCONFIG, agent.R(b.fs), agent.N(cmd), k, v, agent.N(0)))
	}
	open := agent.Sys(unix.SYS_FSOPEN, agent.S(m.Type), agent.N(unix.FSOPEN_CLOEXEC))
	open.Save = b.fs
	add(at+": "+m.Type, open)
	source := m.Source
	if source == "" {
		source = m.Type
	}
	set(unix.FSCONFIG_SET_STRING, "source", source)
	if readOnly {
		set(unix.FSCONFIG_SET_FLAG, "ro", "") // of the file system too, as mount(2) does
	}
	for _, o := range s.fs {
		if key, value, ok := strings.Cut(o, "="); ok {
			set(unix.FSCONFIG_SET_STRING, key, value)
		} else {
			set(unix.FSCONFIG_SET_FLAG, o, "")
		}
	}
	set(unix.FSCONFIG_CMD_CREATE, "", "")
	direct := takes(s.top.set)
	flags := s.top.set
	if !direct {
		flags &^= unix.MOUNT_ATTR_NOSYMFOLLOW
	}
	mount := agent.Sys(unix.SYS_FSMOUNT, agent.R(b.fs), agent.N(unix.FSMOUNT_CLOEXEC), agent.N(flags))
	mount.Save = tree
	add(at, mount, closeReg(b.fs), moveMount(tree, b.t))
	rest := mountSpec{sharing: s.sharing}
	if !direct {
		rest.top = attrWords["nosymfollow"]
	}
	b.attributes(StageMounts, i, at, tree, &rest, mount2Flags(flags)|unix.MS_RELATIME)
}

// superFlags are flags of mount(2) for a file system that fsconfig(2) takes as
// words.
var superFlags = map[string]uintptr{
	"sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC, "lazytime": unix.MS_LAZYTIME, "mand": unix.MS_MANDLOCK,
	"async": 0, "nolazytime": 0, "nomand": 0,
}

// oldMount makes what only mount(2) can: a value of more than 255 bytes, such
// as the layers of an overlay, or one of its flags that has no word.
func (b *mounter) oldMount(i int, at string, m *Mount, s *mountSpec, tree int) {
	source := m.Source
	if source == "" {
		source = m.Type
	}
	flags := s.old | mount2Flags(s.top.set)
	var data []string
	for _, o := range s.fs {
		if f, ok := superFlags[o]; ok {
			flags |= f
		} else {
			data = append(data, o)
		}
	}
	b.byPath(StageMounts, i, at, b.t, source, m.Type, flags, strings.Join(data, ","))
	// The descriptor still means what is beneath the new mount.
	open := openat2(b.root, at, 0, inRoot, tree)
	b.p.setup.add(StageMounts, i, at, open)
	b.attributes(StageMounts, i, at, tree, &mountSpec{sharing: s.sharing}, 0)
}

// remount changes the mount that is at a target, and, unless it says "bind",
// its file system.
func (b *mounter) remount(i int, at string, s *mountSpec) {
	b.target(StageMounts, i, at, nothing, 0)
	add := func(object string, ops ...agent.Op) { b.p.setup.add(StageMounts, i, object, ops...) }
	words := s.fs
	switch {
	case s.bind:
		words = nil
	case s.top.set&unix.MOUNT_ATTR_RDONLY != 0:
		words = append([]string{"ro"}, words...)
	case s.top.clr&unix.MOUNT_ATTR_RDONLY != 0:
		words = append([]string{"rw"}, words...)
	}
	if len(words) > 0 {
		pick := agent.Sys(unix.SYS_FSPICK, agent.R(b.t), agent.S(""), agent.N(unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC))
		pick.Save = b.fs
		add(at, pick)
		for _, o := range words {
			if key, value, ok := strings.Cut(o, "="); ok {
				add(fmt.Sprintf("%s: %s", at, o), agent.Sys(unix.SYS_FSCONFIG, agent.R(b.fs), agent.N(unix.FSCONFIG_SET_STRING), agent.S(key), agent.S(value), agent.N(0)))
			} else {
				add(fmt.Sprintf("%s: %s", at, o), agent.Sys(unix.SYS_FSCONFIG, agent.R(b.fs), agent.N(unix.FSCONFIG_SET_FLAG), agent.S(o), agent.N(0), agent.N(0)))
			}
		}
		add(at, agent.Sys(unix.SYS_FSCONFIG, agent.R(b.fs), agent.N(unix.FSCONFIG_CMD_RECONFIGURE), agent.N(0), agent.N(0), agent.N(0)), closeReg(b.fs))
	}
	b.attributes(StageMounts, i, at, b.t, s, 0)
	add(at, closeReg(b.t))
}
