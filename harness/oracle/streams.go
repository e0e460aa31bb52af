package oracle

import (
	"fmt"
	"slices"

	"github.com/holdshort/holdshort/probes/posture"
	"golang.org/x/sys/unix"
)

// Streams is what the standard streams of another engine's workload are to be:
// those that the engine was started with. An engine that was started without one
// owes none.
func Streams(caller *posture.Posture) []posture.File {
	var out []posture.File
	before, known := caller.Files.Get()
	for fd := range int32(3) {
		i := slices.IndexFunc(before.Open, func(f posture.File) bool { return f.FD == fd })
		switch {
		case i >= 0:
			out = append(out, posture.File{FD: fd, Inode: before.Open[i].Inode})
		case !known || before.Truncated > 0:
			out = append(out, posture.File{FD: fd})
		}
	}
	return out
}

// streams lets an engine put something of the same kind in place of the
// caller's standard streams: a terminal, if it was asked for; a device of its
// own /dev in place of the host's; and pipes, if it documents to copy.
func (b *builder) streams(p *Profile) {
	b.e.choices[OpenFiles] = choice{"standard streams of the engine's own", func(e *Expectation, got *posture.Posture) (bool, string) {
		want, ok1 := e.want.Files.Get()
		have, ok2 := got.Files.Get()
		if !ok1 || !ok2 || have.Truncated > 0 {
			return false, ""
		}
		caller, _ := e.caller.Files.Get()
		find := func(list []posture.File, fd int32) *posture.File {
			i := slices.IndexFunc(list, func(f posture.File) bool { return f.FD == fd })
			if i < 0 {
				return nil
			}
			return &list[i]
		}
		for i := range have.Open {
			f := &have.Open[i]
			w := find(want.Open, f.FD)
			if f.FD > 2 {
				if w == nil || f.CloseOnExec || w.Inode != (posture.Inode{}) && w.Inode != f.Inode {
					return false, fmt.Sprintf("descriptor %d was not passed on", f.FD)
				}
				continue
			}
			if why := b.stream(p, f, find(caller.Open, f.FD), have.Open); why != "" {
				return false, fmt.Sprintf("standard stream %d is %s", f.FD, why)
			}
		}
		for i := range want.Open {
			if fd := want.Open[i].FD; find(have.Open, fd) == nil {
				return false, fmt.Sprintf("descriptor %d is not there", fd)
			}
		}
		return true, ""
	}}
}

// devpts is the number of that file system, include/uapi/linux/magic.h.
const devpts = 0x1cd1

// stream says what is wrong with one, "" if nothing is. Before is the caller's,
// nil if it has none.
func (b *builder) stream(p *Profile, f, before *posture.File, all []posture.File) string {
	kind := f.Mode & unix.S_IFMT
	if b.p.Terminal {
		if kind != unix.S_IFCHR || f.Magic != devpts {
			return "no pseudo-terminal"
		}
		if slices.ContainsFunc(all, func(g posture.File) bool { return g.FD <= 2 && g.Inode != f.Inode }) {
			return "another terminal than the others"
		}
		return ""
	}
	if before != nil && f.Inode == before.Inode {
		return ""
	}
	switch kind {
	case unix.S_IFCHR:
		if before == nil || before.Mode&unix.S_IFMT == unix.S_IFCHR {
			return "" // which device it is, the table does not say
		}
		return "a device, and the caller's is none"
	case unix.S_IFIFO, unix.S_IFSOCK:
		if p.CopiesStreams {
			return ""
		}
		return "a pipe or socket, and not the caller's"
	case unix.S_IFDIR:
		return "a directory"
	}
	return "a file, and not the caller's"
}
