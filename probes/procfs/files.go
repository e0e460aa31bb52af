package procfs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/holdshort/holdshort/probes/posture"
)

// files reads the descriptors.
func (t *task) files() {
	list, err := t.openFiles()
	if err != nil {
		t.p.Files = lost[posture.Files](err)
		return
	}
	t.p.Files = posture.Known(posture.Files{Open: list})
}

func (t *task) openFiles() ([]posture.File, error) {
	dir, err := unix.Openat(t.dir, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	numbers, err := t.numbersIn(dir)
	if err != nil {
		return nil, err
	}
	list := make([]posture.File, len(numbers))
	for i, n := range numbers {
		if err := t.openFile(dir, n, &list[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b posture.File) int { return cmp.Compare(a.FD, b.FD) })
	return list, nil
}

// numbersIn reads the names of a directory that are numbers. An entry is number
// of the inode, offset, length of the entry and type, then the name (struct
// linux_dirent64, getdents(2)).
func (t *task) numbersIn(dir int) ([]int, error) {
	var list []int
	for {
		n, err := unix.ReadDirent(dir, t.buf.b)
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return list, nil
		}
		for b := t.buf.b[:n]; len(b) > 19; {
			size := binary.NativeEndian.Uint16(b[16:])
			if name := b[19:size]; name[0] != '.' {
				list = append(list, int(number(name, 10)))
			}
			b = b[size:]
		}
	}
}

func (t *task) openFile(dir, n int, f *posture.File) error {
	name := strconv.Itoa(n)
	b, err := t.file("fdinfo/"+name, true)
	if err != nil {
		return err
	}
	info := parseFdinfo(b)
	p, err := t.seeFile(dir, name)
	if err != nil {
		return err
	}
	*f = posture.File{
		FD: int32(n), Inode: p.inode, Mode: p.stat.Mode, Magic: uint64(p.statfs.Type),
		Flags: info.flags &^ unix.O_CLOEXEC, CloseOnExec: info.flags&unix.O_CLOEXEC != 0,
	}
	return nil
}

// seeFile identifies what a descriptor refers to, without opening it if that can
// be helped.
func (t *task) seeFile(dir int, name string) (p place, err error) {
	if err = unix.Fstatat(dir, name, &p.stat, 0); err != nil {
		return p, err
	}
	// By number, which cannot have become another process's: see task.all.
	if err = unix.Statfs("/proc/"+strconv.Itoa(t.pid)+"/fd/"+name, &p.statfs); err != nil {
		return p, err
	}
	p.inode = posture.Inode{Dev: p.stat.Dev, Ino: p.stat.Ino}
	if !invents(&p.statfs) {
		return p, nil
	}
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return p, err
	}
	defer unix.Close(fd)
	return t.see(fd)
}

// fdinfo is what is used of /proc/PID/fdinfo/N, proc_pid_fdinfo(5).
type fdinfo struct {
	flags        uint32
	mount, inode uint64
	hasInode     bool
}

func parseFdinfo(b []byte) (i fdinfo) {
	for line := range bytes.Lines(b) {
		key, v, _ := bytes.Cut(line, []byte(":"))
		v = bytes.TrimLeft(v, "\t ")
		switch string(key) {
		case "flags":
			i.flags = uint32(number(v, 8))
		case "mnt_id":
			i.mount = number(v, 10)
		case "ino":
			i.inode, i.hasInode = number(v, 10), true
			return i // what comes after belongs to the kind of file
		}
	}
	return i
}
