package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/holdshort/holdshort/checkpoint/agent"
	"golang.org/x/sys/unix"
)

// copyUp has a new tmpfs filled with what it covers. The host does it while
// the child is parked, through descriptors that the child has kept of both: the
// directory beneath, and the tmpfs by a clone that is writable whatever becomes
// of the mount.
func (b *mounter) copyUp(i int, at string, tree int) {
	from := fixedFD + 1 + 2*b.copies
	b.copies++
	for _, x := range []struct {
		reg, number int
		prepare     []agent.Op
	}{
		{b.t, from, nil},
		{b.other, from + 1, []agent.Op{cloneOf(tree, 0, b.other)}},
	} {
		dup := agent.Sys(unix.SYS_FCNTL, agent.R(x.reg), agent.N(unix.F_DUPFD_CLOEXEC), agent.N(x.number))
		dup.Save = b.fixed
		b.p.setup.add(StageMounts, i, at, x.prepare...)
		b.p.setup.add(StageMounts, i, at, dup,
			agent.Sys(agent.OpEqual, agent.R(b.fixed), agent.N(x.number), agent.N(uintptr(unix.EMFILE))))
		if x.reg == b.other {
			b.p.setup.add(StageMounts, i, at, closeReg(b.other))
		}
	}
	b.p.host = append(b.p.host, hostStep{StageMounts, at + ": tmpcopyup", func(w *Workload) error {
		source, err := w.openProc(fmt.Sprintf("fd/%d", from))
		if err != nil {
			return err
		}
		src := os.NewFile(uintptr(source), at)
		defer src.Close()
		target, err := w.openProc(fmt.Sprintf("fd/%d", from+1))
		if err != nil {
			return err
		}
		dst := os.NewFile(uintptr(target), at)
		defer dst.Close()
		return copyTree(src, dst, 0)
	}})
}

// copyTree copies directories, regular files and symbolic links, with owner
// and mode; nothing else has content. No link is followed: the source may be
// the work of somebody who would like the host's files copied.
func copyTree(src, dst *os.File, depth int) error {
	if depth > 100 {
		return fmt.Errorf("%s: deeper than 100 directories: %w", src.Name(), unix.ELOOP)
	}
	names, err := src.Readdirnames(-1)
	if err != nil {
		return err
	}
	from, to := int(src.Fd()), int(dst.Fd())
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			return fmt.Errorf("%s: %w", name, err)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			err = copyLink(from, to, name, &st)
		case unix.S_IFREG, unix.S_IFDIR:
			err = copyOpen(from, to, name, depth)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func copyLink(from, to int, name string, st *unix.Stat_t) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(from, name, buf)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(buf[:n]), to, name); err != nil {
		return err
	}
	return unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
}

// copyOpen copies a file or directory that is looked at once it is open.
func copyOpen(from, to int, name string, depth int) error {
	fd, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	src := os.NewFile(uintptr(fd), name)
	defer src.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err := unix.Mkdirat(to, name, 0o700); err != nil {
			return err
		}
		flags = unix.O_RDONLY | unix.O_DIRECTORY
	case unix.S_IFREG:
	default:
		return nil // replaced by something else meanwhile
	}
	out, err := unix.Openat(to, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(out), name)
	defer dst.Close()
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = copyTree(src, dst, depth+1)
	} else {
		_, err = io.Copy(dst, src)
	}
	if err != nil {
		return err
	}
	if err := unix.Fchown(out, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	return unix.Fchmod(out, st.Mode&0o7777)
}
