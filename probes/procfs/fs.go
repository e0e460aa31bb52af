package procfs

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

// place is where a path of the process leads.
type place struct {
	stat   unix.Stat_t
	statfs unix.Statfs_t
	inode  posture.Inode
}

// see identifies an open file. What stat(2) says of device and number is the
// kernel's own, except on file systems that make something up for it.
func (t *task) see(fd int) (p place, err error) {
	if err = unix.Fstat(fd, &p.stat); err != nil {
		return p, err
	}
	if err = unix.Fstatfs(fd, &p.statfs); err != nil {
		return p, err
	}
	p.inode = posture.Inode{Dev: p.stat.Dev, Ino: p.stat.Ino}
	if invents(&p.statfs) {
		p.inode, err = t.underneath(fd)
	}
	return p, err
}

// invents: file systems whose files do not have the device number of their
// super block in stat(2).
func invents(fs *unix.Statfs_t) bool {
	return fs.Type == unix.OVERLAYFS_SUPER_MAGIC || fs.Type == unix.BTRFS_SUPER_MAGIC
}

// underneath gets the super block's device from the mount table, and the inode
// number from fdinfo, which has it since Linux 5.14.
func (t *task) underneath(fd int) (posture.Inode, error) {
	in, err := unix.Open("/proc/thread-self/fdinfo/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return posture.Inode{}, err
	}
	defer unix.Close(in)
	b, err := t.read(in, true)
	if err != nil {
		return posture.Inode{}, err
	}
	i := parseFdinfo(b)
	if !i.hasInode {
		return posture.Inode{}, unix.ENODATA
	}
	dev, err := t.device(i.mount)
	return posture.Inode{Dev: dev, Ino: i.inode}, err
}

// device looks a mount up, in the mount table of the process.
func (t *task) device(mount uint64) (uint64, error) {
	b, err := t.file("mountinfo", false)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if number(line, 10) != mount {
			continue
		}
		f := bytes.Fields(line)
		if len(f) > 2 {
			major, minor, _ := bytes.Cut(f[2], []byte(":"))
			return unix.Mkdev(uint32(number(major, 10)), uint32(number(minor, 10))), nil
		}
	}
	return 0, unix.ENODATA
}

// fs reads root and working directory.
func (t *task) fs() {
	f := &t.p.FS
	root, err := unix.Openat(t.dir, "root", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(root)
	}
	cwd, err2 := unix.Openat(t.dir, "cwd", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err2 == nil {
		defer unix.Close(cwd)
	}
	var r, c place
	if err == nil {
		r, err = t.see(root)
	}
	if err2 == nil {
		c, err2 = t.see(cwd)
	}
	f.Root, f.Cwd = posture.Known(r.inode), posture.Known(c.inode)
	if err == nil {
		f.RootReadOnly = posture.Known(r.statfs.Flags&unix.ST_RDONLY != 0)
		f.RootIsMountRoot = isTop(root)
		if s, err := spotOf(root); err != nil {
			f.RootPropagation = lost[posture.Propagation](err)
		} else {
			f.RootPropagation = t.propagation(s.mount)
		}
	} else {
		f.RootPropagation = lost[posture.Propagation](err)
		f.Root, f.RootReadOnly, f.RootIsMountRoot = lost[posture.Inode](err), lost[bool](err), lost[bool](err)
	}
	switch {
	case err2 != nil:
		f.Cwd, f.CwdUnderRoot = lost[posture.Inode](err2), lost[bool](err2)
	case err != nil:
		f.CwdUnderRoot = lost[bool](err)
	default:
		f.CwdUnderRoot = isUnder(cwd, root)
	}
}

// spot names a directory in a mount.
type spot struct{ mount, ino uint64 }

func spotOf(fd int) (spot, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_MNT_ID, &st); err != nil {
		return spot{}, err
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return spot{}, unix.ENOSYS // before Linux 5.8
	}
	return spot{st.Mnt_id, st.Ino}, nil
}

func up(fd int) (int, error) {
	return unix.Openat(fd, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// isTop: from the top of a mount namespace ".." leads nowhere else, whoever
// looks (follow_dotdot, fs/namei.c).
func isTop(root int) posture.Value[bool] {
	here, err := spotOf(root)
	if err != nil {
		return lost[bool](err)
	}
	parent, err := up(root)
	if err != nil {
		return lost[bool](err)
	}
	defer unix.Close(parent)
	there, err := spotOf(parent)
	if err != nil {
		return lost[bool](err)
	}
	return posture.Known(here == there)
}

// isUnder goes up from the working directory, as the program would with "..",
// and looks whether it comes by its root.
func isUnder(cwd, root int) posture.Value[bool] {
	want, err := spotOf(root)
	if err != nil {
		return lost[bool](err)
	}
	at := cwd
	defer func() {
		if at != cwd {
			_ = unix.Close(at)
		}
	}()
	const steps = 256
	var last spot
	for i := range steps {
		here, err := spotOf(at)
		switch {
		case err != nil:
			return lost[bool](err)
		case here == want:
			return posture.Known(true)
		case i > 0 && here == last: // the top
			return posture.Known(false)
		}
		last = here
		next, err := up(at)
		if err != nil {
			return lost[bool](err)
		}
		if at != cwd {
			_ = unix.Close(at)
		}
		at = next
	}
	return posture.Unreadable[bool]("the working directory lies too deep to follow it up to the root")
}
