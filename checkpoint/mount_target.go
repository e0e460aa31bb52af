package checkpoint

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

const (
	// inRoot resolves a path as inside the root that is begun from: links
	// that are absolute or climb end there, and the links of /proc, which
	// lead anywhere, are refused. See openat2(2), since Linux 5.6.
	inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	// oneStep opens a name in a directory and nothing else.
	oneStep = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
)

func openat2(dir int, name string, flags, resolve uint64, save int) agent.Op {
	var how []byte
	for _, v := range []uint64{unix.O_PATH | unix.O_CLOEXEC | flags, 0, resolve} {
		how = binary.NativeEndian.AppendUint64(how, v)
	}
	op := agent.Sys(unix.SYS_OPENAT2, agent.R(dir), agent.S(name), agent.B(how), agent.N(len(how)))
	op.Save = save
	return op
}

// ifErr lets an errno pass, and goes on after skipping some operations.
func ifErr(op agent.Op, errno unix.Errno, skip int) agent.Op {
	op.Accept, op.Skip = errno, uint8(skip)
	return op
}

// jump skips operations.
func jump(n int) agent.Op {
	op := agent.Sys(agent.OpEqual, agent.N(0), agent.N(1), agent.N(uintptr(unix.EAGAIN)))
	op.AnyErr, op.Skip = true, uint8(n)
	return op
}

// isDir fails with ENOTDIR unless the register holds a directory.
func isDir(reg int) agent.Op {
	const any = 1<<32 - 1
	return agent.Sys(agent.OpStatIs, agent.R(reg), agent.N(unix.S_IFMT), agent.N(unix.S_IFDIR),
		agent.N(uint64(any)), agent.N(uint64(any)), agent.N(uintptr(unix.ENOTDIR)))
}

// kind is what to make where a target is missing.
type kind int

const (
	nothing kind = iota
	directory
	file
	asTree // what the mount is that will go there
)

// target resolves a path below the root, once: what is attached later goes to
// the descriptor in the register b.t, whatever the path has come to mean.
//
// What is missing is made, each part in the descriptor of its parent. Parts
// that are there are resolved from the root, as links in them may lead
// anywhere in it; each such walk ends inside, so whoever renames or replaces
// parts meanwhile decides where in the root the mount goes, but never that it
// goes elsewhere. A link that dangles is an error (ELOOP).
func (b *mounter) target(stage Stage, i int, at string, what kind, tree int) {
	at = path.Clean("/" + at)
	open := openat2(b.root, at, 0, inRoot, b.t)
	if what == nothing || at == "/" {
		b.p.setup.add(stage, i, at, open)
		return
	}
	var ops []agent.Op
	parts := strings.Split(at[1:], "/")
	parent, spare := b.root, b.dirs
	for n, name := range parts[:len(parts)-1] {
		next := spare[n%2]
		prefix := strings.Join(parts[:n+1], "/")
		ops = append(ops,
			ifErr(openat2(b.root, prefix, unix.O_DIRECTORY, inRoot, next), unix.ENOENT, 1),
			jump(2),
			ifErr(agent.Sys(unix.SYS_MKDIRAT, agent.R(parent), agent.S(name), agent.N(0o755)), unix.EEXIST, 0),
			openat2(parent, name, unix.O_DIRECTORY|unix.O_NOFOLLOW, oneStep, next))
		if parent != b.root {
			ops = append(ops, closeReg(parent))
		}
		parent = next
	}
	name := parts[len(parts)-1]
	mkdir := ifErr(agent.Sys(unix.SYS_MKDIRAT, agent.R(parent), agent.S(name), agent.N(0o755)), unix.EEXIST, 0)
	mkfile := ifErr(agent.Sys(unix.SYS_MKNODAT, agent.R(parent), agent.S(name), agent.N(unix.S_IFREG|0o644), agent.N(0)), unix.EEXIST, 0)
	switch what {
	case asTree:
		ops = append(ops, ifErr(isDir(tree), unix.ENOTDIR, 2), mkdir, jump(1), mkfile)
	case file:
		ops = append(ops, mkfile)
	default:
		ops = append(ops, mkdir)
	}
	ops = append(ops, openat2(parent, name, unix.O_NOFOLLOW, oneStep, b.t))
	if parent != b.root {
		ops = append(ops, closeReg(parent))
	}
	if len(ops) > 255 {
		b.p.setup.fail(stage, i, at, fmt.Errorf("%d parts: %w", len(parts), unix.ENAMETOOLONG))
		return
	}
	b.p.setup.add(stage, i, at, ifErr(open, unix.ENOENT, 1), jump(len(ops)))
	b.p.setup.add(stage, i, at, ops...)
}
